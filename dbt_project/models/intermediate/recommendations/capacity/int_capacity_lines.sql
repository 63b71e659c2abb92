{#- Lines of bought allowance and of the overage that remains, by the SQL that rates invoices; the plan's price is in
    every trial and says nothing. -#}

{%- set reads = {
    'int_assignments': ref('int_capacity_allowances'),
    'int_plan_versions': ref('int_plan_versions'),
    'int_plan_charges': ref('int_plan_charges'),
    'int_billable_quantities': ref('int_capacity_billables'),
    'int_charges': ref('int_capacity_charges'),
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
    where line_type != 'price'

)

select * from final
