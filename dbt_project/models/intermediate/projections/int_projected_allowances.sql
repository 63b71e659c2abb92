{#- Allowances of open periods, by the SQL that rates invoices. -#}

{%- set reads = {
    'int_assignments': ref('int_projected_assignments'),
    'int_plan_charges': ref('int_plan_charges'),
    'int_periods_to_rate': ref('int_open_periods'),
    'stg_accounts__overrides': ref('stg_accounts__overrides'),
} %}

with final as (

    select
        period_number,
        plan_number,
        charge_number,
        meter_number,
        reset,
        included_count,
        included_quantity,
        capacity_count,
        override_unit_count,
        is_current
    from ({{ rated_by('int_assigned_charges', reads) }})

)

select * from final
