{#- Repriced periods that may have come to another amount since they were issued: of a customer with records known
    later, with other service days, overrides or held version, corrected before, or with a line now that was never
    billed (its terms may have been unable to rate it). What they should come to is only known by rating them again with
    the versions that their closing pinned. All others come to what was issued. -#}

with repriced_periods as (

    select * from {{ ref('int_repriced_periods') }}

),

late_usage as (

    select * from {{ ref('int_late_usage') }}

),

billed_lines as (

    select * from {{ ref('int_billed_lines') }}

),

rated_lines as (

    select * from {{ ref('int_rated_lines') }}

),

closings as (

    select * from {{ ref('stg_ledger__closings') }}

),

corrected_periods as (

    select distinct
        invoice_id,
        subscription_id
    from billed_lines
    where correction_count > 0

),

unbilled_periods as (

    select distinct
        rated_lines.invoice_id,
        rated_lines.subscription_id
    from rated_lines
    left join billed_lines on rated_lines.invoice_line_id = billed_lines.rated_line_id
    where billed_lines.rated_line_id is null

),

late_periods as (

    select distinct
        repriced_periods.invoice_id,
        repriced_periods.subscription_id
    from repriced_periods
    inner join late_usage
        on
            repriced_periods.customer_id = late_usage.customer_id
            and repriced_periods.closing_number < late_usage.known_in_closing
            and repriced_periods.period_end > late_usage.first_date

),

final as (

    select
        repriced_periods.invoice_id,
        repriced_periods.subscription_id,
        repriced_periods.customer_id,
        closings.catalog_version,
        closings.prices_version,
        repriced_periods.period_start,
        repriced_periods.period_end
    from repriced_periods
    inner join closings on repriced_periods.closing_number = closings.closing_number
    left join corrected_periods
        on
            repriced_periods.invoice_id = corrected_periods.invoice_id
            and repriced_periods.subscription_id = corrected_periods.subscription_id
    left join late_periods
        on
            repriced_periods.invoice_id = late_periods.invoice_id
            and repriced_periods.subscription_id = late_periods.subscription_id
    left join unbilled_periods
        on
            repriced_periods.invoice_id = unbilled_periods.invoice_id
            and repriced_periods.subscription_id = unbilled_periods.subscription_id
    where
        not repriced_periods.has_same_accounts
        or unbilled_periods.invoice_id is not null
        or corrected_periods.invoice_id is not null
        or late_periods.invoice_id is not null

)

select * from final
