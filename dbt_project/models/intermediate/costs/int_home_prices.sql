{{ config(materialized='ephemeral') }}

{#- The prices of prices.csv that a kind of event may have, each with how close it is to the event. -#}

with catalog_prices as (

    select * from {{ ref('stg_catalog__prices') }}

),

names as (

    select * from {{ ref('int_priced_names') }}

),

{# The more an entry says, the closer it is to the event: a model says more than an event type, that more than a
    provider. Overlapping entries that say the same are a fault of the catalog. -#}
home_prices as (

    select
        *,
        case when model is null then 0 else 4 end
        + case when event_type is null then 0 else 2 end
        + case when provider is null then 0 else 1 end as closeness
    from catalog_prices

),

final as (

    select
        names.name_number,
        home_prices.unit,
        home_prices.usd_per_unit,
        home_prices.closeness,
        home_prices.valid_from,
        home_prices.valid_to
    from names
    inner join home_prices
        on
            (home_prices.provider is null or names.provider = home_prices.provider)
            and (home_prices.model is null or names.model = home_prices.model)
            and (home_prices.event_type is null or names.event_type = home_prices.event_type)

)

select * from final
