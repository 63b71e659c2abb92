{{ config(materialized='view') }}

{#- Issued periods that today's documents would rate by other terms than those that hold them: the catalog or the prices
    say something else. What rating says of them now means nothing. -#}

with period_pins as (

    select * from {{ ref('int_period_pins') }}

),

final as (

    select
        invoice_id,
        subscription_id,
        customer_id,
        closing_number,
        has_same_accounts,
        period_start,
        period_end
    from period_pins
    where not has_same_terms

)

select * from final
