{#- The ledger may not have been exported yet: then nothing was read. -#}

{%- set lineage = source('ledger', 'alert_reads') %}
{%- set files = lake_files("ledger/alert_reads.parquet") %}

with source as (

    {% if files -%}
    select * from {{ read_files(files) }}
    {%- else -%}
    select
        cast(null as varchar) as alert_id,
        cast(null as varchar) as read_by,
        cast(null as timestamp with time zone) as read_at
    where false
    {%- endif %}

),

renamed as (

    select
        alert_id,
        read_by,
        read_at
    from source

)

select * from renamed
