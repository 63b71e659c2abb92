{{ config(materialized='ephemeral') }}

{#- The prices of the public list that a kind of event may have. -#}

with public_prices as (

    select * from {{ ref('stg_prices__rows') }}

),

names as (

    select * from {{ ref('int_priced_names') }}

),

requests as (

    select * from {{ ref('int_priced_requests') }}

),

{# Batch prices are known for models of the provider that lists them; another provider's batch requests are priced
    as single ones, and that is an assumption. -#}
final as (

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

)

select * from final
