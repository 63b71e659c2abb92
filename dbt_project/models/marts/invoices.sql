{#- Draft until the customer's local calendar has reached the day after the cycle; then ready to be issued. -#}

with invoice_lines as (

    select * from {{ ref('invoice_lines') }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

totals as (

    select
        invoice_id,
        customer_id,
        currency,
        period_start,
        period_end,
        sum(amount_minor) as total_minor
    from invoice_lines
    group by
        invoice_id,
        customer_id,
        currency,
        period_start,
        period_end

),

final as (

    select
        totals.invoice_id,
        cast(null as varchar) as invoice_number,
        totals.customer_id,
        totals.currency,
        case
            when {{ local_date(as_of(), "customers.timezone") }} < totals.period_end then 'draft'
            else 'ready'
        end as status,
        cast(totals.total_minor as bigint) as total_minor,
        totals.period_start,
        totals.period_end
    from totals
    left join customers on totals.customer_id = customers.customer_id

)

select * from final
