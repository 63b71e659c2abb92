{#- macros/projections.sql on DuckDB; what each does is said there. -#}

{% macro default__seconds_left(instant, timezone) -%}
    cast(86400 - epoch_us(timezone(coalesce({{ timezone }}, 'UTC'), {{ instant }})) // 1000000 % 86400 as integer)
{%- endmacro %}
