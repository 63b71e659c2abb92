{#- What alerts are computed from, and which part of them a build computes again. Alerts depend on every part of catalog
    and accounts and, through costs, on the price list; a new version of any looks at all usage that is kept, otherwise
    what was touched is enough. -#}

{#- 'all' or 'touched'. -#}
{% macro alert_scope() %}
    {%- set build_scope = ref("int_build_scope") -%}
    {%- set touched = ref("int_touched_customer_days") -%}
    {%- if not execute or not is_incremental() -%}{{ return("all") }}{%- endif -%}
    {{ return(column_values(
        "select case when days_scope = 'all' or coverage_scope = 'all' then 'all' else 'touched' end from " ~ build_scope
    )[0]) }}
{% endmacro %}

{#- Condition: the (customer, day) is looked at again. A touched day concerns the days from `earlier` days before it to
    `later` days after it; NULL stands for every customer or every day. -#}
{% macro is_alert_day(customer_id, usage_date, earlier=0, later=0) -%}
    {%- set touched = ref("int_touched_customer_days") -%}
    {%- if alert_scope() == "all" -%}
        true
    {%- else -%}
        {%- set days -%}
            (
                select
                    customer_id,
                    usage_date + cast(unnest(generate_series(-{{ earlier }}, {{ later }})) as integer) as usage_date
                from {{ touched }}
                where usage_date is not null
            )
        {%- endset -%}
        (
            ({{ customer_id }}, {{ usage_date }}) in (
                select (customer_id, usage_date) from {{ days }} where customer_id is not null
            )
            or {{ customer_id }} in (select customer_id from {{ touched }} where usage_date is null)
            or {{ usage_date }} in (select usage_date from {{ days }} where customer_id is null)
        )
    {%- endif -%}
{%- endmacro %}

{#- Condition: a day of the (customer, calendar month) is looked at again. -#}
{% macro is_alert_month(customer_id, calendar_month) -%}
    {%- set touched = ref("int_touched_customer_days") -%}
    {%- if alert_scope() == "all" -%}
        true
    {%- else -%}
        (
            ({{ customer_id }}, {{ calendar_month }}) in (
                select (customer_id, {{ month_start("usage_date") }}) from {{ touched }}
                where customer_id is not null and usage_date is not null
            )
            or {{ customer_id }} in (select customer_id from {{ touched }} where usage_date is null)
            or {{ calendar_month }} in (
                select {{ month_start("usage_date") }} from {{ touched }} where customer_id is null
            )
        )
    {%- endif -%}
{%- endmacro %}

{#- Condition: the service period was rated in this build, or is looked at again. -#}
{% macro is_alert_period(subscription_id, period_start) -%}
    {%- set periods = ref("int_rated_periods") -%}
    {%- if alert_scope() == "all" -%}
        true
    {%- else -%}
        ({{ subscription_id }}, {{ period_start }}) in (
            select (subscription_id, period_start) from {{ periods }} where is_due
        )
    {%- endif -%}
{%- endmacro %}

{#- Pre-hooks: what is looked at again goes first, and with it what no longer exists. -#}
{% macro delete_alert_days(earlier=0, later=0) %}
    {%- if execute and is_incremental() -%}
        delete from {{ this }} where {{ is_alert_day("customer_id", "usage_date", earlier, later) }}
    {%- endif -%}
{% endmacro %}

{% macro delete_alert_months() %}
    {%- if execute and is_incremental() -%}
        delete from {{ this }} where {{ is_alert_month("customer_id", "calendar_month") }}
    {%- endif -%}
{% endmacro %}

{% macro delete_alert_periods() %}
    {%- if execute and is_incremental() and alert_scope() == "all" -%}
        delete from {{ this }}
    {%- else -%}
        {{ delete_rerated() }}
    {%- endif -%}
{% endmacro %}

{#- How many days before a day its spikes are measured against. -#}
{% macro spike_lookback_days() %}
    {%- set settings = ref("stg_catalog__alert_settings") -%}
    {{ return(column_values(
        "select " ~ json_text("value", "lookback_days") ~ " from " ~ settings ~ " where key = 'spike'"
    ) | first | default(1) | int) }}
{% endmacro %}

{#- A key of a JSON object as text; null if it is absent or null. `key` is a literal, the key of has_feature a column. -#}
{% macro json_text(object, key) -%}{{ return(adapter.dispatch("json_text")(object, key)) }}{%- endmacro %}

{#- The texts of a JSON list; null if there is none. -#}
{% macro json_texts(list) -%}{{ return(adapter.dispatch("json_texts")(list)) }}{%- endmacro %}

{#- Does the plan have the feature? It does unless it is absent, null or false. -#}
{% macro has_feature(features, feature) -%}{{ return(adapter.dispatch("has_feature")(features, feature)) }}{%- endmacro %}

{#- The least DECIMAL(38,12) that reaches amount * ratio; null beyond the type. -#}
{% macro alert_bar(amount, ratio) -%}
    {%- set product = exact_product(amount, ratio) -%}
    {{ attempt(
        "cast(trunc(" ~ product ~ ", 12) as decimal(38, 12))"
        ~ " + case when " ~ product ~ " > trunc(" ~ product ~ ", 12)"
        ~ " then cast(0.000000000001 as decimal(12, 12)) else 0 end",
        amount
    ) }}
{%- endmacro %}

{#- USD (DECIMAL(38,12)) in a currency, to 12 digits, by a row of int_currency_days; null where there is none. -#}
{% macro from_usd(amount_usd, currency) -%}
    case
        when {{ currency }}.units_per_usd is not null
            then {{ attempt(
                "cast(round(" ~ exact_product(amount_usd, currency ~ ".units_per_usd") ~ ", 12) as decimal(38, 12))",
                amount_usd
            ) }}
        when {{ currency }}.usd_per_unit is not null
            then {{ attempt(
                exact_ratio(amount_usd, "1000000000000", scaled(currency ~ ".usd_per_unit")), amount_usd
            ) }}
    end
{%- endmacro %}

{#- How grave it is to have used this share of what is allowed. -#}
{% macro severity_of(threshold) -%}
    case when {{ threshold }} >= 0.9 then 'critical' when {{ threshold }} >= 0.75 then 'warning' else 'info' end
{%- endmacro %}

{#- A ratio as people write it: 80 % -#}
{% macro percent(ratio) -%}{{ plain_number(ratio ~ " * 100") }} || ' %'{%- endmacro %}

{#- The parts of a text; null of null. -#}
{% macro split_text(text, separator) -%}{{ return(adapter.dispatch("split_text")(text, separator)) }}{%- endmacro %}

{#- What a budget's alerts are about: together with the customer it names one budget. -#}
{% macro budget_subject(measure, currency, period) -%}
    {{ measure }} || ' in ' || {{ currency }} || ' per ' || {{ period }}
{%- endmacro %}

{#- The words of a budget's alert; measured is what the money is, in words. -#}
{% macro budget_message(measured) -%}
    {{ measured }} || ' ' || {{ plain_number("observed") }} || ' ' || currency || ', ' || {{ percent("threshold") }}
    || ' or more of the budget of ' || {{ plain_number("limit_value") }} || ' ' || currency || ' per ' || period
    || case kind when 'pause_reached' then ': the customer should be stopped' else '' end
{%- endmacro %}

{#- '3 events', '1 event'. -#}
{% macro counted(count, noun) -%}
    {{ plain_number("cast(" ~ count ~ " as decimal(38, 12))") }} || ' {{ noun }}' || case when {{ count }} = 1 then '' else 's' end
{%- endmacro %}
