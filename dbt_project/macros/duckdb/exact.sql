{#- macros/exact.sql on DuckDB; what each does is said there. -#}

{#- The digits without the point are the count; writing them takes half as long as arithmetic with the decimal, and
    from 64 bits a fifth of that. -#}
{% macro default__scaled(value) -%}
    cast(replace(
        case
            when {{ value }} between -999999 and 999999 then cast(cast({{ value }} as decimal(18, 12)) as varchar)
            else cast(cast({{ value }} as decimal(38, 12)) as varchar)
        end, '.', ''
    ) as hugeint)
{%- endmacro %}

{% macro default__over_trillion(number) -%}
    case
        when {{ is_short(number) }} then cast({{ short_over_trillion(number) }} as hugeint)
        else {{ number }} // cast(1000000000000 as hugeint)
    end
{%- endmacro %}

{#- Inside CASE because DuckDB would compute a subexpression that occurs twice ahead of, and outside, the TRY. -#}
{% macro default__attempt(expression, given) -%}
    case when {{ given }} is not null then try({{ expression }}) end
{%- endmacro %}
