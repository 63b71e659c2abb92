{#- Each budget against what its period is projected to come to, in the budget's currency. Nothing predicts an invoice
    by day. -#}

with current_periods as (

    select * from {{ ref('int_current_budgets') }}

),

cost_budgets as (

    select * from {{ ref('int_projected_cost_budgets') }}

),

invoice_months as (

    select * from {{ ref('projected_invoice_months') }}

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

invoice_budgets as (

    select
        current_periods.customer_id,
        current_periods.period,
        current_periods.measure,
        current_periods.currency,
        current_periods.amount,
        case
            when current_periods.period = 'day' then null
            when invoice_months.customer_id is null then 0
            else invoice_months.amount
        end as observed_amount,
        case
            when current_periods.period = 'day' then null
            when invoice_months.customer_id is null then 0
            else invoice_months.projected_amount
        end as projected_amount,
        coalesce(invoice_months.period_start, current_periods.period_start) as period_start,
        current_periods.local_today
    from current_periods
    left join invoice_months
        on
            current_periods.customer_id = invoice_months.customer_id
            and current_periods.currency = invoice_months.currency
            and current_periods.period = 'month'
    where current_periods.measure = 'invoice'

),

measured as (

    select
        customer_id,
        period,
        measure,
        currency,
        amount,
        observed_amount,
        projected_amount,
        period_start,
        local_today
    from cost_budgets
    union all
    select
        customer_id,
        period,
        measure,
        currency,
        amount,
        observed_amount,
        projected_amount,
        period_start,
        local_today
    from invoice_budgets

),

counted as (

    select
        measured.*,
        {{ scaled("measured.projected_amount") }} * cast(1000000000000 as hugeint) as projected_count,
        {{ scaled("cast('1e-' || currencies.minor_units as decimal(38, 12))") }} as minor_count
    from measured
    inner join currencies on measured.currency = currencies.currency

),

final as (

    select
        customer_id,
        period,
        measure,
        currency,
        amount,
        cast(observed_amount as decimal(38, 12)) as observed_amount,
        cast(projected_amount as decimal(38, 12)) as projected_amount,
        cast({{ to_minor("projected_count", "minor_count") }} as bigint) as projected_minor,
        projected_amount > amount as is_exceeded,
        period_start,
        local_today as projected_on
    from counted

)

select * from final
