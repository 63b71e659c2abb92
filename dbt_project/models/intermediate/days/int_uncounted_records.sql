{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_uncounted() }}"
) }}

{#- Kept so that a sum over all of history stays cheap: records accepted, less these, are the events that count. They
    are looked for among new records, and among those within 35 days of new revisions. -#}

{%- set is_new = "build_id = " ~ quoted(build_id()) %}
{%- set near_revisions -%}
    exists (
        select 1 from {{ ref('stg_lake__batch_dates') }} as revised
        where
            revised.{{ is_new }} and revised.max_revision > 0
            and stg_lake__batch_dates.event_date between revised.event_date - 36 and revised.event_date + 36
    )
{%- endset %}
{%- set lineage = source("lake", "events") %}

with records as (

    select * from {{ lake_events(
        is_new ~ " or " ~ near_revisions if is_incremental() and not is_revision_replaced() else "true"
    ) }}

),

revisions as (

    select * from {{ ref('int_event_revisions') }}

),

uncounted as (

    select
        records.batch_id,
        records.source_row,
        records.is_void
    from records
    left join revisions
        on
            records.event_id = revisions.event_id
            and records.revision < revisions.revision
            and revisions.occurred_at between
            records.occurred_at - interval 35 day and records.occurred_at + interval 35 day
    where
        records.is_void
        or revisions.event_id is not null

),

final as (

    select distinct
        uncounted.batch_id,
        uncounted.source_row
    from uncounted
    {% if is_incremental() -%}
    left join {{ this }} as known
        on
            uncounted.batch_id = known.batch_id
            and uncounted.source_row = known.source_row
    where known.batch_id is null
    {%- endif %}

)

select * from final
