{{ config(materialized='view') }}

{#- Months that cost more than they bring, of the invoices that a closing is about to issue: what somebody should look
    at before, beside int_due_warnings, which reads no marts. -#}

with due_invoices as (

    select * from {{ ref('int_due_invoices') }}

),

customer_margins as (

    select * from {{ ref('customer_margins') }}

),

due_months as (

    select distinct
        customer_id,
        {{ month_start("period_end - 1") }} as calendar_month
    from due_invoices

),

final as (

    select
        'negative margin' as kind,
        customer_margins.customer_id,
        cast(customer_margins.calendar_month as varchar) as subject,
        'a margin of ' || cast(customer_margins.margin_usd as decimal(38, 2)) || ' USD in '
        || {{ month_text("customer_margins.calendar_month") }} as message
    from customer_margins
    inner join due_months
        on
            customer_margins.customer_id = due_months.customer_id
            and customer_margins.calendar_month = due_months.calendar_month
    where customer_margins.margin_usd < 0

)

select * from final
