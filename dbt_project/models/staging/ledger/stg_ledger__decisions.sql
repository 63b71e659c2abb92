{#- The ledger may not have been exported yet: then nothing was decided. -#}

{%- set lineage = source('ledger', 'decisions') %}
{%- set files = lake_files("ledger/decisions.parquet") %}

with source as (

    {% if files -%}
    select * from {{ read_files(files) }}
    {%- else -%}
    select
        cast(null as bigint) as decision_number,
        cast(null as varchar) as recommendation_id,
        cast(null as varchar) as decision,
        cast(null as varchar) as note,
        cast(null as timestamp with time zone) as decided_at
    where false
    {%- endif %}

),

renamed as (

    select
        recommendation_id,
        decision,
        note,
        decision_number,
        decided_at
    from source

)

select * from renamed
