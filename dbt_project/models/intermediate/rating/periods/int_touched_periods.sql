{#- Service periods with a day that this build computed again. Levels that carry forward also touch all later periods of
    their customer. Null in int_touched_customer_days stands for every customer or every day. -#}

with periods as (

    select * from {{ ref('int_period_fingerprints') }}

),

touched as (

    select * from {{ ref('int_touched_customer_days') }}

),

touched_customers as (

    select
        customer_id,
        min(coalesce(usage_date, date '0001-01-01')) as first_touched,
        bool_or(usage_date is null) as is_whole
    from touched
    where customer_id is not null
    group by customer_id

),

{# A day that is touched, or for levels that carry forward any earlier one. #}
final as (

    select
        periods.subscription_id,
        periods.period_start
    from periods
    inner join touched_customers on periods.customer_id = touched_customers.customer_id
    where
        touched_customers.is_whole
        or (periods.has_levels and touched_customers.first_touched < periods.service_end)
    union
    select
        periods.subscription_id,
        periods.period_start
    from periods
    inner join touched
        on
            periods.customer_id = touched.customer_id
            and periods.service_start <= touched.usage_date
            and periods.service_end > touched.usage_date
    union
    select
        periods.subscription_id,
        periods.period_start
    from periods
    inner join touched
        on
            periods.service_end > touched.usage_date
            and (periods.service_start <= touched.usage_date or periods.has_levels)
    where touched.customer_id is null

)

select * from final
