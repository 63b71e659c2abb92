{#- The words of a line's rule: what its quantity is made of and what is paid for it. Expects the columns of line_proofs. -#}
{% macro line_rule() -%}
    case line_type
        when 'price'
            then plan_name || ': ' || {{ plain_number("price") }} || ' ' || currency || ' per cycle' || share_text
        when 'capacity'
            then coalesce({{ plain_number("override_included") }}, '?') || ' by override - '
                || {{ plain_number("plan_included") }} || ' of the plan = ' || {{ plain_number("quantity") }}
                || ' bought, at ' || {{ plain_number("capacity_unit_amount") }} || ' ' || currency || ' each' || share_text
        else
            case aggregation
                when 'count' then 'events'
                when 'sum' then 'sum of ' || field
                when 'unique' then 'distinct ' || field
                when 'max' then 'highest ' || field
                else 'last ' || field
            end
            || coalesce(' per ' || per || ', added', '')
            || case when carry_forward then ', beginning with the last reading before' else '' end
            || case reset
                when 'day' then '; per local day'
                when 'calendar_month' then '; per local calendar month'
                else ''
            end
            || ': ' || {{ plain_number("usage_quantity") }} || ' used'
            || coalesce(
                ' - ' || {{ plain_number("included_quantity") }} || ' included'
                || case reset when 'day' then ' per day' when 'calendar_month' then ' per month' else '' end,
                ''
            )
            || ' = ' || {{ plain_number("derived_quantity") }} || ', at '
            || case
                when overage_model = 'per_unit' then overage_text || ' ' || currency || ' each'
                else overage_text
            end
            || share_text
    end
{%- endmacro %}
