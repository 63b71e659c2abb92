with periods as (

    select * from {{ ref('int_open_periods') }}

),

allowances as (

    select * from {{ ref('int_projected_allowances') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

billables as (

    select * from {{ ref('int_projected_billables') }}

),

lines as (

    select * from {{ ref('int_projected_lines') }}
    where line_type = 'usage'

),

exhausted_allowances as (

    select * from {{ ref('int_exhausted_allowances') }}

),

monthly_usage as (

    select * from {{ ref('monthly_usage') }}

),

rated_lines as (

    select * from {{ ref('int_rated_lines') }}
    where line_type = 'usage'

),

{# A charge without a line costs nothing; one whose amount cannot be known has a line without an amount. #}
rated as (

    select
        periods.subscription_id,
        periods.period_start,
        billables.charge_number,
        periods.scenario,
        {{ unscaled("billables.quantity_count") }} as quantity,
        {{ unscaled("billables.overage_count") }} as overage_quantity,
        case
            when lines.period_number is not null then {{ amount_decimal("lines.amount") }}
            when billables.quantity_count is not null or plan_charges.overage_model is null then 0
        end as amount,
        case
            when lines.period_number is not null then lines.amount_minor
            when billables.quantity_count is not null or plan_charges.overage_model is null then 0
        end as amount_minor
    from periods
    inner join billables on periods.period_number = billables.period_number
    inner join plan_charges on billables.charge_number = plan_charges.charge_number
    left join lines
        on
            billables.period_number = lines.period_number
            and billables.charge_number = lines.charge_number

),

scenarios as (

    select
        subscription_id,
        period_start,
        charge_number,
        max(quantity) filter (where scenario = 'projected') as projected_quantity,
        max(amount) filter (where scenario = 'projected') as projected_amount,
        max(amount_minor) filter (where scenario = 'projected') as projected_minor,
        max(quantity) filter (where scenario = 'low') as low_quantity,
        max(amount) filter (where scenario = 'low') as low_amount,
        max(quantity) filter (where scenario = 'high') as high_quantity,
        max(amount) filter (where scenario = 'high') as high_amount,
        max(overage_quantity) filter (where scenario = 'projected') as projected_overage_quantity
    from rated
    group by
        subscription_id,
        period_start,
        charge_number

),

final as (

    select
        periods.customer_id,
        periods.subscription_id,
        periods.plan_id,
        plan_charges.meter_id,
        plan_charges.reset,
        plan_charges."limit",
        periods.currency,
        monthly_usage.quantity,
        scenarios.projected_quantity,
        scenarios.low_quantity,
        scenarios.high_quantity,
        allowances.included_quantity as allowance,
        scenarios.projected_overage_quantity,
        case
            when rated_lines.invoice_line_id is not null then rated_lines.amount
            else cast(0 as decimal(38, 12))
        end as amount,
        cast(scenarios.projected_amount as decimal(38, 12)) as projected_amount,
        cast(scenarios.projected_minor as bigint) as projected_minor,
        cast(scenarios.low_amount as decimal(38, 12)) as low_amount,
        cast(scenarios.high_amount as decimal(38, 12)) as high_amount,
        plan_charges.overage_model is not null as is_priced,
        plan_charges.effective_from as plan_version,
        periods.period_start,
        periods.period_end,
        periods.service_start,
        periods.service_end,
        periods.local_today as projected_on,
        exhausted_allowances.exhausted_on
    from periods
    inner join allowances on periods.period_number = allowances.period_number
    inner join plan_charges on allowances.charge_number = plan_charges.charge_number
    inner join scenarios
        on
            periods.subscription_id = scenarios.subscription_id
            and periods.period_start = scenarios.period_start
            and allowances.charge_number = scenarios.charge_number
    left join monthly_usage
        on
            periods.subscription_id = monthly_usage.subscription_id
            and periods.period_start = monthly_usage.period_start
            and plan_charges.meter_id = monthly_usage.meter_id
    left join rated_lines
        on
            periods.subscription_id = rated_lines.subscription_id
            and periods.period_start = rated_lines.period_start
            and plan_charges.meter_id = rated_lines.meter_id
    left join exhausted_allowances
        on
            allowances.period_number = exhausted_allowances.period_number
            and allowances.charge_number = exhausted_allowances.charge_number
    where periods.scenario = 'projected'

)

select * from final
