{#- The ledger may not have been exported yet: then nothing was read. -#}

{%- set lineage = source('ledger', 'alert_reads') %}
{%- set files = column_values("select file from " ~ list_files(lake_path("ledger/alert_reads.parquet"))) | list %}

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
