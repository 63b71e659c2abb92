{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ delete_touched() }}") }}

with activity as (

    select * from {{ ref('int_daily_activity') }}
    {{ where_touched() }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

property_sums as (

    select * from {{ ref('int_daily_property_sums') }}
    {{ where_touched() }}

),

readings as (

    select * from {{ ref('int_daily_readings') }}
    {{ where_touched() }}

),

distinct_values as (

    select * from {{ ref('int_daily_values') }}
    {{ where_touched() }}

),

metered as (

    select
        customer_id,
        usage_date,
        measured_meter_ids,
        unnest(meter_ids) as meter_id,
        event_count,
        cost_usd,
        quantity,
        input_tokens,
        output_tokens
    from activity

),

summed as (

    select
        customer_id,
        meter_id,
        usage_date,
        sum(event_count) as event_count,
        coalesce(sum(event_count) filter (where list_contains(measured_meter_ids, meter_id)), 0) as measured_count,
        coalesce(sum(event_count) filter (where cost_usd is null), 0) as unpriced_count,
        sum(cost_usd) as cost_usd,
        sum(quantity) as quantity,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        coalesce(sum(input_tokens), 0) + coalesce(sum(output_tokens), 0) as total_tokens
    from metered
    group by
        customer_id,
        meter_id,
        usage_date

),

levels as (

    select
        customer_id,
        meter_id,
        usage_date,
        {{ bounded_sum("max_quantity") }} as max_quantity,
        {{ bounded_sum("latest_quantity") }} as latest_quantity
    from readings
    group by
        customer_id,
        meter_id,
        usage_date

),

value_counts as (

    select
        customer_id,
        meter_id,
        usage_date,
        count(*) as value_count
    from distinct_values
    group by
        customer_id,
        meter_id,
        usage_date

),

summed_fields as (

    {#- Which of the sums a sum meter asks for. #}
    select
        summed.customer_id,
        summed.meter_id,
        summed.usage_date,
        case meters.field
            when 'quantity' then cast(summed.quantity as decimal(38, 12))
            when 'input_tokens' then {{ bounded("summed.input_tokens") }}
            when 'output_tokens' then {{ bounded("summed.output_tokens") }}
            when 'total_tokens' then {{ bounded("summed.total_tokens") }}
            else property_sums.quantity
        end as quantity
    from summed
    inner join meters on summed.meter_id = meters.meter_id
    left join property_sums
        on
            summed.customer_id = property_sums.customer_id
            and summed.meter_id = property_sums.meter_id
            and summed.usage_date = property_sums.usage_date
    where meters.aggregation = 'sum'

),

joined as (

    select
        summed.customer_id,
        summed.meter_id,
        summed.usage_date,
        summed.event_count,
        summed.measured_count,
        summed.unpriced_count,
        summed.cost_usd,
        coalesce(
            case meters.aggregation
                when 'count' then cast(summed.event_count as decimal(38, 12))
                when 'max' then cast(levels.max_quantity as decimal(38, 12))
                when 'latest' then cast(levels.latest_quantity as decimal(38, 12))
                when 'unique' then cast(value_counts.value_count as decimal(38, 12))
                when 'sum' then summed_fields.quantity
            end,
            0
        ) as quantity
    from summed
    inner join meters on summed.meter_id = meters.meter_id
    left join levels
        on
            summed.customer_id = levels.customer_id
            and summed.meter_id = levels.meter_id
            and summed.usage_date = levels.usage_date
    left join value_counts
        on
            summed.customer_id = value_counts.customer_id
            and summed.meter_id = value_counts.meter_id
            and summed.usage_date = value_counts.usage_date
    left join summed_fields
        on
            summed.customer_id = summed_fields.customer_id
            and summed.meter_id = summed_fields.meter_id
            and summed.usage_date = summed_fields.usage_date

),

final as (

    select
        customer_id,
        meter_id,
        cast(event_count as bigint) as event_count,
        cast(measured_count as bigint) as measured_count,
        cast(unpriced_count as bigint) as unpriced_count,
        cast(quantity as decimal(38, 12)) as quantity,
        cast(cost_usd as decimal(38, 12)) as cost_usd,
        usage_date
    from joined

)

select * from final
