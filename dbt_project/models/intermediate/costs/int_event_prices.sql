{#- The price of every kind of event: what its provider, model and event type cost, cut into intervals in which no
    price changes. Home prices go first: in an interval in which one of them prices any unit of the event, the public
    list is not asked. Days are UTC days, as providers bill. -#}

with event_names as (

    select * from {{ ref('stg_prices__names') }}

),

catalog_prices as (

    select * from {{ ref('stg_catalog__prices') }}

),

public_prices as (

    select * from {{ ref('stg_prices__rows') }}

),

names as (

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

),

requests as (

    select
        name_number,
        false as is_batch
    from names
    union all
    select
        name_number,
        true as is_batch
    from names
    where may_be_batch

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

home_candidates as (

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

),

{# Batch prices are known for models of the provider that lists them; another provider's batch requests are priced
    as single ones, and that is an assumption. -#}
public_candidates as (

    select
        names.name_number,
        requests.is_batch,
        public_prices.unit,
        public_prices.usd_per_unit,
        public_prices.day_from,
        public_prices.day_to,
        public_prices.input_tokens_above,
        public_prices.input_tokens_up_to,
        public_prices.is_assumed or (requests.is_batch and not names.is_own) as is_assumed,
        public_prices.valid_from,
        public_prices.valid_to
    from names
    inner join requests on names.name_number = requests.name_number
    inner join public_prices
        on
            names.price_provider = public_prices.provider
            and names.price_model = public_prices.model
            and (requests.is_batch and names.is_own) = public_prices.is_batch

),

change_days as (

    select
        name_number,
        coalesce(valid_from, date '0001-01-01') as starts_on
    from home_candidates
    union
    select
        name_number,
        valid_to as starts_on
    from home_candidates
    where valid_to is not null
    union
    select
        name_number,
        coalesce(valid_from, date '0001-01-01') as starts_on
    from public_candidates

),

intervals as (

    select
        name_number,
        starts_on,
        lead(starts_on, 1, date '9999-12-31') over (partition by name_number order by starts_on) as ends_on
    from change_days

),

home_sheets as (

    select
        intervals.name_number,
        intervals.starts_on,
        intervals.ends_on,
        arg_max(home.usd_per_unit, home.closeness) filter (where home.unit = 'input_token') as input_token_price,
        arg_max(home.usd_per_unit, home.closeness)
        filter (where home.unit = 'cached_input_token') as cached_input_token_price,
        arg_max(home.usd_per_unit, home.closeness) filter (where home.unit = 'output_token') as output_token_price,
        arg_max(home.usd_per_unit, home.closeness) filter (where home.unit = 'request') as request_price,
        arg_max(home.usd_per_unit, home.closeness) filter (where home.unit = 'quantity') as quantity_price
    from intervals
    inner join home_candidates as home
        on
            intervals.name_number = home.name_number
            and intervals.starts_on >= coalesce(home.valid_from, date '0001-01-01')
            and intervals.starts_on < coalesce(home.valid_to, date '9999-12-31')
    group by
        intervals.name_number,
        intervals.starts_on,
        intervals.ends_on

),

public_sheets as (

    select
        intervals.name_number,
        intervals.starts_on,
        intervals.ends_on,
        listed.is_batch,
        listed.day_from,
        listed.day_to,
        coalesce(listed.input_tokens_above, -1) as input_tokens_above,
        coalesce(listed.input_tokens_up_to, 9223372036854775807) as input_tokens_up_to,
        bool_or(listed.is_assumed) as is_assumed,
        max(listed.usd_per_unit) filter (where listed.unit = 'input_token') as input_token_price,
        max(listed.usd_per_unit) filter (where listed.unit = 'cached_input_token') as cached_input_token_price,
        max(listed.usd_per_unit) filter (where listed.unit = 'output_token') as output_token_price,
        max(listed.usd_per_unit) filter (where listed.unit = 'request') as request_price
    from intervals
    inner join public_candidates as listed
        on
            intervals.name_number = listed.name_number
            and intervals.starts_on >= coalesce(listed.valid_from, date '0001-01-01')
            and intervals.starts_on < coalesce(listed.valid_to, date '9999-12-31')
    left join home_sheets
        on intervals.name_number = home_sheets.name_number and intervals.starts_on = home_sheets.starts_on
    where home_sheets.name_number is null
    group by all

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
