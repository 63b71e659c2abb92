{#- What this build has to do, from comparing the versions in use with those of the previous build. The previous row
    is this model's own content: the warehouse file only ever changes as a whole, so what it says was built. -#}

{%- set previous = adapter.get_relation(this.database, this.schema, this.identifier) if execute else none %}
{%- set starts_over = flags.FULL_REFRESH or previous is none or rebuild_request('all') %}

with meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

event_types as (

    select * from {{ ref('stg_catalog__meter_event_types') }}

),

filters as (

    select * from {{ ref('stg_catalog__meter_filters') }}

),

definitions as (

    select concat_ws('|', meter_id, aggregation, field, per) as definition
    from meters
    union all
    select concat_ws('|', meter_id, 'event_type', event_type) as definition
    from event_types
    union all
    select concat_ws('|', meter_id, 'where', field, value) as definition
    from filters

),

meter_definitions as (

    select md5(coalesce(string_agg(definition, chr(10) order by definition), '')) as meters_version
    from definitions

),

prices as (

    select * from {{ ref('stg_catalog__prices') }}

),

settings as (

    select * from {{ ref('stg_catalog__alert_settings') }}

),

{# Models whose requests are priced as another's too. -#}
substitute_definitions as (

    select md5(coalesce(max({{ json_part("value", "substitutes") }}), '')) as substitutes_version
    from settings
    where key = 'models'

),

{# What costs are computed from: another list version or another home price may change any of them. -#}
price_definitions as (

    select
        md5(
            {{ quoted(prices_version()) }} || coalesce(
                string_agg(
                    concat_ws(
                        '|', coalesce(provider, chr(31)), coalesce(model, chr(31)), coalesce(event_type, chr(31)), unit,
                        usd_per_unit, coalesce(cast(valid_from as varchar), ''), coalesce(cast(valid_to as varchar), '')
                    ),
                    chr(10) order by provider, model, event_type, unit, valid_from
                ),
                ''
            )
        ) as prices_version
    from prices

),

current_build as (

    select
        {{ quoted(build_id()) }} as build_id,
        {{ quoted(setting('catalog_version')) }} as catalog_version,
        {{ quoted(setting('accounts_version')) }} as accounts_version,
        {{ quoted(setting('code_version')) }} as code_version,
        {{ quoted(prices_version()) }} as price_list_version,
        {{ quoted(lake_head()) }} as lake_head,
        meter_definitions.meters_version,
        md5(price_definitions.prices_version || substitute_definitions.substitutes_version) as prices_version,
        {{ as_of() }} as as_of
    from meter_definitions
    cross join price_definitions
    cross join substitute_definitions

),

{% if starts_over -%}
previous_build as (

    select
        cast(null as varchar) as catalog_version,
        cast(null as varchar) as accounts_version,
        cast(null as varchar) as meters_version,
        cast(null as varchar) as prices_version

),
{%- else -%}
previous_build as (

    select
        catalog_version,
        accounts_version,
        meters_version,
        prices_version
    from {{ previous }}

),
{%- endif %}

final as (

    select
        current_build.build_id,
        current_build.catalog_version,
        current_build.accounts_version,
        current_build.code_version,
        current_build.price_list_version,
        current_build.lake_head,
        current_build.meters_version,
        current_build.prices_version,
        case
            when
                previous_build.meters_version = current_build.meters_version
                and previous_build.prices_version = current_build.prices_version
                then 'touched'
            else 'all'
        end as days_scope,
        case
            when
                previous_build.catalog_version = current_build.catalog_version
                and previous_build.accounts_version = current_build.accounts_version
                and previous_build.meters_version = current_build.meters_version
                and previous_build.prices_version = current_build.prices_version
                then 'touched'
            else 'all'
        end as coverage_scope,
        current_build.as_of
    from current_build
    cross join previous_build

)

select * from final
