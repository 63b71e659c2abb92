{{ config(materialized='ephemeral') }}

{#- The days on which a price of a kind of event begins or ends cut time into intervals without a change. -#}

with home_prices as (

    select * from {{ ref('int_home_prices') }}

),

public_prices as (

    select * from {{ ref('int_public_prices') }}

),

change_days as (

    select
        name_number,
        coalesce(valid_from, date '0001-01-01') as starts_on
    from home_prices
    union
    select
        name_number,
        valid_to as starts_on
    from home_prices
    where valid_to is not null
    union
    select
        name_number,
        coalesce(valid_from, date '0001-01-01') as starts_on
    from public_prices

),

final as (

    select
        name_number,
        starts_on,
        lead(starts_on, 1, date '9999-12-31') over (partition by name_number order by starts_on) as ends_on
    from change_days

)

select * from final
