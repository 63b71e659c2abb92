{%- set lookback = spike_lookback_days() %}
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_alert_days(later=spike_lookback_days()) }}"
) }}

{#- The alerts of days on which a count or sum meter rose above ratio times the mean of the days before. The mean is
    over the days from the first one with usage in the lookback to the day before, days without usage counting as 0: a
    customer is not measured against days before it began. The usage of a day that was touched concerns itself and days
    after. -#}

with daily_quantities as (

    select * from {{ ref('int_daily_quantities') }}
    where
        quantity > 0
        and quantity < {{ beyond_quantity() }}
        and {{ is_alert_day("customer_id", "usage_date", earlier=lookback, later=lookback) }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

settings as (

    select
        cast({{ json_text("value", "ratio") }} as decimal(38, 12)) as ratio,
        cast({{ json_text("value", "min_quantity") }} as decimal(38, 12)) as min_quantity
    from {{ ref('stg_catalog__alert_settings') }}
    where key = 'spike'

),

compared as (

    select
        customer_id,
        meter_id,
        usage_date,
        quantity,
        cast(sum(quantity) over lookback as decimal(38, 12)) as earlier_quantity,
        cast(usage_date - min(usage_date) over lookback as integer) as earlier_days
    from daily_quantities
    window
        lookback as (
            partition by customer_id, meter_id
            order by usage_date
            range between interval {{ lookback }} day preceding and interval 1 day preceding
        )

),

spikes as (

    select
        compared.customer_id,
        compared.meter_id,
        compared.usage_date,
        settings.ratio,
        compared.quantity,
        compared.earlier_quantity,
        compared.earlier_days
    from compared
    cross join settings
    where
        compared.earlier_days is not null
        and compared.quantity >= settings.min_quantity
        and {{ is_alert_day("compared.customer_id", "compared.usage_date", later=lookback) }}
        and coalesce(
            {{ attempt(
                exact_product("compared.quantity", "compared.earlier_days")
                ~ " > " ~ exact_product("compared.earlier_quantity", "settings.ratio"),
                "compared.quantity"
            ) }},
            false
        )

),

means as (

    select
        customer_id,
        meter_id,
        ratio,
        quantity,
        {{ exact_ratio("earlier_quantity", 1, "earlier_days") }} as mean_quantity,
        earlier_days,
        usage_date
    from spikes

),

final as (

    select
        means.customer_id,
        'spike' as kind,
        means.meter_id,
        means.ratio as threshold,
        means.quantity as observed,
        means.mean_quantity as limit_value,
        'warning' as severity,
        means.usage_date,
        means.usage_date as period_start,
        means.usage_date as triggered_on,
        meters.name || ': ' || {{ plain_number("means.quantity") }} || ' on ' || means.usage_date
        || ', more than ' || {{ plain_number("means.ratio") }} || ' times the mean of '
        || {{ plain_number("round(means.mean_quantity, 2)") }} || ' of the '
        || {{ counted("means.earlier_days", "day") }} || ' before' as message
    from means
    inner join meters on means.meter_id = meters.meter_id

)

select * from final
