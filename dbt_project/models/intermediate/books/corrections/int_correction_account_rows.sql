{{ config(materialized='ephemeral') }}

{#- Account rows of a corrected line's subscription and customer that are not what they were in the accounts version
    of the closing that last stated the line. Only computed for a closing. -#}

{%- set differences = ref("int_line_differences") %}
{%- set closings = ref("stg_ledger__closings") %}
{%- set versions = column_values(
    "select distinct closings.accounts_version from " ~ closings ~ " as closings where closings.closing_number in"
    ~ " (select stated_in_closing from " ~ differences ~ ") order by 1"
) if is_closing() else [] %}
{%- set facts = {
    "customers": {"subject": "customer_id", "key": "customer_id", "columns": ["timezone", "inactive_from"]},
    "subscriptions": {
        "subject": "subscription_id", "key": "subscription_id",
        "columns": ["customer_id", "plan_id", "plan_version", "started_on", "ended_on", "billing_anchor_day"],
    },
    "overrides": {
        "subject": "subscription_id", "key": "meter_id || coalesce(' from ' || cast(valid_from as varchar), '')",
        "columns": ["included", "is_unlimited", "unit_amount", "valid_to"],
    },
} %}

with line_differences as (

    select
        differences.rated_line_id,
        differences.customer_id,
        differences.subscription_id,
        closings.accounts_version
    from {{ differences }} as differences
    inner join {{ closings }} as closings on differences.stated_in_closing = closings.closing_number
    where {{ is_within_closing("differences.period_end") }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

overrides as (

    select * from {{ ref('stg_accounts__overrides') }}

),

pinned_customers as (

    select * from {{ pinned_table("accounts", "customers", versions, ["customer_id"] + facts.customers["columns"]) }}

),

pinned_subscriptions as (

    select * from {{ pinned_table(
        "accounts", "subscriptions", versions, ["subscription_id"] + facts.subscriptions["columns"]
    ) }}

),

pinned_overrides as (

    select * from {{ pinned_table(
        "accounts", "overrides", versions, ["subscription_id", "meter_id", "valid_from"] + facts.overrides["columns"]
    ) }}

),

facts_then as (

    {{ account_facts(facts, {
        "customers": "pinned_customers", "subscriptions": "pinned_subscriptions", "overrides": "pinned_overrides"
    }, "accounts_version") }}

),

facts_now as (

    {{ account_facts(facts, {
        "customers": "customers", "subscriptions": "subscriptions", "overrides": "overrides"
    }, "cast(null as varchar)") }}

),

{# Every row that the line's subscription or customer has or had. #}
named as (

    select
        table_name,
        subject_id,
        row_key,
        column_name
    from facts_then
    union
    select
        table_name,
        subject_id,
        row_key,
        column_name
    from facts_now

),

rows_of_lines as (

    select
        line_differences.rated_line_id,
        line_differences.accounts_version,
        named.table_name,
        named.subject_id,
        named.row_key,
        named.column_name
    from line_differences
    inner join named on line_differences.customer_id = named.subject_id
    where named.table_name = 'customers'
    union all
    select
        line_differences.rated_line_id,
        line_differences.accounts_version,
        named.table_name,
        named.subject_id,
        named.row_key,
        named.column_name
    from line_differences
    inner join named on line_differences.subscription_id = named.subject_id
    where named.table_name != 'customers'

),

final as (

    select
        rows_of_lines.rated_line_id,
        rows_of_lines.table_name,
        case
            when rows_of_lines.table_name = 'overrides' then rows_of_lines.subject_id || ' ' || rows_of_lines.row_key
            else rows_of_lines.row_key
        end as row_key,
        rows_of_lines.column_name,
        facts_then.value as was,
        facts_now.value as is_now
    from rows_of_lines
    left join facts_then
        on
            rows_of_lines.accounts_version = facts_then.accounts_version
            and rows_of_lines.table_name = facts_then.table_name
            and rows_of_lines.subject_id = facts_then.subject_id
            and rows_of_lines.row_key = facts_then.row_key
            and rows_of_lines.column_name = facts_then.column_name
    left join facts_now
        on
            rows_of_lines.table_name = facts_now.table_name
            and rows_of_lines.subject_id = facts_now.subject_id
            and rows_of_lines.row_key = facts_now.row_key
            and rows_of_lines.column_name = facts_now.column_name
    where facts_then.value is distinct from facts_now.value

)

select * from final
