{#- macros/books.sql on DuckDB; what each does is said there. -#}

{% macro default__money_text(amount_minor, minor_units) -%}
    {%- set amount = in_major(amount_minor, minor_units) -%}
    (
        case when ({{ amount_minor }}) < 0 then '-' else '' end
        || format('{:,}', cast(trunc(abs({{ amount }})) as hugeint))
        || case
            when {{ minor_units }} = 0 then ''
            else '.' || substr(cast(abs({{ amount }} - trunc({{ amount }})) as varchar), 3, cast({{ minor_units }} as integer))
        end
    )
{%- endmacro %}

{% macro default__sha256_hex(text) -%}sha256({{ text }}){%- endmacro %}

{% macro default__json_value(text) -%}coalesce(cast(to_json({{ text }}) as varchar), 'null'){%- endmacro %}
