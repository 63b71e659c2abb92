{#- The contract's word for an issued invoice, from Stripe's word and how much of it is sent. -#}
{% macro invoice_status(stripe_status, unsent_count) -%}
    case
        when {{ stripe_status }} in ('paid', 'void') then {{ stripe_status }}
        when {{ stripe_status }} in ('open', 'uncollectible') then 'finalized'
        when {{ unsent_count }} = 0 then 'sent'
        else 'issued'
    end
{%- endmacro %}
