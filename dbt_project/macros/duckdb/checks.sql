{#- macros/checks.sql on DuckDB; what each does is said there. -#}

{% macro default__text_hash(value) -%}hash({{ value }}){%- endmacro %}
