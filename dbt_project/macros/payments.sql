{#- Reading what the ledger exports of payments, and the words for an invoice's state. -#}

{#- An exported table, each column in its type; before the first export a table without rows. -#}
{% macro exported_rows(table, columns) -%}
    {%- set lineage = source("ledger", table) -%}
    {%- set files = lake_files("ledger/" ~ table ~ ".parquet") -%}
    (
        select
            {% for column, type in columns.items() -%}
            cast({{ column if files else "null" }} as {{ type }}) as {{ column }}{{ "," if not loop.last }}
            {% endfor -%}
        {% if files -%} from {{ read_files(files) }} {%- else -%} where false {%- endif %}
    )
{%- endmacro %}

{#- The contract's word for an issued invoice, from Stripe's word and how much of it is sent. -#}
{% macro invoice_status(stripe_status, unsent_count) -%}
    case
        when {{ stripe_status }} in ('paid', 'void') then {{ stripe_status }}
        when {{ stripe_status }} in ('open', 'uncollectible') then 'finalized'
        when {{ unsent_count }} = 0 then 'sent'
        else 'issued'
    end
{%- endmacro %}
