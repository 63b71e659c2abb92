{{ config(materialized='ephemeral') }}

{#- What the public list says of the intervals in which no home price holds. -#}

with intervals as (

    select * from {{ ref('int_price_intervals') }}

),

public_prices as (

    select * from {{ ref('int_public_prices') }}

),

home_sheets as (

    select * from {{ ref('int_home_sheets') }}

),

final as (

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
    inner join public_prices as listed
        on
            intervals.name_number = listed.name_number
            and intervals.starts_on >= coalesce(listed.valid_from, date '0001-01-01')
            and intervals.starts_on < coalesce(listed.valid_to, date '9999-12-31')
    left join home_sheets
        on intervals.name_number = home_sheets.name_number and intervals.starts_on = home_sheets.starts_on
    where home_sheets.name_number is null
    group by all

)

select * from final
