{{ config(materialized='view') }}

{#- What is charged afterwards: an increase becomes one line of the customer's earliest ready invoice in the currency;
    it waits (no invoice) while only open ones have lines; where none will follow it gets an invoice of its own. -#}

with line_differences as (

    select * from {{ ref('int_line_differences') }}
    where difference_minor > 0

),

corrections as (

    select * from {{ ref('int_invoice_corrections') }}
    where is_due

),

unissued_invoices as (

    select * from {{ ref('int_unissued_invoices') }}

),

differences as (

    select line_differences.*
    from line_differences
    inner join corrections on line_differences.invoice_id = corrections.invoice_id

),

next_invoices as (

    select
        customer_id,
        currency,
        min(
            case
                when status = 'ready' and {{ is_within_closing("period_end") }}
                    then cast(period_end as varchar) || ' ' || invoice_id
            end
        ) as earliest
    from unissued_invoices
    group by
        customer_id,
        currency

),

own_invoices as (

    select
        differences.invoice_id,
        {{ fingerprint([
            "differences.customer_id", "differences.currency", "differences.period_start", "differences.period_end",
            "'adjustment'", "string_agg(
                differences.rated_line_id || ' ' || differences.correction_count, ',' order by differences.rated_line_id
            )",
        ]) }} as invoice_hash
    from differences
    group by
        differences.invoice_id,
        differences.customer_id,
        differences.currency,
        differences.period_start,
        differences.period_end

),

final as (

    select
        differences.rated_line_id,
        'line_' || left(
            {{ fingerprint(["differences.rated_line_id", "'adjustment'", "differences.correction_count + 1"]) }}, 24
        ) as invoice_line_id,
        case
            when next_invoices.customer_id is null then 'inv_' || left(own_invoices.invoice_hash, 24)
            else substr(next_invoices.earliest, 12)
        end as invoice_id,
        next_invoices.customer_id is null as has_own_invoice,
        differences.invoice_id as adjusts_invoice_id,
        differences.customer_id,
        differences.subscription_id,
        differences.plan_id,
        differences.plan_version,
        differences.meter_id,
        'Adjustment for ' || {{ correction_text("differences", "differences.description") }} as description,
        differences.currency,
        cast(differences.quantity - differences.stated_quantity as decimal(38, 12)) as quantity,
        {{ in_major("differences.difference_minor", "differences.minor_units") }} as amount,
        cast(differences.difference_minor as bigint) as amount_minor,
        differences.quantity as restated_quantity,
        cast(differences.amount_minor as bigint) as restated_amount_minor,
        differences.period_start,
        differences.period_end,
        differences.service_start,
        differences.service_end
    from differences
    inner join own_invoices on differences.invoice_id = own_invoices.invoice_id
    left join next_invoices
        on
            differences.customer_id = next_invoices.customer_id
            and differences.currency = next_invoices.currency

)

select * from final
