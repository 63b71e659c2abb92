{#- What issued documents say about the terms of a cycle: the first of its lines that was issued, on its invoice or as
    a later adjustment of it, pinned them. -#}

with issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

ordered as (

    select
        subscription_id,
        customer_id,
        coalesce(adjusts_invoice_id, invoice_id) as invoice_id,
        plan_id,
        plan_version,
        billing_anchor_day,
        terms_hash,
        closing_number,
        period_start,
        period_end,
        service_start,
        service_end,
        row_number() over (
            partition by coalesce(adjusts_invoice_id, invoice_id), subscription_id
            order by closing_number, invoice_line_id
        ) as position
    from issued_lines

),

final as (

    select
        invoice_id,
        subscription_id,
        customer_id,
        plan_id,
        plan_version,
        billing_anchor_day,
        terms_hash,
        closing_number,
        period_start,
        period_end,
        service_start,
        service_end
    from ordered
    where position = 1

)

select * from final
