{#- The overage models (contract section 5, rule 6): exact amount, DECIMAL(38,24), of a billable quantity above 0. -#}

{% macro per_unit_amount(billable, unit_amount) -%}
    {{ exact_product(billable, unit_amount) }}
{%- endmacro %}

{#- A package that is started is charged in full. Counts as of `scaled`. -#}
{% macro package_amount(billable_count, package_size_count, package_amount) -%}
    cast(
        cast(
            ({{ billable_count }} + {{ package_size_count }} - 1) // {{ package_size_count }} as decimal(38, 0)
        ) * {{ package_amount }} as decimal(38, 24)
    )
{%- endmacro %}

{#- The tier is the last one entered; all below it are full and known from the catalog. -#}
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

{#- The billable part of what the provider charged, times the multiplier; null when that cost is not known.
    charged_count = scaled(cost) * scaled(multiplier), charged_rest = that % quantity_count. -#}
{% macro cost_plus_amount(charged_count, charged_rest, billable_count, quantity_count) -%}
    {{ exact_product_ratio(charged_count, charged_rest, billable_count, quantity_count) }}
{%- endmacro %}

{#- The amount by the charge's own model, null where one goes beyond the type. Expects the columns of int_charges. -#}
{% macro overage_amount(charge, tier) -%}
    {%- set billable = charge ~ ".overage_quantity" -%}
    {%- set models = {
        "per_unit": per_unit_amount(billable, charge ~ ".unit_amount"),
        "package": package_amount(
            charge ~ ".overage_count", charge ~ ".package_size_count", charge ~ ".package_amount"
        ),
        "graduated": graduated_amount(
            billable, tier ~ ".amount_below", tier ~ ".tier_from", tier ~ ".unit_amount", tier ~ ".flat_amount"
        ),
        "volume": volume_amount(billable, tier ~ ".unit_amount", tier ~ ".flat_amount"),
        "flat": flat_fee_amount(charge ~ ".flat_amount"),
        "cost_plus": cost_plus_amount(
            charge ~ ".charged_count", charge ~ ".charged_rest", charge ~ ".overage_count", charge ~ ".quantity_count"
        ),
    } -%}
    case {{ charge }}.overage_model
        {% for model, amount in models.items() -%}
        when {{ quoted(model) }} then {{ attempt(amount, billable) }}
        {% endfor -%}
    end
{%- endmacro %}
