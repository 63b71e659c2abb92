{#- macros/meters.sql on DuckDB; what each does is said there. -#}

{#- The key is literal: names such as gen_ai.request.model hold dots themselves. -#}
{% macro default__property_text(key) -%}
    json_extract_string(events.properties, {{ quoted('$."' ~ key ~ '"') }})
{%- endmacro %}
