-- depends_on: {{ ref('int_rated_periods') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_rerated() }}") }}

{#- What rating says now, whatever was issued. A line's id names its invoice, so that no line can be on two. -#}

with lines as (

    select * from {{ ref('int_lines') }}
    where
        is_current
        and amount_minor is not null

),

periods as (

    select * from {{ ref('int_periods_to_rate') }}

),

plan_versions as (

    select * from {{ ref('int_plan_versions') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

billable_quantities as (

    select * from {{ ref('int_billable_quantities') }}
    where is_current

),

cycles as (

    select
        periods.period_number,
        periods.customer_id,
        periods.subscription_id,
        periods.period_start,
        periods.period_end,
        periods.service_start,
        periods.service_end,
        plan_versions.plan_id,
        plan_versions.currency,
        plan_versions.name as plan_name,
        plan_versions.effective_from as plan_version,
        {{ fingerprint([
            "periods.customer_id", "plan_versions.currency", "periods.period_start", "periods.period_end",
        ]) }} as invoice_hash,
        {{ fingerprint([
            "periods.subscription_id", "periods.customer_id", "plan_versions.currency", "periods.period_start",
            "periods.period_end",
        ]) }} as period_hash,
        case
            when plan_versions.proration = 'none' or periods.served_days = periods.cycle_days then ''
            else ' (' || periods.served_days || ' of ' || periods.cycle_days || ' days)'
        end as share_text
    from periods
    inner join plan_versions on periods.plan_number = plan_versions.plan_number

),

charge_text as (

    select
        charge_number,
        meter_id,
        meter_name,
        included_count,
        is_level,
        overage_model = 'per_unit' as is_per_unit,
        {{ plain_number("included") }} as included_text,
        {{ plain_number("capacity_unit_amount") }} as capacity_text,
        case reset when 'day' then ' per day' when 'calendar_month' then ' per calendar month' else '' end
            as reset_text,
        {{ overage_text() }} as overage_text
    from plan_charges

),

final as (

    select
        'line_' || left(md5(cycles.period_hash || lines.line_type || ':' || coalesce(charge_text.meter_id, '')), 24)
            as invoice_line_id,
        'inv_' || left(cycles.invoice_hash, 24) as invoice_id,
        cycles.customer_id,
        cycles.subscription_id,
        cycles.plan_id,
        lines.line_type,
        charge_text.meter_id,
        {{ line_description() }} as description,
        cycles.currency,
        {{ unscaled("lines.quantity_count") }} as quantity,
        {{ amount_decimal("lines.amount") }} as amount,
        lines.amount_minor,
        cycles.plan_version,
        cycles.period_start,
        cycles.period_end,
        cycles.service_start,
        cycles.service_end
    from lines
    inner join cycles on lines.period_number = cycles.period_number
    left join charge_text on lines.charge_number = charge_text.charge_number
    left join billable_quantities
        on
            lines.period_number = billable_quantities.period_number
            and lines.charge_number = billable_quantities.charge_number

)

select * from final
