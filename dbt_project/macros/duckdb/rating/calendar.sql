{#- macros/rating/calendar.sql on DuckDB; what each does is said there. -#}

{% macro default__months_between(first_day, last_day) -%}
    cast(unnest(generate_series({{ month_start(first_day) }}, {{ month_start(last_day) }}, interval 1 month)) as date)
{%- endmacro %}

{% macro default__days_between(first_day, last_day) -%}
    cast(unnest(generate_series({{ first_day }}, {{ last_day }}, interval 1 day)) as date)
{%- endmacro %}
