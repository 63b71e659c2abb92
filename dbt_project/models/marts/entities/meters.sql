with meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

meter_event_types as (

    select * from {{ ref('stg_catalog__meter_event_types') }}

),

meter_filters as (

    select * from {{ ref('stg_catalog__meter_filters') }}

),

event_types as (

    select
        meter_id,
        list(event_type order by event_type) as event_types
    from meter_event_types
    group by meter_id

),

conditions as (

    select
        meter_id,
        cast(json_group_object(field, value) as varchar) as condition
    from meter_filters
    group by meter_id

),

final as (

    select
        meters.meter_id,
        meters.name,
        meters.unit,
        meters.aggregation,
        meters.field,
        meters.per,
        conditions.condition as "where",
        event_types.event_types,
        meters.carry_forward,
        meters.billable
    from meters
    inner join event_types on meters.meter_id = event_types.meter_id
    left join conditions on meters.meter_id = conditions.meter_id

)

select * from final
