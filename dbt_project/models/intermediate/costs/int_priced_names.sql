{{ config(materialized='ephemeral') }}

{#- Every kind of event that may have a price, numbered, with the name that the public list knows it by. -#}

with event_names as (

    select * from {{ ref('stg_prices__names') }}

),

final as (

    select
        provider,
        model,
        event_type,
        price_provider,
        price_model,
        is_own,
        bool_or(may_be_batch) as may_be_batch,
        row_number() over (order by provider, model, event_type) as name_number
    from event_names
    group by
        provider,
        model,
        event_type,
        price_provider,
        price_model,
        is_own

)

select * from final
