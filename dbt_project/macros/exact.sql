{#- Exact decimal arithmetic. `/` gives a double on DuckDB, so division happens here only: on integers, half away from
    zero, to 12 digits after the point. A quantity or price is counted in 10^-12 (`_count`), a product of two in 10^-24;
    counting a decimal is slow and counting back is not, so rating counts once, at the start, and stays in integers.
    DuckDB divides integers of 128 bits bit by bit, at a microsecond each, fifty times what 64 bits take: where the
    values fit, the macros here divide those. Which way a value goes never changes the result. The short ways repeat
    their arguments, so give them columns, not divisions.
    Branches of a CASE over decimals must have one scale: DuckDB narrows DECIMAL(38,24) to (38,12) beside one. -#}

{#- A DECIMAL(38,12) as an integer count of 10^-12. -#}
{% macro scaled(value) -%}{{ return(adapter.dispatch("scaled")(value)) }}{%- endmacro %}

{#- The way back: an integer count of 10^-12 as DECIMAL(38,12). -#}
{% macro unscaled(count) -%}
    (cast({{ count }} as decimal(38, 0)) * cast(0.000000000001 as decimal(12, 12)))
{%- endmacro %}

{#- number // divisor (integers, divisor > 0), the fraction cut off. -#}
{% macro quotient(number, divisor) -%}
    case
        when {{ number }} between 0 and 9000000000000000000 and {{ divisor }} <= 9000000000000000000
            then cast(cast({{ number }} as bigint) // cast({{ divisor }} as bigint) as hugeint)
        else {{ number }} // {{ divisor }}
    end
{%- endmacro %}

{#- number // 10^12, the fraction cut off; a short number's result fits 64 bits, also after adding 10^30. -#}
{% macro over_trillion(number) -%}{{ return(adapter.dispatch("over_trillion")(number)) }}{%- endmacro %}

{% macro is_short(number) -%}
    ({{ number }} >= 0 and {{ number }} < cast('8000000000000000000000000000000' as hugeint))
{%- endmacro %}

{#- 10^12 is 2^12 * 5^12. Twelve bits are shifted away, and what is left is divided by 5^12 as by hand, in two digits:
    the upper one of 63 bits at most, the lower one of 35, which beside a rest below 5^12 fits 63 bits again. -#}
{% macro short_over_trillion(number) -%}
    {%- set upper = "cast(" ~ number ~ " >> 47 as bigint)" -%}
    {%- set lower = "cast((" ~ number ~ " >> 12) & cast(34359738367 as hugeint) as bigint)" -%}
    (({{ upper }} // 244140625 << 35) + (({{ upper }} % 244140625 << 35) + {{ lower }}) // 244140625)
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
    {{ quotient("(2 * " ~ count ~ " * " ~ part ~ " + " ~ whole ~ ")", "(2 * " ~ whole ~ ")") }}
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
    count of 10^-24. Multiplied before divided, from 10^18 on as long multiplication in two halves of `part`;
    rest = amount % whole. -#}
{% macro amount_ratio(amount, rest, part, whole) -%}
    {%- set half = "cast(1000000000000 as hugeint)" -%}
    {%- set high = rest ~ " * (" ~ part ~ " // " ~ half ~ ")" -%}
    (
        (
            {{ amount }} // {{ whole }} * {{ part }}
            + case
                when {{ whole }} < 1000000000000000000 then {{ rest }} * {{ part }} // {{ whole }}
                else {{ high }} // {{ whole }} * {{ half }}
                    + ({{ high }} % {{ whole }} * {{ half }} + {{ rest }} * ({{ part }} % {{ half }})) // {{ whole }}
            end
            + cast(500000000000 as hugeint)
        ) // {{ half }} * {{ half }}
    )
{%- endmacro %}

{#- An amount (count of 10^-24) as DECIMAL(38,12), half away from zero. -#}
{% macro amount_decimal(amount) -%}
    {{ unscaled(over_trillion(
        "(" ~ amount ~ " + case when " ~ amount ~ " < 0 then -500000000000 else 500000000000 end)"
    )) }}
{%- endmacro %}

{#- An amount (count of 10^-24) in minor units, half away from zero: the one rounding of an invoice line. minor_count is
    a minor unit as a count of 10^-12, an even number; cutting off twice is cutting off once. -#}
{% macro to_minor(amount, minor_count) -%}
    {%- set half = minor_count ~ " * cast(500000000000 as hugeint)" -%}
    case
        when {{ is_short(amount) }} then {{ short_over_trillion("(" ~ amount ~ " + " ~ half ~ ")") }} // {{ minor_count }}
        else cast(
            ({{ amount }} + case when {{ amount }} < 0 then -{{ half }} else {{ half }} end)
            // cast(1000000000000 as hugeint) // {{ minor_count }} as bigint
        )
    end
{%- endmacro %}

{#- Amounts of 10^12 and more count as beyond the type, so that no sum of lines can be; given as a count of 10^-24. -#}
{% macro is_within_type(amount) -%}
    abs({{ amount }}) < cast('1000000000000000000000000000000000000' as hugeint)
{%- endmacro %}

{#- part / whole (counts of 10^-12, whole > 0, part >= 0) as DECIMAL(18,6), half away from zero; the type's largest
    value stands for all above it. A whole of six digits after the point, as nearly all are, is divided by 10^6 instead
    of multiplying the part. -#}
{% macro usage_ratio(part, whole) -%}
    {%- set millionth = "(try_cast(" ~ whole ~ " as bigint) // 1000000)" -%}
    cast(
        cast(
            least(
                case
                    when {{ part }} < 4000000000000000000 and try_cast({{ whole }} as bigint) % 1000000 = 0
                        then {{ quotient("(2 * " ~ part ~ " + " ~ millionth ~ ")", "(2 * " ~ millionth ~ ")") }}
                    else (2 * {{ part }} * cast(1000000 as hugeint) + {{ whole }}) // (2 * {{ whole }})
                end,
                cast(999999999999999999 as hugeint)
            ) as decimal(18, 0)
        ) * cast(0.000001 as decimal(6, 6)) as decimal(18, 6)
    )
{%- endmacro %}

{#- From here on a daily quantity counts as beyond the type, so that no sum over a period can be; it stands for all that
    a day, a reading or a property holds from there on. -#}
{% macro beyond_quantity() -%}cast(1000000000000000000000000 as decimal(38, 12)){%- endmacro %}

{#- An integer of any size, not negative, as a daily quantity; null stays null, which `least` would pass over. -#}
{% macro bounded(value) -%}
    case
        when {{ value }} is not null
            then cast(least({{ value }}, cast(1000000000000000000000000 as decimal(38, 0))) as decimal(38, 12))
    end
{%- endmacro %}

{#- Text as a DECIMAL(38,12), null where it is no number; a number beyond a daily quantity, of either sign, stays one. -#}
{% macro bounded_number(text) -%}
    coalesce(
        try_cast({{ text }} as decimal(36, 12)),
        case
            when regexp_matches({{ text }}, '^ *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *$')
                then {{ beyond_quantity() }}
        end
    )
{%- endmacro %}

{#- Aggregate: the sum of daily quantities, exact below beyond_quantity and never an error. Of values from 10^12 on, whole
    and fraction are summed apart, so that neither can leave its type. -#}
{% macro bounded_sum(value) -%}
    {%- set is_large = "abs(" ~ value ~ ") >= 1000000000000" -%}
    {%- set whole = "coalesce(sum(trunc(" ~ value ~ ")) filter (where " ~ is_large ~ "), 0)" -%}
    case
        when max(abs({{ value }})) < {{ beyond_quantity() }} and abs({{ whole }}) < 1000000000000000000000000
            then cast({{ whole }} as decimal(38, 12))
                + coalesce(sum({{ value }}) filter (where not {{ is_large }}), 0)
                + coalesce(sum({{ value }} - trunc({{ value }})) filter (where {{ is_large }}), 0)
        when count({{ value }}) > 0 then {{ beyond_quantity() }}
    end
{%- endmacro %}

{#- Null instead of an error where a value goes beyond its type, so that one row does not stop the others; `given` is
    a column of the expression. -#}
{% macro attempt(expression, given) -%}{{ return(adapter.dispatch("attempt")(expression, given)) }}{%- endmacro %}
