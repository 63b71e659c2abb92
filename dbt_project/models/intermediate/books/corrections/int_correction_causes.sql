{{ config(materialized='view') }}

{#- Why a line is corrected, as JSON: the events (at most 100 of them, and how many there are) and the account rows that
    its last statement did not know. In words, the first three of each. -#}

with differences as (

    select * from {{ ref('int_line_differences') }}

),

events as (

    select * from {{ ref('int_correction_events') }}

),

account_rows as (

    select * from {{ ref('int_correction_account_rows') }}

),

numbered_events as (

    select
        *,
        row_number() over (
            partition by rated_line_id
            order by batch_id, event_id, revision
        ) as position
    from events

),

event_lists as (

    select
        rated_line_id,
        count(*) as event_count,
        string_agg(
            '{"event_id": ' || {{ json_value("event_id") }} || ', "revision": ' || revision
            || ', "batch_id": ' || {{ json_value("batch_id") }} || '}',
            ', ' order by position
        ) filter (where position <= 100) as events,
        {{ counted("count(*)", "event") }} || ': ' || string_agg(
            event_id || case when revision > 0 then ' revision ' || revision else '' end, ', ' order by position
        ) filter (where position <= 3) || case when count(*) > 3 then ', …' else '' end as event_text
    from numbered_events
    group by rated_line_id

),

numbered_account_rows as (

    select
        *,
        row_number() over (
            partition by rated_line_id
            order by table_name, row_key, column_name
        ) as position
    from account_rows

),

account_lists as (

    select
        rated_line_id,
        string_agg(
            '{"table": ' || {{ json_value("table_name") }} || ', "key": ' || {{ json_value("row_key") }}
            || ', "column": ' || {{ json_value("column_name") }} || ', "was": ' || {{ json_value("was") }}
            || ', "is": ' || {{ json_value("is_now") }} || '}',
            ', ' order by position
        ) as account_rows,
        string_agg(
            table_name || ' ' || row_key || ': ' || column_name || ' was ' || coalesce(was, 'nothing') || ', is '
            || coalesce(is_now, 'nothing'),
            '; ' order by position
        ) filter (where position <= 3) || case when count(*) > 3 then '; …' else '' end as account_text
    from numbered_account_rows
    group by rated_line_id

),

final as (

    select
        differences.rated_line_id,
        case
            when event_lists.event_count > 0 and account_lists.account_rows is not null
                then 'usage and account changes known later'
            when event_lists.event_count > 0 then 'usage known later'
            when account_lists.account_rows is not null then 'account change known later'
            else 'rated again'
        end as reason,
        '{"event_count": ' || coalesce(event_lists.event_count, 0) || ', "events": ['
        || coalesce(event_lists.events, '') || '], "account_rows": ['
        || coalesce(account_lists.account_rows, '') || ']}' as causes,
        coalesce(
            event_lists.event_text || '; ' || account_lists.account_text,
            event_lists.event_text,
            account_lists.account_text,
            'no event or account row that is known later'
        ) as cause_text
    from differences
    left join event_lists on differences.rated_line_id = event_lists.rated_line_id
    left join account_lists on differences.rated_line_id = account_lists.rated_line_id

)

select * from final
