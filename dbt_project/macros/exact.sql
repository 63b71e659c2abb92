{#- Exact decimal arithmetic. `/` gives a double on DuckDB, so division happens here only: on integers, half away from
    zero, to 12 digits after the point. A quantity or price is counted in 10^-12 (`_count`), a product of two in 10^-24;
    counting a decimal is slow and counting back is not, so rating counts once, at the start, and stays in integers.
    Branches of a CASE over decimals must have one scale: DuckDB narrows DECIMAL(38,24) to (38,12) beside one. -#}

{#- A DECIMAL(38,12) as an integer count of 10^-12. Whole and fraction are scaled apart: one multiplication of the
    whole number would overflow at 10^14. -#}
{% macro scaled(value) -%}
    (
        cast(trunc({{ value }}) as hugeint) * cast(1000000000000 as hugeint)
        + cast(({{ value }} - trunc({{ value }})) * 1000000000000 as hugeint)
    )
{%- endmacro %}

{#- The way back: an integer count of 10^-12 as DECIMAL(38,12). -#}
{% macro unscaled(count) -%}
    (cast({{ count }} as decimal(38, 0)) * cast(0.000000000001 as decimal(12, 12)))
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

{#- count * part / whole, integers with 0 < part <= whole and count >= 0, half away from zero. -#}
{% macro count_share(count, part, whole) -%}
    ((2 * {{ count }} * {{ part }} + {{ whole }}) // (2 * {{ whole }}))
{%- endmacro %}

{#- amount (count of 10^-24) * part / whole, integers with 0 < part <= whole, to 12 digits, again a count of 10^-24.
    Dividing first what divides evenly keeps the product with `part` from overflowing and loses nothing. -#}
{% macro amount_share(amount, part, whole) -%}
    {%- set count = "abs(" ~ amount ~ ")" -%}
    (
        sign({{ amount }}) * (
            (
                {{ count }} // {{ whole }} * {{ part }} + {{ count }} % {{ whole }} * {{ part }} // {{ whole }}
                + cast(500000000000 as hugeint)
            ) // cast(1000000000000 as hugeint) * cast(1000000000000 as hugeint)
        )
    )
{%- endmacro %}

{#- amount (count of 10^-24) * part / whole (counts of 10^-12), none negative, part <= whole, to 12 digits, again a
    count of 10^-24. Multiplied before divided, as long multiplication in two halves of `part`; rest = amount % whole. -#}
{% macro amount_ratio(amount, rest, part, whole) -%}
    {%- set half = "cast(1000000000000 as hugeint)" -%}
    {%- set high = rest ~ " * (" ~ part ~ " // " ~ half ~ ")" -%}
    (
        (
            {{ amount }} // {{ whole }} * {{ part }}
            + {{ high }} // {{ whole }} * {{ half }}
            + ({{ high }} % {{ whole }} * {{ half }} + {{ rest }} * ({{ part }} % {{ half }})) // {{ whole }}
            + cast(500000000000 as hugeint)
        ) // {{ half }} * {{ half }}
    )
{%- endmacro %}

{#- An amount (count of 10^-24) as DECIMAL(38,12), half away from zero. -#}
{% macro amount_decimal(amount) -%}
    {{ unscaled(
        "(" ~ amount ~ " + case when " ~ amount ~ " < 0 then -500000000000 else 500000000000 end)"
        ~ " // cast(1000000000000 as hugeint)"
    ) }}
{%- endmacro %}

{#- An amount (count of 10^-24) in minor units, half away from zero: the one rounding of an invoice line. minor_half is
    half a minor unit as a count of 10^-24. -#}
{% macro to_minor(amount, minor_half) -%}
    cast(
        ({{ amount }} + case when {{ amount }} < 0 then -{{ minor_half }} else {{ minor_half }} end)
        // (2 * {{ minor_half }}) as bigint
    )
{%- endmacro %}

{#- Amounts of 10^12 and more count as beyond the type, so that no sum of lines can be; given as a count of 10^-24. -#}
{% macro is_within_type(amount) -%}
    abs({{ amount }}) < cast('1000000000000000000000000000000000000' as hugeint)
{%- endmacro %}

{#- part / whole (counts of 10^-12, whole > 0, part >= 0) as DECIMAL(18,6), half away from zero; the type's largest
    value stands for all above it. -#}
{% macro usage_ratio(part, whole) -%}
    cast(
        cast(
            least(
                (2 * {{ part }} * cast(1000000 as hugeint) + {{ whole }}) // (2 * {{ whole }}),
                cast(999999999999999999 as hugeint)
            ) as decimal(18, 0)
        ) * cast(0.000001 as decimal(6, 6)) as decimal(18, 6)
    )
{%- endmacro %}

{#- From here on a daily quantity counts as beyond the type, so that no sum over a period can be. -#}
{% macro beyond_quantity() -%}cast(1000000000000000000000000 as decimal(38, 12)){%- endmacro %}

{#- Null instead of an error where a value goes beyond its type, so that one row does not stop the others; `given` is
    a column of the expression. -#}
{% macro attempt(expression, given) -%}{{ return(adapter.dispatch("attempt")(expression, given)) }}{%- endmacro %}

{#- Inside CASE because DuckDB would compute a subexpression that occurs twice ahead of, and outside, the TRY. -#}
{% macro default__attempt(expression, given) -%}
    case when {{ given }} is not null then try({{ expression }}) end
{%- endmacro %}
