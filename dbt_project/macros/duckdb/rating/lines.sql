{#- macros/rating/lines.sql on DuckDB; what each does is said there. -#}

{% macro default__plain_number(value) -%}
    {%- set text = "cast(abs(" ~ value ~ ") as varchar)" -%}
    case when {{ value }} < 0 then '-' else '' end
    || case
        when abs({{ value }}) < 1000000000000000000
            then format('{:,}', cast(split_part({{ text }}, '.', 1) as bigint))
        else format('{:,}', cast(split_part({{ text }}, '.', 1) as hugeint))
    end
    || rtrim(rtrim('.' || split_part({{ text }}, '.', 2), '0'), '.')
{%- endmacro %}

{% macro default__plain_count(count) -%}
    {%- set short = "cast(" ~ count ~ " as bigint)" -%}
    case
        when {{ count }} < 9000000000000000000
            then format('{:,}', {{ short }} // 1000000000000) || case
                when {{ short }} % 1000000000000 = 0 then ''
                else '.' || rtrim(lpad(cast({{ short }} % 1000000000000 as varchar), 12, '0'), '0')
            end
        else {{ plain_number(unscaled(count)) }}
    end
{%- endmacro %}
