{#- macros/touched.sql on DuckDB; what each does is said there. -#}

{#- UTC is by far the most common zone, and a zone look-up per row costs more than the rest of the scan; a plain cast
    of an instant to a date does one as well, into the session's zone. -#}
{% macro default__local_date(instant, timezone) -%}
    case
        when {{ timezone }} is null or {{ timezone }} = 'UTC' then cast(make_timestamp(epoch_us({{ instant }})) as date)
        else cast(timezone({{ timezone }}, {{ instant }}) as date)
    end
{%- endmacro %}

{% macro default__start_of_day(day, timezone) -%}
    {%- set midnight = "timezone(" ~ timezone ~ ", cast(" ~ day ~ " as timestamp))" -%}
    case
        when {{ local_date(midnight ~ " - interval 1 hour", timezone) }} = {{ day }} then {{ midnight }} - interval 1 hour
        else {{ midnight }}
    end
{%- endmacro %}
