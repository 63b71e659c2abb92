{#- What a currency is worth in USD, from one rate to the next. A rate of a pair counts both ways; where both are given,
    the one from the currency to USD does. Before the first rate there is none: the currency has no row then. -#}

with currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

fx_rates as (

    select * from {{ ref('stg_catalog__fx_rates') }}

),

direct_currencies as (

    select distinct base as currency
    from fx_rates
    where quote = 'USD'

),

directions as (

    select
        base as currency,
        rate_date,
        rate as usd_per_unit,
        cast(null as decimal(38, 12)) as units_per_usd
    from fx_rates
    where quote = 'USD'
    union all
    select
        fx_rates.quote as currency,
        fx_rates.rate_date,
        cast(null as decimal(38, 12)) as usd_per_unit,
        fx_rates.rate as units_per_usd
    from fx_rates
    left join direct_currencies on fx_rates.quote = direct_currencies.currency
    where
        fx_rates.base = 'USD'
        and direct_currencies.currency is null
    union all
    select
        'USD' as currency,
        date '0001-01-01' as rate_date,
        cast(1 as decimal(38, 12)) as usd_per_unit,
        cast(null as decimal(38, 12)) as units_per_usd

),

final as (

    select
        directions.currency,
        cast('1e-' || currencies.minor_units as decimal(38, 12)) as minor_unit,
        directions.usd_per_unit,
        directions.units_per_usd,
        directions.rate_date as valid_from,
        lead(directions.rate_date, 1, date '9999-12-31')
            over (partition by directions.currency order by directions.rate_date) as valid_to
    from directions
    inner join currencies on directions.currency = currencies.currency

)

select * from final
