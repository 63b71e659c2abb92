{{ config(materialized='view') }}

{#- Which customers of repriced periods sent records after these were issued, and for which day at the earliest. Only
    the files that can say so are read: dated before such a period's end, and unknown to the closing that issued it. -#}

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

with late_events as (

    select * from {{ read_files(event_files(is_late)) }}

),

zones as (

    select * from {{ ref('int_customer_timezones') }}

),

closing_batches as (

    select * from {{ batches }}

),

{# A revision may take an event out of a day up to 35 days before its own. #}
dated as (

    select
        late_events.customer_id,
        coalesce(closing_batches.closing_number, 2147483647) as known_in_closing,
        {{ usage_date("late_events.occurred_at", "zones") }} - case when late_events.revision > 0 then 36 else 0 end
            as first_date
    from late_events
    left join zones on {{ is_zone_of("zones", "late_events") }}
    left join closing_batches on late_events.batch_id = closing_batches.batch_id

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
