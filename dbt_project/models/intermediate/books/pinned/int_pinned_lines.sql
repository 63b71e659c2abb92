{{ config(materialized='ephemeral') }}

-- depends_on: {{ ref('int_periods_to_pin') }}
{#- Lines as the versions that their closing pinned rate them, of the periods in int_periods_to_pin: computed aside
    while books are closed, and handed over in a folder. Without one there are none. -#}

{%- set folder = knowledge("pinned") %}

with source as (

    {% if folder -%}
    select * from {{ read_files([folder ~ "/int_rated_lines.parquet"]) }}
    {%- else -%}
    select * from {{ ref('int_rated_lines') }}
    where false
    {%- endif %}

),

final as (

    select
        invoice_line_id,
        invoice_id,
        customer_id,
        subscription_id,
        plan_id,
        line_type,
        meter_id,
        description,
        currency,
        quantity,
        amount,
        amount_minor,
        plan_version,
        period_start,
        period_end,
        service_start,
        service_end
    from source

)

select * from final
