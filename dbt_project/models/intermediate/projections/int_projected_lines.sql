{#- Lines of projected invoices, by the SQL that rates invoices. -#}

{%- set reads = {
    'int_assignments': ref('int_projected_assignments'),
    'int_plan_versions': ref('int_plan_versions'),
    'int_plan_charges': ref('int_plan_charges'),
    'int_billable_quantities': ref('int_projected_billables'),
    'int_charges': ref('int_projected_charges'),
} %}

with final as (

    select
        period_number,
        plan_number,
        line_type,
        charge_number,
        quantity_count,
        amount,
        amount_minor,
        is_current
    from ({{ rated_by('int_lines', reads) }})

)

select * from final
