{{ config(materialized='view') }}

{#- Lines of issued invoices that should come to something else than what was billed for them so far. A line that was
    never issued but belongs to an issued invoice is one, and so is a line that rating no longer gives. Of a repriced period
    only the pinned lines tell; without them nothing is said. A line that cannot be rated says nothing; if it was not
    issued because of that, and pinned terms still cannot rate it, today's tell. -#}

{%- set has_pinned_lines = knowledge("pinned") != "" %}

with issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

rated_lines as (

    select * from {{ ref('int_rated_lines') }}

),

unpinned_lines as (

    select * from {{ ref('int_unpinned_lines') }}

),

repriced_periods as (

    select * from {{ ref('int_repriced_periods') }}

),

periods_to_pin as (

    select * from {{ ref('int_periods_to_pin') }}

),

pinned_lines as (

    select * from {{ ref('int_pinned_lines') }}

),

billed_lines as (

    select * from {{ ref('int_billed_lines') }}

),

pinned_faults as (

    select * from {{ ref('int_pinned_faults') }}

),

rating_faults as (

    select * from {{ ref('int_rating_faults') }}

),

faults as (

    select
        subscription_id,
        meter_id,
        period_start,
        period_end
    from pinned_faults
    union
    select
        rating_faults.subscription_id,
        rating_faults.meter_id,
        rating_faults.period_start,
        rating_faults.period_end
    from rating_faults
    left join repriced_periods
        on
            rating_faults.subscription_id = repriced_periods.subscription_id
            and rating_faults.period_start = repriced_periods.period_start
            and rating_faults.period_end = repriced_periods.period_end
    where repriced_periods.subscription_id is null

),

should_lines as (

    select unpinned_lines.*
    from unpinned_lines
    inner join issued_invoices on unpinned_lines.invoice_id = issued_invoices.invoice_id
    union all
    select pinned_lines.*
    from pinned_lines
    inner join periods_to_pin
        on
            pinned_lines.invoice_id = periods_to_pin.invoice_id
            and pinned_lines.subscription_id = periods_to_pin.subscription_id
    union all
    select rated_lines.*
    from rated_lines
    inner join pinned_faults
        on
            rated_lines.subscription_id = pinned_faults.subscription_id
            and rated_lines.meter_id = pinned_faults.meter_id
            and rated_lines.period_start = pinned_faults.period_start
            and rated_lines.period_end = pinned_faults.period_end
            and rated_lines.line_type = 'usage'
    left join billed_lines on rated_lines.invoice_line_id = billed_lines.rated_line_id
    left join pinned_lines on rated_lines.invoice_line_id = pinned_lines.invoice_line_id
    where
        not coalesce(billed_lines.is_issued, false)
        and pinned_lines.invoice_line_id is null

),

known_bills as (

    select billed_lines.*
    from billed_lines
    left join repriced_periods
        on
            billed_lines.invoice_id = repriced_periods.invoice_id
            and billed_lines.subscription_id = repriced_periods.subscription_id
    {%- if has_pinned_lines %}
    left join periods_to_pin
        on
            billed_lines.invoice_id = periods_to_pin.invoice_id
            and billed_lines.subscription_id = periods_to_pin.subscription_id
    where
        repriced_periods.invoice_id is null
        or periods_to_pin.invoice_id is not null
    {%- else %}
    where repriced_periods.invoice_id is null
    {%- endif %}

),

compared as (

    select
        coalesce(known_bills.rated_line_id, should_lines.invoice_line_id) as rated_line_id,
        coalesce(known_bills.invoice_id, should_lines.invoice_id) as invoice_id,
        coalesce(known_bills.subscription_id, should_lines.subscription_id) as subscription_id,
        should_lines.plan_id,
        should_lines.plan_version,
        should_lines.line_type,
        coalesce(known_bills.meter_id, should_lines.meter_id) as meter_id,
        should_lines.description,
        should_lines.service_start,
        should_lines.service_end,
        coalesce(should_lines.quantity, 0) as quantity,
        coalesce(known_bills.stated_quantity, 0) as stated_quantity,
        coalesce(should_lines.amount_minor, 0) as amount_minor,
        coalesce(known_bills.billed_minor, 0) as billed_minor,
        coalesce(known_bills.correction_count, 0) as correction_count,
        coalesce(known_bills.is_issued, false) as is_issued,
        known_bills.stated_in_closing
    from known_bills
    full outer join should_lines on known_bills.rated_line_id = should_lines.invoice_line_id
    where coalesce(should_lines.amount_minor, 0) != coalesce(known_bills.billed_minor, 0)

),

final as (

    select
        compared.rated_line_id,
        compared.invoice_id,
        issued_invoices.customer_id,
        compared.subscription_id,
        compared.plan_id,
        compared.plan_version,
        compared.line_type,
        compared.meter_id,
        compared.description,
        issued_invoices.currency,
        issued_invoices.minor_units,
        cast(compared.quantity as decimal(38, 12)) as quantity,
        cast(compared.stated_quantity as decimal(38, 12)) as stated_quantity,
        compared.amount_minor,
        compared.billed_minor,
        compared.amount_minor - compared.billed_minor as difference_minor,
        compared.correction_count,
        coalesce(compared.stated_in_closing, issued_invoices.closing_number) as stated_in_closing,
        issued_invoices.period_start,
        issued_invoices.period_end,
        compared.service_start,
        compared.service_end
    from compared
    inner join issued_invoices on compared.invoice_id = issued_invoices.invoice_id
    left join faults
        on
            compared.is_issued
            and compared.subscription_id = faults.subscription_id
            and compared.meter_id = faults.meter_id
            and issued_invoices.period_start = faults.period_start
            and issued_invoices.period_end = faults.period_end
    where faults.subscription_id is null

)

select * from final
