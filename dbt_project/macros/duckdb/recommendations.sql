{#- macros/recommendations.sql on DuckDB; what each does is said there. -#}

{% macro default__json_lists(object, key, items) -%}
    unnest(map_keys(from_json({{ object }}, '"MAP(VARCHAR, VARCHAR[])"'))) as {{ key }},
    unnest(map_values(from_json({{ object }}, '"MAP(VARCHAR, VARCHAR[])"'))) as {{ items }}
{%- endmacro %}

{% macro default__json_part(object, key) -%}cast(json_extract({{ object }}, '$."{{ key }}"') as varchar){%- endmacro %}

{% macro default__json_quote(text) -%}
    coalesce(cast(to_json(cast({{ text }} as varchar)) as varchar), 'null')
{%- endmacro %}

{% macro default__months_before(day, count) -%}cast({{ day }} - to_months({{ count }}) as date){%- endmacro %}

{% macro default__decimal_text(value) -%}
    case
        when contains(cast({{ value }} as varchar), '.') then rtrim(rtrim(cast({{ value }} as varchar), '0'), '.')
        else cast({{ value }} as varchar)
    end
{%- endmacro %}
