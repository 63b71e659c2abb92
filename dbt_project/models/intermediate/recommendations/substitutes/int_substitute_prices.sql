{#- What a substitute would cost under the names that events give to the model it stands in for, so that the condition
    which prices an event prices it on the substitute too. A substitute is bought from the same provider if that one has
    a price for it, otherwise from whoever lists it. -#}

with prices as (

    select * from {{ ref('int_event_prices') }}

),

substitutes as (

    select * from {{ ref('int_model_substitutes') }}

),

event_names as (

    select * from {{ ref('stg_prices__names') }}

),

names as (

    select distinct
        event_names.provider,
        event_names.model,
        event_names.event_type,
        substitutes.substitute
    from event_names
    inner join substitutes on event_names.model = substitutes.model

),

own_sheets as (

    select distinct
        provider,
        model,
        event_type
    from prices

),

offers as (

    select
        names.provider,
        names.model,
        names.event_type,
        names.substitute,
        case when own_sheets.model is not null then names.provider end as sold_by
    from names
    left join own_sheets
        on
            names.provider is not distinct from own_sheets.provider
            and names.substitute = own_sheets.model
            and names.event_type = own_sheets.event_type

),

final as (

    select
        offers.provider,
        offers.model,
        offers.event_type,
        offers.substitute,
        prices.price_number,
        prices.input_token_price,
        prices.cached_input_token_price,
        prices.output_token_price,
        prices.request_price,
        prices.quantity_price,
        prices.day_from,
        prices.day_to,
        prices.input_tokens_above,
        prices.input_tokens_up_to,
        prices.is_batch,
        prices.is_assumed,
        prices.has_token_prices,
        prices.valid_from,
        prices.valid_to
    from offers
    inner join prices
        on
            offers.sold_by is not distinct from prices.provider
            and offers.substitute = prices.model
            and offers.event_type = prices.event_type

)

select * from final
