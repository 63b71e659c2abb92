{#- The overage models (contract section 5, rule 6): exact amount of a billable quantity above 0, and what a line says of
    it. Quantities and prices are counts of 10^-12, amounts are counts of 10^-24; see macros/exact.sql. -#}

{#- The terms of a charge that its model computes with: the column of the catalog, and where it is counted in 10^-12. All
    that carries a charge's terms reads this list. -#}
{% macro charge_terms() %}
    {{ return([
        {"column": "unit_amount", "count": "unit_count"},
        {"column": "package_size", "count": "package_size_count"},
        {"column": "package_amount", "count": "package_amount_count"},
        {"column": "flat_amount", "count": "flat_count"},
        {"column": "multiplier", "count": "multiplier_count"},
    ]) }}
{% endmacro %}

{#- The types of these columns, by name. -#}
{% macro charge_term_types() %}
    {%- set types = {} -%}
    {%- for term in charge_terms() -%}{%- do types.update({term.column: "decimal(38, 12)"}) -%}{%- endfor -%}
    {{ return(types) }}
{% endmacro %}

{#- These columns of a relation, as a list. -#}
{% macro charge_term_columns(relation) %}
    {%- set columns = [] -%}
    {%- for term in charge_terms() -%}{%- do columns.append(relation ~ "." ~ term.column) -%}{%- endfor -%}
    {{ return(columns) }}
{% endmacro %}

{#- Words are of a charge's own terms; an override may replace a unit price. -#}
{% macro per_unit_amount(billable, unit) -%}
    {{ billable }} * {{ unit }}
{%- endmacro %}
{% macro per_unit_text() -%}{{ plain_number("unit_amount") }}{%- endmacro %}

{#- A package that is started is charged in full. -#}
{% macro package_amount(billable, package_size, package_price) -%}
    {{ quotient("(" ~ billable ~ " + " ~ package_size ~ " - 1)", package_size) }} * {{ flat_amount(package_price) }}
{%- endmacro %}
{% macro package_text() -%}
    {{ plain_number("package_amount") }} || ' per started ' || {{ plain_number("package_size") }}
{%- endmacro %}

{#- The tier is the last one entered; all below it are full and known from the catalog. -#}
{% macro graduated_amount(billable, amount_below, tier_from, unit, flat) -%}
    {{ amount_below }} + {{ flat_amount(flat) }} + ({{ billable }} - {{ tier_from }}) * {{ unit }}
{%- endmacro %}
{% macro graduated_text() -%}'graduated prices'{%- endmacro %}

{#- The tier that holds the total prices every unit of it. -#}
{% macro volume_amount(billable, unit, flat) -%}
    {{ flat_amount(flat) }} + {{ billable }} * {{ unit }}
{%- endmacro %}
{% macro volume_text() -%}'the volume price of the total'{%- endmacro %}

{% macro flat_amount(flat) -%}
    {{ flat }} * cast(1000000000000 as hugeint)
{%- endmacro %}
{% macro flat_text() -%}'a flat fee'{%- endmacro %}

{#- The billable part of what the provider charged, times the multiplier; null when that cost is not known.
    charged = cost * multiplier, charged_rest = charged % quantity. -#}
{% macro cost_plus_amount(charged, charged_rest, billable, quantity) -%}
    {{ amount_ratio(charged, charged_rest, billable, quantity) }}
{%- endmacro %}
{% macro cost_plus_text() -%}'provider cost times ' || {{ plain_number("multiplier") }}{%- endmacro %}

{#- The amount by the charge's own model, null where it goes beyond the type. Expects the columns of int_charges. -#}
{% macro overage_amount(charge, tier) -%}
    {%- set billable = charge ~ ".overage_count" -%}
    {%- set models = {
        "per_unit": per_unit_amount(billable, charge ~ ".unit_count"),
        "package": package_amount(billable, charge ~ ".package_size_count", charge ~ ".package_amount_count"),
        "graduated": graduated_amount(
            billable, tier ~ ".amount_below", tier ~ ".from_count", tier ~ ".unit_count", tier ~ ".flat_count"
        ),
        "volume": volume_amount(billable, tier ~ ".unit_count", tier ~ ".flat_count"),
        "flat": flat_amount(charge ~ ".flat_count"),
        "cost_plus": cost_plus_amount(
            charge ~ ".charged_amount", charge ~ ".charged_rest", billable, charge ~ ".quantity_count"
        ),
    } -%}
    case {{ charge }}.overage_model
        {% for model, amount in models.items() -%}
        when {{ quoted(model) }} then {{ attempt(amount, billable) }}
        {% endfor -%}
    end
{%- endmacro %}

{#- What follows the quantity on a line, by the charge's own model. Expects the columns of charge_terms. -#}
{% macro overage_text() -%}
    {%- set models = {
        "per_unit": per_unit_text(),
        "package": package_text(),
        "graduated": graduated_text(),
        "volume": volume_text(),
        "flat": flat_text(),
        "cost_plus": cost_plus_text(),
    } -%}
    case overage_model
        {% for model, words in models.items() -%}
        when {{ quoted(model) }} then {{ words }}
        {% endfor -%}
    end
{%- endmacro %}
