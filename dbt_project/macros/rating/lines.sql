{#- The words of invoice lines. -#}

{#- A decimal as people write it: 12,345.5 -#}
{% macro plain_number(value) -%}{{ return(adapter.dispatch("plain_number")(value)) }}{%- endmacro %}

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

{#- The same of an integer count of 10^-12, which may not be negative: whole numbers are the rule, and 64 bits enough. -#}
{% macro plain_count(count) -%}{{ return(adapter.dispatch("plain_count")(count)) }}{%- endmacro %}

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

{#- What follows the quantity, from a charge's own terms; an override may replace a unit price. -#}
{% macro overage_words() -%}
    case overage_model
        when 'per_unit' then {{ plain_number("unit_amount") }}
        when 'package'
            then {{ plain_number("package_amount") }} || ' per started ' || {{ plain_number("package_size") }}
        when 'graduated' then 'graduated prices'
        when 'volume' then 'the volume price of the total'
        when 'flat' then 'a flat fee'
        when 'cost_plus' then 'provider cost times ' || {{ plain_number("multiplier") }}
    end
{%- endmacro %}

{#- Expects the aliases of invoice_lines.sql. -#}
{% macro line_description() -%}
    case lines.line_type
        when 'price' then cycles.plan_name || cycles.share_words
        when 'capacity'
            then charge_words.meter_name || ': ' || {{ plain_count("lines.quantity_count") }} || ' bought above '
                || charge_words.included_words || ' included, at ' || charge_words.capacity_words || ' '
                || cycles.currency || ' each' || cycles.share_words
        else charge_words.meter_name || ': ' || {{ plain_count("lines.quantity_count") }}
            || case
                when billable_quantities.included_count = 0 then ''
                when billable_quantities.included_count = charge_words.included_count
                    then ' over ' || charge_words.included_words || ' included' || charge_words.reset_words
                when billable_quantities.included_count is not null
                    then ' over ' || {{ plain_count("billable_quantities.included_count") }} || ' included'
                        || charge_words.reset_words
                else ''
            end
            || ', at '
            || case
                when billable_quantities.override_unit_count is not null
                    then {{ plain_count("billable_quantities.override_unit_count") }}
                else charge_words.overage_words
            end
            || case
                when charge_words.is_per_unit then ' ' || cycles.currency || ' each'
                else ''
            end
            || case when charge_words.is_level then cycles.share_words else '' end
    end
{%- endmacro %}
