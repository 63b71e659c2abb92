{#- The words of FOCUS, which asks for units as capitalized plurals. -#}

{#- A meter's unit as FOCUS writes units: request is Requests, GB stays GB. -#}
{% macro unit_text(unit) -%}
    case
        when {{ is_data_size(unit) }} then {{ unit }}
        when {{ unit }} like '%s' then {{ capitalized(unit) }}
        when {{ unit }} like '%y' and lower(substr({{ unit }}, length({{ unit }}) - 1, 1)) not in ('a', 'e', 'i', 'o', 'u')
            then {{ capitalized("substr(" ~ unit ~ ", 1, length(" ~ unit ~ ") - 1)") }} || 'ies'
        else {{ capitalized(unit) }} || 's'
    end
{%- endmacro %}

{#- The same for a level that is held for a time: Seat-Months. -#}
{% macro unit_months(unit) -%}
    case when {{ is_data_size(unit) }} then {{ unit }} else {{ capitalized(unit) }} end || '-Months'
{%- endmacro %}

{% macro capitalized(words) -%}upper(substr({{ words }}, 1, 1)) || substr({{ words }}, 2){%- endmacro %}

{% macro is_data_size(unit) -%}
    {{ unit }} in (
        'b', 'B'
        {%- for size in ["K", "M", "G", "T", "P", "E"] -%}
        , '{{ size }}b', '{{ size }}B', '{{ size }}ib', '{{ size }}iB'
        {%- endfor -%}
    )
{%- endmacro %}
