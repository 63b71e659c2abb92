{{ config(materialized='view') }}

{#- Which customers of repriced periods sent records after these were issued, or had one superseded, maybe by another
    customer's, and for which day at the earliest. Only the files that can say so are read: dated before such a period's
    end, and unknown to the closing that issued it; and those that may hold what revisions in these supersede. -#}

{%- set repriced = ref("int_repriced_periods") %}
{%- set batches = ref("stg_ledger__closing_batches") %}
{%- set first_closing = "coalesce((select known.closing_number from " ~ batches ~ " as known where known.batch_id = "
    ~ "stg_lake__batch_dates.batch_id), 2147483647)" %}
{%- set is_late -%}
    exists (
        select 1
        from (
            select
                closing_number,
                max(period_end) as period_end
            from {{ repriced }}
            group by closing_number
        ) as issued
        where
            issued.closing_number < {{ first_closing }}
            and issued.period_end + case when max_revision > 0 then 36 else 1 end >= event_date
    )
{%- endset %}
{#- Also of batches that count no longer since then: what they said may not be said again. -#}
{%- set is_taken_out -%}
    batch_id in (
        select replaced.batch_id
        from {{ ref('int_replaced_batches') }} as replaced
        where replaced.batch_id in (select known.batch_id from {{ batches }} as known)
    )
{%- endset %}

{%- set is_superseded -%}
    exists (
        select 1
        from (
            select revised.event_date as revision_date
            from (
                select * from {{ ref("stg_lake__batch_dates") }}
                where max_revision > 0 and ({{ is_late }} or {{ is_taken_out }})
            ) as revised
        ) as late_revisions
        where late_revisions.revision_date between event_date - 35 and event_date + 35
    )
{%- endset %}

with late_events as (

    select
        event_id,
        customer_id,
        batch_id,
        occurred_at,
        revision
    from {{ lake_events(is_late) }}

),

replaced_events as (

    select
        event_id,
        customer_id,
        batch_id,
        occurred_at,
        revision
    from {{ lake_events(is_taken_out, are_replaced=true) }}

),

replaced_batches as (

    select * from {{ ref('int_replaced_batches') }}

),

moved as (

    select * from late_events
    union all
    select
        replaced_events.event_id,
        replaced_events.customer_id,
        replaced_batches.replaced_by as batch_id,
        replaced_events.occurred_at,
        replaced_events.revision
    from replaced_events
    inner join replaced_batches on replaced_events.batch_id = replaced_batches.batch_id

),

older_events as (

    select * from {{ lake_events(is_superseded) }}

),

zones as (

    select * from {{ ref('int_customer_timezones') }}

),

closing_batches as (

    select * from {{ batches }}

),

{# What a late revision takes from its own customer is within 35 days before it. #}
dated as (

    select
        moved.customer_id,
        coalesce(closing_batches.closing_number, 2147483647) as known_in_closing,
        {{ usage_date("moved.occurred_at", "zones") }} - case when moved.revision > 0 then 36 else 0 end
            as first_date
    from moved
    left join zones on {{ is_zone_of("zones", "moved") }}
    left join closing_batches on moved.batch_id = closing_batches.batch_id
    union all
    select
        older_events.customer_id,
        coalesce(closing_batches.closing_number, 2147483647) as known_in_closing,
        {{ usage_date("older_events.occurred_at", "zones") }} as first_date
    from older_events
    inner join moved
        on
            older_events.event_id = moved.event_id
            and older_events.revision < moved.revision
            and older_events.customer_id != moved.customer_id
            and older_events.occurred_at between
            moved.occurred_at - interval 35 day and moved.occurred_at + interval 35 day
    left join zones on {{ is_zone_of("zones", "older_events") }}
    left join closing_batches on moved.batch_id = closing_batches.batch_id

),

final as (

    select
        customer_id,
        known_in_closing,
        min(first_date) as first_date
    from dated
    group by
        customer_id,
        known_in_closing

)

select * from final
