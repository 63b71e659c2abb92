{#- What the recent cycles would have cost with more allowance bought, and which of the allowances costs least. -#}

with allowances as (

    select * from {{ ref('int_capacity_allowances') }}

),

lines as (

    select * from {{ ref('int_capacity_lines') }}

),

billables as (

    select * from {{ ref('int_capacity_billables') }}

),

cycles as (

    select * from {{ ref('int_recent_cycles') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

trials as (

    select
        period_number,
        coalesce(sum(amount_minor) filter (where line_type = 'capacity'), 0) as capacity_minor,
        coalesce(sum(amount_minor) filter (where line_type = 'usage'), 0) as overage_minor,
        max({{ amount_decimal("amount") }}) filter (where line_type = 'usage') as overage_amount,
        count(*) = count(amount_minor) as is_known
    from lines
    group by period_number

),

rated as (

    select
        allowances.subscription_id,
        plan_charges.meter_id,
        allowances.added_count,
        allowances.included_count,
        billables.overage_count,
        cycles.cycle_number,
        plan_charges.capacity_unit_amount,
        coalesce(trials.capacity_minor, 0) as capacity_minor,
        coalesce(trials.overage_minor, 0) as overage_minor,
        coalesce(trials.is_known, true) and billables.overage_count is not null as is_known,
        {{ evidence_row(
            "monthly_usage",
            {
                "subscription_id": "allowances.subscription_id", "meter_id": "plan_charges.meter_id",
                "period_start": "allowances.period_start",
            },
            {"overage_quantity": decimal_text(unscaled("billables.overage_count"))},
        ) }} || ',' || {{ evidence_row(
            "overages",
            {
                "subscription_id": "allowances.subscription_id", "meter_id": "plan_charges.meter_id",
                "period_start": "allowances.period_start",
            },
            {"amount": decimal_text("coalesce(trials.overage_amount, cast(0 as decimal(38, 12)))")},
        ) }} as evidence,
        allowances.period_start
    from allowances
    inner join billables on allowances.period_number = billables.period_number
    inner join plan_charges on allowances.charge_number = plan_charges.charge_number
    inner join cycles
        on
            allowances.subscription_id = cycles.subscription_id
            and allowances.period_start = cycles.period_start
    left join trials on allowances.period_number = trials.period_number

),

totals as (

    select
        subscription_id,
        meter_id,
        added_count,
        min_by(included_count, cycle_number) as included_count,
        min_by(capacity_unit_amount, cycle_number) as capacity_unit_amount,
        sum(overage_count) as overage_count,
        count(*) filter (where overage_count > 0) as overage_cycle_count,
        count(*) as cycle_count,
        sum(capacity_minor) as capacity_minor,
        sum(overage_minor) as overage_minor,
        string_agg(evidence, ',' order by period_start) as evidence,
        min(period_start) as first_period_start
    from rated
    group by
        subscription_id,
        meter_id,
        added_count
    having bool_and(is_known)

),

compared as (

    select
        raised.*,
        as_is.included_count as included_now_count,
        as_is.overage_count as overage_now_count,
        as_is.overage_cycle_count as overage_cycle_now_count,
        as_is.capacity_minor as capacity_now_minor,
        as_is.overage_minor as overage_now_minor,
        as_is.evidence as evidence_now,
        row_number() over (
            partition by raised.subscription_id, raised.meter_id
            order by raised.capacity_minor + raised.overage_minor, raised.added_count
        ) as offer_number
    from totals as raised
    inner join totals as as_is
        on
            raised.subscription_id = as_is.subscription_id
            and raised.meter_id = as_is.meter_id
            and as_is.added_count = 0
    where raised.added_count > 0

),

final as (

    select
        subscription_id,
        meter_id,
        {{ unscaled("added_count") }} as added_quantity,
        {{ unscaled("included_now_count") }} as included_quantity,
        {{ unscaled("included_count") }} as raised_quantity,
        {{ unscaled("overage_now_count") }} as overage_quantity,
        cast(cycle_count as integer) as cycle_count,
        cast(overage_cycle_now_count as integer) as overage_cycle_count,
        capacity_unit_amount,
        cast(capacity_now_minor as bigint) as capacity_now_minor,
        cast(overage_now_minor as bigint) as overage_now_minor,
        cast(capacity_minor as bigint) as capacity_minor,
        cast(overage_minor as bigint) as overage_minor,
        cast(capacity_now_minor + overage_now_minor - capacity_minor - overage_minor as bigint) as saving_minor,
        evidence_now as evidence,
        first_period_start
    from compared
    where offer_number = 1

)

select * from final
