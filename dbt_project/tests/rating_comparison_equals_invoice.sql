-- Guards against a "what if" that computes otherwise than the invoice: on its own plan a cycle costs what is invoiced.
with plan_comparisons as (

    select * from {{ ref('plan_comparisons') }}
    where
        is_current
        and total_minor is not null

),

rated_lines as (

    select * from {{ ref('int_rated_lines') }}

),

invoiced as (

    select
        subscription_id,
        period_start,
        sum(amount_minor) as total_minor
    from rated_lines
    group by
        subscription_id,
        period_start

)

select
    plan_comparisons.subscription_id,
    plan_comparisons.period_start,
    plan_comparisons.total_minor,
    invoiced.total_minor as invoiced_minor
from plan_comparisons
left join invoiced
    on
        plan_comparisons.subscription_id = invoiced.subscription_id
        and plan_comparisons.period_start = invoiced.period_start
where plan_comparisons.total_minor != coalesce(invoiced.total_minor, 0)
