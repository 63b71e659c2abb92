{{ config(materialized='ephemeral') }}

{#- Exact amounts of projected overages, by the SQL that rates invoices. -#}

{%- set reads = {
    'int_billable_quantities': ref('int_projected_billables'),
    'int_plan_charges': ref('int_plan_charges'),
    'int_charge_tiers': ref('int_charge_tiers'),
} %}

with final as (

    select
        period_number,
        plan_number,
        charge_number,
        overage_count,
        full_amount,
        is_level,
        invoice_zero,
        is_current
    from ({{ rated_by('int_charges', reads) }})

)

select * from final
