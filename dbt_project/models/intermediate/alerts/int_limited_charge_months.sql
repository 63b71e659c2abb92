{{ config(materialized='ephemeral') }}

{#- The same by calendar month: what usage is joined to, so that a day looks at the months of its own only. -#}

with charges as (

    select * from {{ ref('int_limited_charges') }}

),

period_months as (

    select * from {{ ref('int_period_months') }}

),

final as (

    select
        charges.period_number,
        charges.customer_id,
        charges.meter_id,
        charges.meter_number,
        charges.aggregation,
        charges.reset,
        period_months.month_start,
        period_months.service_start,
        period_months.service_end
    from charges
    inner join period_months on charges.period_number = period_months.period_number

)

select * from final
