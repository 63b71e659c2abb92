{#- The words of invoice lines. -#}

{#- A decimal as people write it: 12,345.5 -#}
{% macro plain_number(value) -%}{{ return(adapter.dispatch("plain_number")(value)) }}{%- endmacro %}

{#- The same of an integer count of 10^-12, which may not be negative: whole numbers are the rule, and 64 bits enough. -#}
{% macro plain_count(count) -%}{{ return(adapter.dispatch("plain_count")(count)) }}{%- endmacro %}

{#- Expects the aliases of invoice_lines.sql. -#}
{% macro line_description() -%}
    case lines.line_type
        when 'price' then cycles.plan_name || cycles.share_text
        when 'capacity'
            then charge_text.meter_name || ': ' || {{ plain_count("lines.quantity_count") }} || ' bought above '
                || charge_text.included_text || ' included, at ' || charge_text.capacity_text || ' '
                || cycles.currency || ' each' || cycles.share_text
        else charge_text.meter_name || ': ' || {{ plain_count("lines.quantity_count") }}
            || case
                when billable_quantities.included_count = 0 then ''
                when billable_quantities.included_count = charge_text.included_count
                    then ' over ' || charge_text.included_text || ' included' || charge_text.reset_text
                when billable_quantities.included_count is not null
                    then ' over ' || {{ plain_count("billable_quantities.included_count") }} || ' included'
                        || charge_text.reset_text
                else ''
            end
            || ', at '
            || case
                when billable_quantities.override_unit_count is not null
                    then {{ plain_count("billable_quantities.override_unit_count") }}
                else charge_text.overage_text
            end
            || case
                when charge_text.is_per_unit then ' ' || cycles.currency || ' each'
                else ''
            end
            || case when charge_text.is_level then cycles.share_text else '' end
    end
{%- endmacro %}
