-- depends_on: {{ ref('int_periods_to_pin') }}
{#- Lines as the versions that their closing pinned rate them, of the periods in int_periods_to_pin: computed aside
    while books are closed, and handed over as a file. Without one there are none. -#}

{%- set file = knowledge("METERHOUSE_PINNED_LINES") %}

with source as (

    {% if file -%}
    select * from {{ read_files([file]) }}
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
