{#- What an event cost at its provider. The sender's own figure wins; otherwise the event is joined to the one price in
    int_event_prices that applies to it, and quantities are multiplied by prices. The same arithmetic holds for one
    event and for the sums of events that share a price, so nothing is rounded before it is summed. -#}

{#- How an event got its cost, or why it has none. Numbers, because the scan groups millions of events by them. -#}
{% macro cost_statuses() %}
    {{ return({"sender": 0, "priced": 1, "no_usage": 2, "unknown_model": 3, "cached_above_input": 4,
        "missing_tokens": 5, "missing_price": 6}) }}
{% endmacro %}

{% macro is_priced(status) -%}{{ status }} = {{ cost_statuses().priced }}{%- endmacro %}

{#- The price list version in use; none if the build is not told of one. -#}
{% macro prices_version() -%}{{ var("prices_version", "") if execute else "" }}{%- endmacro %}

{#- Files of the price list version in use, below its folder. -#}
{% macro price_files(pattern) %}
    {%- set version = prices_version() -%}
    {%- if not version -%}{{ return([]) }}{%- endif -%}
    {{ return(lake_files("prices/" ~ version ~ "/" ~ pattern)) }}
{% endmacro %}

{#- The rows of these files, or none of the given columns: what is not priced is listed, it never stops a build. -#}
{% macro price_table(name, pattern, columns) -%}
    {%- set lineage = source("prices", name) -%}
    {%- set files = price_files(pattern) -%}
    {%- if files -%}
        {{ read_files(files) }}
    {%- else -%}
        (select {% for column, type in columns.items() %}cast(null as {{ type }}) as {{ column }}
        {{- ", " if not loop.last }}{% endfor %} where false)
    {%- endif -%}
{%- endmacro %}

{#- Which price applies: at most one row of int_event_prices satisfies this for an event. -#}
{% macro price_applies(events, prices) -%}
    {{ events }}.event_type = {{ prices }}.event_type
    and {{ events }}.provider is not distinct from {{ prices }}.provider
    and {{ events }}.model is not distinct from {{ prices }}.model
    {%- if has_prices_where("is_batch") %}
    and {{ is_batch(events) }} = {{ prices }}.is_batch
    {%- endif %}
    and {{ events }}.occurred_at >= {{ prices }}.valid_from
    and {{ events }}.occurred_at < {{ prices }}.valid_to
    and coalesce({{ events }}.input_tokens, 0) > {{ prices }}.input_tokens_above
    and coalesce({{ events }}.input_tokens, 0) <= {{ prices }}.input_tokens_up_to
    {%- if has_prices_where("day_from > 0") %}
    and {{ microsecond_of_day(events ~ ".occurred_at") }} >= {{ prices }}.day_from
    and {{ microsecond_of_day(events ~ ".occurred_at") }} < {{ prices }}.day_to
    {%- endif %}
{%- endmacro %}

{#- Few models are priced by time of day, few homes send batch requests; looking at each event for what no price asks
    costs a third of the scan. -#}
{% macro has_prices_where(condition) %}
    {%- set prices = ref("int_event_prices") -%}
    {%- if not execute -%}{{ return(false) }}{%- endif -%}
    {{ return(column_values("select count(*) from " ~ prices ~ " where " ~ condition)[0] > 0) }}
{% endmacro %}

{% macro microsecond_of_day(instant) -%}{{ return(adapter.dispatch("microsecond_of_day")(instant)) }}{%- endmacro %}

{% macro is_batch(events) -%}{{ return(adapter.dispatch("is_batch")(events)) }}{%- endmacro %}

{#- One of cost_statuses(), for an event and the price that applies to it (all null: none does). -#}
{% macro cost_status(events, prices) -%}
    {%- set status = cost_statuses() -%}
    case
        when {{ events }}.cost_usd is not null then {{ status.sender }}
        when {{ prices }}.price_number is null
            then case
                when
                    {{ events }}.model is null and {{ events }}.input_tokens is null
                    and {{ events }}.output_tokens is null and {{ events }}.cached_input_tokens is null
                    then {{ status.no_usage }}
                else {{ status.unknown_model }}
            end
        when not {{ prices }}.has_token_prices then {{ status.priced }}
        when {{ events }}.cached_input_tokens > coalesce({{ events }}.input_tokens, 0) then {{ status.cached_above_input }}
        when {{ events }}.input_tokens is null and {{ events }}.output_tokens is null then {{ status.missing_tokens }}
        when
            ({{ events }}.output_tokens > 0 and {{ prices }}.output_token_price is null)
            or ({{ events }}.cached_input_tokens > 0 and {{ prices }}.cached_input_token_price is null)
            or (
                {{ events }}.input_tokens > coalesce({{ events }}.cached_input_tokens, 0)
                and {{ prices }}.input_token_price is null
            )
            then {{ status.missing_price }}
        else {{ status.priced }}
    end
{%- endmacro %}

{#- The product of usage and prices with all its digits, DECIMAL(36,24); null from 10^12 USD on, so that no sum of a
    day's products leaves its type. `usage` has the event fields, or their sums over event_count events that share the
    price. -#}
{% macro priced_cost(usage, prices, event_count) -%}
    {%- set cached = "cast(coalesce(" ~ usage ~ ".cached_input_tokens, 0) as decimal(38, 0))" -%}
    {%- set uncached = "(cast(coalesce(" ~ usage ~ ".input_tokens, 0) as decimal(38, 0)) - " ~ cached ~ ")" -%}
    {%- set output = "cast(coalesce(" ~ usage ~ ".output_tokens, 0) as decimal(38, 0))" -%}
    {%- set quantity = "cast(" ~ usage ~ ".quantity as decimal(38, 6))" -%}
    {{ attempt(
        "cast("
        ~ "cast(case when " ~ prices ~ ".has_token_prices then "
        ~ uncached ~ " * coalesce(" ~ prices ~ ".input_token_price, 0)"
        ~ " + " ~ cached ~ " * coalesce(" ~ prices ~ ".cached_input_token_price, 0)"
        ~ " + " ~ output ~ " * coalesce(" ~ prices ~ ".output_token_price, 0)"
        ~ " else 0 end as decimal(38, 24))"
        ~ " + cast(cast(" ~ event_count ~ " as decimal(38, 0)) * coalesce(" ~ prices ~ ".request_price, 0)"
        ~ " as decimal(38, 24))"
        ~ " + " ~ quantity ~ " * coalesce(" ~ prices ~ ".quantity_price, 0)"
        ~ " as decimal(36, 24))",
        prices ~ ".price_number"
    ) }}
{%- endmacro %}

{#- Effective events of the days that this build computes, each with its price and cost_status. For a model that sums:
    group by price_number and cost_status, then take priced_cost of the sums. -#}
{% macro priced_events(columns, condition="true") -%}
    select
        events.*,
        prices.price_number,
        cast({{ cost_status("events", "prices") }} as utinyint) as cost_status
    from (
        {{ effective_events(columns, condition) }}
    ) as events
    left join {{ ref("int_event_prices") }} as prices on {{ price_applies("events", "prices") }}
{%- endmacro %}

{#- The status in words: where a cost comes from. `cost` is a priced one; beyond its type there is none. -#}
{% macro cost_source(status, cost, price_source) -%}
    case
        when {{ status }} = {{ cost_statuses().sender }} then 'sender'
        when {{ is_priced(status) }} and {{ cost }} is not null then {{ price_source }}
        else 'none'
    end
{%- endmacro %}

{#- ... and why there is none; null where there is one, or where none is to be expected. -#}
{% macro unpriced_reason(status, cost) -%}
    case {{ status }}
        {%- for name, number in cost_statuses().items() if name not in ("sender", "no_usage", "priced") %}
        when {{ number }} then {{ quoted(name) }}
        {%- endfor %}
        when {{ cost_statuses().priced }} then case when {{ cost }} is null then 'beyond_range' end
    end
{%- endmacro %}

{#- An amount (DECIMAL(38,12)) as USD to 12 digits, by a row of int_currency_days; null where there is none. -#}
{% macro in_usd(amount, currency) -%}
    case
        when {{ currency }}.usd_per_unit is not null
            then {{ attempt(
                "cast(round(" ~ exact_product(amount, currency ~ ".usd_per_unit") ~ ", 12) as decimal(38, 12))", amount
            ) }}
        when {{ currency }}.units_per_usd is not null
            then {{ attempt(
                exact_ratio(amount, "1000000000000", scaled(currency ~ ".units_per_usd")), amount
            ) }}
    end
{%- endmacro %}
