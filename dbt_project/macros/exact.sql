{#- Exact decimal arithmetic. `/` gives a double on DuckDB, so division happens here only: on integers that count
    10^-12 or 10^-24, half away from zero, to 12 digits after the point. A product of two DECIMAL(38,12) is a
    DECIMAL(38,24) and needs no rounding; beyond 10^14 it overflows, which `attempt` turns into null.
    Branches of a CASE must have one scale: DuckDB narrows DECIMAL(38,24) to (38,12) beside one. -#}

{#- A DECIMAL(38,12) as an integer count of 10^-12. Whole and fraction are scaled apart: one multiplication of the
    whole number would overflow at 10^14. -#}
{% macro scaled(value) -%}
    (
        cast(trunc({{ value }}) as hugeint) * cast(1000000000000 as hugeint)
        + cast(({{ value }} - trunc({{ value }})) * 1000000000000 as hugeint)
    )
{%- endmacro %}

{#- A DECIMAL(38,24) as an integer count of 10^-24. -#}
{% macro scaled_product(value) -%}
    (
        {{ scaled("cast(trunc(" ~ value ~ ", 12) as decimal(38, 12))") }} * cast(1000000000000 as hugeint)
        + cast(({{ value }} - trunc({{ value }}, 12)) * 1000000000000 * 1000000000000 as hugeint)
    )
{%- endmacro %}

{#- The way back: an integer count of 10^-12 as DECIMAL(38,12). -#}
{% macro unscaled(value) -%}
    (
        cast({{ value }} // cast(1000000000000 as hugeint) as decimal(38, 12))
        + cast({{ value }} % cast(1000000000000 as hugeint) as decimal(13, 0)) * cast(0.000000000001 as decimal(12, 12))
    )
{%- endmacro %}

{#- numerator (DECIMAL(38,12)) * multiplier / divisor (both integers, divisor > 0). -#}
{% macro exact_ratio(numerator, multiplier, divisor) -%}
    {%- set product = "(" ~ scaled(numerator) ~ " * cast(" ~ multiplier ~ " as hugeint))" -%}
    {{ unscaled(
        "(sign(" ~ product ~ ") * ((2 * abs(" ~ product ~ ") + cast(" ~ divisor ~ " as hugeint))"
        ~ " // (2 * cast(" ~ divisor ~ " as hugeint))))"
    ) }}
{%- endmacro %}

{#- DECIMAL(38,12) * DECIMAL(38,12), all 24 digits kept. -#}
{% macro exact_product(left, right) -%}
    (cast({{ left }} as decimal(38, 12)) * cast({{ right }} as decimal(38, 12)))
{%- endmacro %}

{#- value (DECIMAL(38,24)) * part / whole, both integers with 0 < part <= whole, to 12 digits. Dividing the whole
    multiples first keeps the product with `part` from overflowing and loses nothing. -#}
{% macro exact_share(value, part, whole) -%}
    {%- set count = "abs(" ~ scaled_product(value) ~ ")" -%}
    cast(
        sign({{ value }}) * {{ unscaled(
            "((" ~ count ~ " // " ~ whole ~ " * " ~ part
            ~ " + " ~ count ~ " % " ~ whole ~ " * " ~ part ~ " // " ~ whole
            ~ " + cast(500000000000 as hugeint)) // cast(1000000000000 as hugeint))"
        ) }}
        as decimal(38, 24)
    )
{%- endmacro %}

{#- amount * factor * part / whole, all DECIMAL(38,12) and not negative, part <= whole, to 12 digits. Multiplied
    before divided; the long product is taken in two halves of `part`. -#}
{% macro exact_product_ratio(amount, factor, part, whole) -%}
    {%- set million = "cast(1000000000000 as hugeint)" -%}
    {%- set count = "(" ~ scaled(amount) ~ " * " ~ scaled(factor) ~ ")" -%}
    {%- set part = scaled(part) -%}
    {%- set whole = scaled(whole) -%}
    {%- set rest = "(" ~ count ~ " % " ~ whole ~ ")" -%}
    {%- set high = "(" ~ rest ~ " * (" ~ part ~ " // " ~ million ~ "))" -%}
    cast(
        {{ unscaled(
            "((" ~ count ~ " // " ~ whole ~ " * " ~ part
            ~ " + " ~ high ~ " // " ~ whole ~ " * " ~ million
            ~ " + (" ~ high ~ " % " ~ whole ~ " * " ~ million ~ " + " ~ rest ~ " * (" ~ part ~ " % " ~ million ~ "))"
            ~ " // " ~ whole ~ " + cast(500000000000 as hugeint)) // " ~ million ~ ")"
        ) }}
        as decimal(38, 24)
    )
{%- endmacro %}

{#- How many whole `size` cover `quantity` (both DECIMAL(38,12), size > 0): the last one may be partly used. -#}
{% macro started_units(quantity, size) -%}
    cast(({{ scaled(quantity) }} + {{ scaled(size) }} - 1) // {{ scaled(size) }} as decimal(38, 0))
{%- endmacro %}

{#- part / whole (DECIMAL(38,12), whole > 0, part >= 0) as DECIMAL(18,6), half away from zero; the type's largest
    value stands for all above it. -#}
{% macro usage_ratio(part, whole) -%}
    cast(
        cast(
            least(
                (2 * {{ scaled(part) }} * cast(1000000 as hugeint) + {{ scaled(whole) }}) // (2 * {{ scaled(whole) }}),
                cast(999999999999999999 as hugeint)
            ) as decimal(18, 0)
        ) * cast(0.000001 as decimal(6, 6)) as decimal(18, 6)
    )
{%- endmacro %}

{#- An exact amount (DECIMAL(38,24)) in minor units of a currency, half away from zero: the one rounding of a line. -#}
{% macro to_minor(amount, minor_units) -%}
    case {{ minor_units }}
        {% for digits in range(5) -%}
        when {{ digits }} then cast(round({{ amount }}, {{ digits }}) * {{ 10 ** digits }} as bigint)
        {% endfor -%}
    end
{%- endmacro %}

{#- Null instead of an error where a value goes beyond its type, so that one row does not stop the others. -#}
{% macro attempt(expression) -%}{{ return(adapter.dispatch("attempt")(expression)) }}{%- endmacro %}
{% macro default__attempt(expression) -%}try({{ expression }}){%- endmacro %}
