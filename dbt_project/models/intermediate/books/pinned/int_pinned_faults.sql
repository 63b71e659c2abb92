{{ config(materialized='ephemeral') }}

-- depends_on: {{ ref('int_periods_to_pin') }}
{#- What the versions that their closing pinned cannot rate, of the same periods. -#}

{%- set folder = knowledge("pinned") %}

with source as (

    {% if folder -%}
    select * from {{ read_files([folder ~ "/int_rating_faults.parquet"]) }}
    {%- else -%}
    select * from {{ ref('int_rating_faults') }}
    where false
    {%- endif %}

),

final as (

    select
        subscription_id,
        customer_id,
        meter_id,
        fault,
        period_start,
        period_end,
        service_start,
        service_end
    from source

)

select * from final
