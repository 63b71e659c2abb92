{#- Usage against the allowances that are tried, by the SQL that rates invoices. -#}

{%- set reads = {
    'int_assigned_charges': ref('int_capacity_allowances'),
    'int_usage_in_periods': ref('int_capacity_usage'),
} %}

with final as (

    select
        period_number,
        plan_number,
        charge_number,
        quantity_count,
        peak_count,
        included_count,
        capacity_count,
        overage_count,
        override_unit_count,
        cost_usd,
        is_current
    from ({{ rated_by('int_billable_quantities', reads) }})

)

select * from final
