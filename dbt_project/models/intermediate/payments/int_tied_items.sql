{{ config(materialized='ephemeral') }}

{#- From lines to items: what was issued, what Stripe answered that it has of it, and what is not sent yet. Where the
    last reconciliation saw the object, its amount counts instead of the answer of then. -#}

with issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

credit_notes as (

    select * from {{ ref('stg_ledger__credit_notes') }}

),

outbox as (

    select * from {{ ref('stg_ledger__stripe_outbox') }}
    where state = 'SENT' and kind in ('item', 'credit_note')

),

seen as (

    select
        op_id,
        sum(amount_minor) as amount_minor
    from {{ ref('stg_ledger__stripe_seen') }}
    where op_id is not null and object in ('item', 'credit_note')
    group by op_id

),

receipts as (

    select
        outbox.subject_id,
        coalesce(seen.amount_minor, outbox.stripe_amount_minor) as stripe_minor
    from outbox
    left join seen on outbox.op_id = seen.op_id

),

documents as (

    select
        invoice_id,
        invoice_line_id as subject_id,
        'line' as kind,
        amount_minor
    from issued_lines
    union all
    select
        invoice_id,
        credit_note_id as subject_id,
        'credit' as kind,
        amount_minor
    from credit_notes

),

matched as (

    select
        documents.invoice_id,
        documents.kind = 'line' as is_line,
        documents.amount_minor,
        coalesce(receipts.stripe_minor, 0) as stripe_minor,
        case when receipts.subject_id is null then documents.amount_minor else 0 end as unsent_minor
    from documents
    left join receipts on documents.subject_id = receipts.subject_id

),

final as (

    select
        invoice_id,
        cast(sum(case when is_line then amount_minor else 0 end) as bigint) as line_minor,
        cast(sum(case when is_line then stripe_minor else 0 end) as bigint) as item_minor,
        cast(sum(case when is_line then unsent_minor else 0 end) as bigint) as unsent_line_minor,
        cast(sum(case when is_line then 0 else amount_minor end) as bigint) as credit_minor,
        cast(sum(case when is_line then 0 else stripe_minor end) as bigint) as stripe_credit_minor,
        cast(sum(case when is_line then 0 else unsent_minor end) as bigint) as unsent_credit_minor
    from matched
    group by invoice_id

)

select * from final
