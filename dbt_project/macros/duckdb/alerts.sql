{#- macros/alerts.sql on DuckDB; what each does is said there. -#}

{% macro default__json_text(object, key) -%}json_extract_string({{ object }}, '$."{{ key }}"'){%- endmacro %}

{% macro default__json_texts(list) -%}from_json({{ list }}, '["VARCHAR"]'){%- endmacro %}

{% macro default__has_feature(features, feature) -%}
    coalesce(json_extract_string({{ features }}, '$."' || {{ feature }} || '"') != 'false', false)
{%- endmacro %}

{% macro default__split_text(text, separator) -%}string_split({{ text }}, {{ quoted(separator) }}){%- endmacro %}
