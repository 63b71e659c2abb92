{{ config(materialized='view') }}

{#- What the lines of an issued invoice that should come to something else differ by together. Where that is less than
    the closing's terms ask for they wait, and a later closing counts them again with what came since. -#}

with differences as (

    select * from {{ ref('int_line_differences') }}
    where {{ is_within_closing("period_end") }}

),

summed as (

    select
        invoice_id,
        currency,
        minor_units,
        count(*) as line_count,
        cast(sum(difference_minor) as bigint) as net_minor
    from differences
    group by
        invoice_id,
        currency,
        minor_units

),

final as (

    select
        invoice_id,
        currency,
        line_count,
        net_minor,
        {{ in_major("abs(net_minor)", "minor_units") }} >= {{ corrections_from() }} as is_due
    from summed

)

select * from final
