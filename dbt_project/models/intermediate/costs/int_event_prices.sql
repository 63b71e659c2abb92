{#- The price of every kind of event: what its provider, model and event type cost, cut into intervals in which no
    price changes. Home prices go first: in an interval in which one of them prices any unit of the event, the public
    list is not asked. Days are UTC days, as providers bill. -#}

with names as (

    select * from {{ ref('int_priced_names') }}

),

requests as (

    select * from {{ ref('int_priced_requests') }}

),

home_sheets as (

    select * from {{ ref('int_home_sheets') }}

),

public_sheets as (

    select * from {{ ref('int_public_sheets') }}

),

sheets as (

    select
        home_sheets.name_number,
        'home_price' as cost_source,
        home_sheets.starts_on,
        home_sheets.ends_on,
        requests.is_batch,
        cast(0 as bigint) as day_from,
        cast(86400000000 as bigint) as day_to,
        cast(-1 as bigint) as input_tokens_above,
        cast(9223372036854775807 as bigint) as input_tokens_up_to,
        false as is_assumed,
        home_sheets.input_token_price,
        home_sheets.cached_input_token_price,
        home_sheets.output_token_price,
        home_sheets.request_price,
        home_sheets.quantity_price
    from home_sheets
    inner join requests on home_sheets.name_number = requests.name_number
    union all
    select
        name_number,
        'public_price' as cost_source,
        starts_on,
        ends_on,
        is_batch,
        day_from,
        day_to,
        input_tokens_above,
        input_tokens_up_to,
        is_assumed,
        input_token_price,
        cached_input_token_price,
        output_token_price,
        request_price,
        cast(null as decimal(38, 18)) as quantity_price
    from public_sheets

),

{# Cached tokens without a price of their own cost what other input does. -#}
final as (

    select
        cast(
            row_number() over (
                order by
                    sheets.name_number, sheets.is_batch, sheets.starts_on, sheets.day_from, sheets.input_tokens_above
            ) as integer
        ) as price_number,
        names.provider,
        names.model,
        names.event_type,
        sheets.cost_source,
        sheets.input_token_price,
        coalesce(sheets.cached_input_token_price, sheets.input_token_price) as cached_input_token_price,
        sheets.output_token_price,
        sheets.request_price,
        sheets.quantity_price,
        sheets.day_from,
        sheets.day_to,
        sheets.input_tokens_above,
        sheets.input_tokens_up_to,
        sheets.is_batch,
        sheets.is_assumed,
        coalesce(sheets.input_token_price, sheets.cached_input_token_price, sheets.output_token_price)
        is not null as has_token_prices,
        cast(sheets.starts_on as timestamp with time zone) as valid_from,
        cast(sheets.ends_on as timestamp with time zone) as valid_to
    from sheets
    inner join names on sheets.name_number = names.name_number

)

select * from final
