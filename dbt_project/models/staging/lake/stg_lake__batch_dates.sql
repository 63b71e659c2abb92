{{ config(materialized='incremental', incremental_strategy='append') }}

with batches as (

    select * from {{ ref('stg_lake__batches') }}
    {% if is_incremental() -%}
    where build_id = {{ quoted(build_id()) }}
    {%- endif %}

),

days as (

    select
        batch_id,
        build_id,
        max_revision,
        unnest(event_dates) as event_day
    from batches

),

renamed as (

    select
        batch_id,
        build_id,
        max_revision,
        event_day['event_count'] as event_count,
        event_day['event_date'] as event_date
    from days

)

select * from renamed
