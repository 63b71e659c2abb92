{#- The overage models (contract section 5, rule 6): exact amount, DECIMAL(38,24), of a billable quantity above 0. -#}

{% macro per_unit_amount(billable, unit_amount) -%}
    {{ exact_product(billable, unit_amount) }}
{%- endmacro %}

{#- A package that is started is charged in full. -#}
{% macro package_amount(billable, package_size, package_amount) -%}
    cast({{ started_units(billable, package_size) }} * {{ package_amount }} as decimal(38, 24))
{%- endmacro %}

{#- The tier is the last one entered; all before it are full and known from the catalog. -#}
{% macro graduated_amount(billable, amount_below, tier_from, unit_amount, flat_amount) -%}
    cast(
        {{ amount_below }} + cast({{ flat_amount }} as decimal(38, 24))
        + {{ exact_product("(" ~ billable ~ " - " ~ tier_from ~ ")", unit_amount) }} as decimal(38, 24)
    )
{%- endmacro %}

{#- The tier that holds the total prices every unit of it. -#}
{% macro volume_amount(billable, unit_amount, flat_amount) -%}
    cast(
        cast({{ flat_amount }} as decimal(38, 24)) + {{ exact_product(billable, unit_amount) }} as decimal(38, 24)
    )
{%- endmacro %}

{% macro flat_fee_amount(flat_amount) -%}
    cast({{ flat_amount }} as decimal(38, 24))
{%- endmacro %}

{#- The billable part of what the provider charged for all usage; null when that is not known. -#}
{% macro cost_plus_amount(cost_usd, multiplier, billable, quantity) -%}
    {{ exact_product_ratio(cost_usd, multiplier, billable, quantity) }}
{%- endmacro %}
