{#- The lines that are asked for, with the terms they were rated with: of a price line what is shared, of the others the
    charge. An adjustment has no terms of its own; it is the difference of two statements. -#}

{%- set asked = knowledge("traced_lines") %}

with lines as (

    select * from {{ ref('int_rated_lines') }}
    {% if asked -%}
    where invoice_line_id in (select asked.invoice_line_id from {{ read_files([asked]) }} as asked)
    {%- endif %}

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

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

overrides as (

    select * from {{ ref('stg_accounts__overrides') }}

),

final as (

    select
        lines.invoice_line_id,
        lines.invoice_id,
        lines.customer_id,
        lines.subscription_id,
        lines.plan_id,
        lines.line_type,
        lines.meter_id,
        lines.description,
        lines.currency,
        plan_charges.meter_name,
        plan_charges.unit,
        plan_charges.aggregation,
        meters.field,
        meters.per,
        plan_charges.reset,
        plan_charges.overage_model,
        plan_versions.name as plan_name,
        cast(plan_versions.minor_units as integer) as minor_units,
        cast(case when plan_versions.proration = 'none' then 1 else periods.served_days end as integer) as share_days,
        cast(case when plan_versions.proration = 'none' then 1 else periods.cycle_days end as integer) as share_base,
        plan_versions.price,
        plan_charges.included as plan_included,
        overrides.included as override_included,
        case when lines.line_type = 'usage' then {{ unscaled("billable_quantities.included_count") }} end
            as included_quantity,
        plan_charges.capacity_unit_amount,
        coalesce({{ unscaled("billable_quantities.override_unit_count") }}, plan_charges.unit_amount) as unit_amount,
        {% for term in charge_terms() if term.column != "unit_amount" -%}
        plan_charges.{{ term.column }},
        {% endfor -%}
        lines.quantity,
        lines.amount,
        lines.amount_minor,
        coalesce(plan_charges.carry_forward, false) as carry_forward,
        coalesce(plan_charges.is_level, lines.line_type != 'usage') as is_shared,
        plan_versions.effective_from as plan_version,
        lines.period_start,
        lines.period_end,
        lines.service_start,
        lines.service_end,
        periods.local_today
    from lines
    inner join periods
        on
            lines.subscription_id = periods.subscription_id
            and lines.period_start = periods.period_start
    inner join plan_versions on periods.plan_number = plan_versions.plan_number
    left join plan_charges
        on
            periods.plan_number = plan_charges.plan_number
            and lines.meter_id = plan_charges.meter_id
    left join billable_quantities
        on
            periods.period_number = billable_quantities.period_number
            and plan_charges.charge_number = billable_quantities.charge_number
    left join meters on lines.meter_id = meters.meter_id
    left join overrides
        on
            lines.subscription_id = overrides.subscription_id
            and lines.meter_id = overrides.meter_id
            and (lines.service_start >= overrides.valid_from or overrides.valid_from is null)
            and (lines.service_start < overrides.valid_to or overrides.valid_to is null)

)

select * from final
