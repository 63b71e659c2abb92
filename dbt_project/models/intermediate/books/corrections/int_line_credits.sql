{{ config(materialized='ephemeral') }}

{#- What is given back: a decrease is taken from the line as it was issued, then from its adjustments, oldest first,
    from each at most what is not yet credited. What was billed is never less than nothing, so it always suffices. -#}

with line_differences as (

    select * from {{ ref('int_line_differences') }}
    where difference_minor < 0

),

corrections as (

    select * from {{ ref('int_invoice_corrections') }}
    where is_due

),

issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}

),

credit_note_lines as (

    select * from {{ ref('stg_ledger__credit_note_lines') }}

),

differences as (

    select line_differences.*
    from line_differences
    inner join corrections on line_differences.invoice_id = corrections.invoice_id

),

credited as (

    select
        invoice_line_id,
        sum(amount_minor) as credited_minor
    from credit_note_lines
    group by invoice_line_id

),

creditable as (

    select
        differences.rated_line_id,
        issued_lines.invoice_line_id,
        issued_lines.invoice_id,
        issued_lines.description,
        -differences.difference_minor as wanted_minor,
        issued_lines.amount_minor - coalesce(credited.credited_minor, 0) as left_minor,
        row_number() over (
            partition by differences.rated_line_id
            order by issued_lines.line_type = 'adjustment', issued_lines.closing_number, issued_lines.invoice_line_id
        ) as position
    from differences
    inner join issued_lines
        on differences.rated_line_id = coalesce(issued_lines.adjusts_line_id, issued_lines.invoice_line_id)
    left join credited on issued_lines.invoice_line_id = credited.invoice_line_id

),

allocated as (

    select
        rated_line_id,
        invoice_line_id,
        invoice_id,
        description,
        left_minor,
        wanted_minor - coalesce(
            sum(left_minor) over (
                partition by rated_line_id
                order by position
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as wanted_minor
    from creditable
    where left_minor > 0

),

{# The change of the quantity is told once, with the first line credited. #}
final as (

    select
        allocated.rated_line_id,
        allocated.invoice_line_id,
        allocated.invoice_id,
        differences.customer_id,
        differences.currency,
        'Credit for '
        || {{ correction_text("differences", "coalesce(differences.description, allocated.description)") }}
            as description,
        cast(least(allocated.left_minor, allocated.wanted_minor) as bigint) as amount_minor,
        cast(
            case
                when allocated.wanted_minor = -differences.difference_minor
                    then differences.quantity - differences.stated_quantity
                else 0
            end as decimal(38, 12)
        ) as quantity,
        differences.quantity as restated_quantity,
        cast(differences.amount_minor as bigint) as restated_amount_minor,
        differences.period_start,
        differences.period_end
    from allocated
    inner join differences on allocated.rated_line_id = differences.rated_line_id
    where allocated.wanted_minor > 0

)

select * from final
