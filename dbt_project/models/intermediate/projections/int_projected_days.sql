{#- Count and sum meters, day by day: past days as they are, the rest of the clock's day by its share of an expected
    day, later days as expected, or as much as is known of them already. Days with nothing have no row. -#}

with periods as (

    select * from {{ ref('int_open_periods') }}
    where scenario = 'projected'

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}
    where aggregation in ('count', 'sum')

),

recent_days as (

    select * from {{ ref('int_recent_days') }}

),

patterns as (

    select * from {{ ref('int_demand_patterns') }}

),

charges as (

    select
        periods.open_number,
        periods.customer_id,
        periods.service_start,
        periods.service_end,
        periods.local_today,
        periods.seconds_left,
        plan_charges.meter_id,
        plan_charges.meter_number,
        plan_charges.charge_number,
        plan_charges.reset
    from periods
    inner join plan_charges on periods.plan_number = plan_charges.plan_number

),

known as (

    select
        charges.open_number,
        charges.charge_number,
        recent_days.usage_date,
        recent_days.quantity,
        recent_days.cost_usd
    from charges
    inner join recent_days
        on
            charges.customer_id = recent_days.customer_id
            and charges.meter_id = recent_days.meter_id
            and charges.service_start <= recent_days.usage_date
            and charges.service_end > recent_days.usage_date

),

days_ahead as (

    select
        open_number,
        {{ days_between("local_today", "service_end - 1") }} as usage_date
    from periods
    where service_end > local_today

),

expected as (

    select
        charges.open_number,
        charges.charge_number,
        days_ahead.usage_date,
        days_ahead.usage_date = charges.local_today as is_today,
        {{ share_of_day('patterns.expected_quantity', 'days_ahead.usage_date', 'charges') }} as expected_quantity,
        {{ share_of_day('patterns.low_quantity', 'days_ahead.usage_date', 'charges') }} as low_quantity,
        {{ share_of_day('patterns.high_quantity', 'days_ahead.usage_date', 'charges') }} as high_quantity
    from charges
    inner join days_ahead on charges.open_number = days_ahead.open_number
    inner join patterns
        on
            charges.customer_id = patterns.customer_id
            and charges.meter_id = patterns.meter_id
            and isodow(days_ahead.usage_date) = patterns.iso_weekday

),

days as (

    select
        coalesce(known.open_number, expected.open_number) as open_number,
        coalesce(known.charge_number, expected.charge_number) as charge_number,
        coalesce(known.usage_date, expected.usage_date) as usage_date,
        case when known.open_number is null then 0 else known.quantity end as quantity,
        case when known.open_number is null then 0 else known.cost_usd end as cost_usd,
        {{ known_and_expected('expected_quantity') }} as expected_quantity,
        {{ known_and_expected('low_quantity') }} as low_quantity,
        {{ known_and_expected('high_quantity') }} as high_quantity
    from known
    full outer join expected
        on
            known.open_number = expected.open_number
            and known.charge_number = expected.charge_number
            and known.usage_date = expected.usage_date

),

final as (

    select
        days.open_number,
        charges.charge_number,
        charges.meter_number,
        charges.reset,
        cast(days.quantity as decimal(38, 12)) as quantity,
        cast(days.cost_usd as decimal(38, 12)) as cost_usd,
        cast(days.expected_quantity as decimal(38, 12)) as projected_quantity,
        cast(days.low_quantity as decimal(38, 12)) as low_quantity,
        cast(days.high_quantity as decimal(38, 12)) as high_quantity,
        {{ window_start("charges.reset", "charges.service_start", "days.usage_date") }} as window_start,
        days.usage_date
    from days
    inner join charges
        on
            days.open_number = charges.open_number
            and days.charge_number = charges.charge_number

)

select * from final
