{{ config(materialized='view') }}

{#- Which terms hold a service period: those that the latest document on it was issued with, among the documents on the
    plan and version that the accounts name now. A version that the catalog dated back is not one that the accounts name;
    one that another first day brings is, where the one issued was not in force by then, or in another currency. A
    subscription that is gone, that has another customer, plan or version, or that does not serve the cycle, is held to
    nothing: account rows known later apply. -#}

{%- set issued = ref("stg_ledger__issued_periods") %}
{%- set terms = ref("int_period_terms") %}
{%- set subscriptions = ref("stg_accounts__subscriptions") %}
{%- set closings = ref("stg_ledger__closings") %}
{#- Only where these may tell: the version is another one, and held versions or overrides were. -#}
{%- set versions = column_values(
    "select distinct closings.accounts_version from " ~ issued ~ " as issued"
    ~ " inner join " ~ terms ~ " as terms on issued.subscription_id = terms.subscription_id"
    ~ " and issued.customer_id = terms.customer_id and issued.plan_id = terms.plan_id"
    ~ " and issued.period_start = terms.period_start and issued.period_end = terms.period_end"
    ~ " inner join " ~ subscriptions ~ " as subscriptions on issued.subscription_id = subscriptions.subscription_id"
    ~ " inner join " ~ closings ~ " as closings on issued.closing_number = closings.closing_number"
    ~ " where subscriptions.plan_version is null and issued.plan_version != terms.plan_version"
    ~ " and issued.accounts_hash is distinct from terms.accounts_hash order by 1"
) %}

with issued_periods as (

    select * from {{ issued }}

),

period_terms as (

    select * from {{ terms }}

),

subscriptions as (

    select * from {{ subscriptions }}

),

closings as (

    select * from {{ closings }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

pinned_subscriptions as (

    select * from
        {{ pinned_table(
            "accounts", "subscriptions", versions, ["subscription_id", "plan_version"], {"plan_version": "date"}
        ) }}

),

candidates as (

    select
        issued_periods.invoice_id,
        issued_periods.subscription_id,
        issued_periods.customer_id,
        issued_periods.closing_number,
        issued_periods.terms_hash = period_terms.terms_hash as has_same_terms,
        coalesce(
            period_terms.accounts_hash = issued_periods.accounts_hash
            and period_terms.service_start = issued_periods.service_start
            and period_terms.service_end = issued_periods.service_end,
            false
        ) as has_same_accounts,
        issued_periods.period_start,
        issued_periods.period_end,
        row_number() over (
            partition by issued_periods.subscription_id, issued_periods.period_start, issued_periods.period_end
            order by issued_periods.closing_number desc, issued_periods.invoice_id asc
        ) as place
    from issued_periods
    inner join period_terms
        on
            issued_periods.subscription_id = period_terms.subscription_id
            and issued_periods.customer_id = period_terms.customer_id
            and issued_periods.plan_id = period_terms.plan_id
            and issued_periods.period_start = period_terms.period_start
            and issued_periods.period_end = period_terms.period_end
    inner join subscriptions on issued_periods.subscription_id = subscriptions.subscription_id
    inner join closings on issued_periods.closing_number = closings.closing_number
    inner join issued_invoices on issued_periods.invoice_id = issued_invoices.invoice_id
    left join pinned_subscriptions
        on
            issued_periods.subscription_id = pinned_subscriptions.subscription_id
            and closings.accounts_version = pinned_subscriptions.accounts_version
    where
        issued_periods.plan_version = period_terms.plan_version
        or (
            subscriptions.plan_version is null
            and pinned_subscriptions.plan_version is null
            and issued_periods.plan_version <= period_terms.service_start
            and (
                issued_invoices.currency = period_terms.currency
                or issued_periods.service_start = period_terms.service_start
            )
        )

),

final as (

    select
        invoice_id,
        subscription_id,
        customer_id,
        closing_number,
        has_same_terms,
        has_same_accounts,
        period_start,
        period_end
    from candidates
    where place = 1

)

select * from final
