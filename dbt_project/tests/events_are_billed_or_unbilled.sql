-- Guards against an event that is lost, billed under no charge, or billed and listed as unbilled at once. Each event
-- of the lake gets its place anew: billed where monthly_usage has a charge of its customer for a meter that it feeds
-- and whose field it has, on its local day; otherwise unbilled, for the first reason that holds. Looks at the days that
-- this build computed.
{%- set all_meters = meters_with(['count', 'sum', 'max', 'latest', 'unique']) %}
{%- set filtered = all_meters | selectattr('filters') | list %}
{%- set lacking = [] %}
{%- for meter in all_meters if can_lack_field(meter) %}
    {%- do lacking.append(meter) %}
{%- endfor %}
{%- set lineage = source("lake", "events") %}

with events as (

    {{ checked_events(event_columns()) }}

),

customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

meter_event_types as (

    select * from {{ ref('stg_catalog__meter_event_types') }}

),

serving_charges as (

    {{ serving_charges() }}

),

unbilled_usage as (

    select * from {{ ref('unbilled_usage') }}
    {{ where_checked() }}

),

daily_usage as (

    select * from {{ ref('daily_usage') }}
    {{ where_checked() }}

),

{# Events that no filter and no absent field tells apart share their place. -#}
alike as (

    select
        customer_id,
        usage_date,
        event_type,
        {% for meter in filtered -%}
        {{ filter_holds(meter.filters) }} as holds_{{ loop.index }},
        {% endfor -%}
        {% for meter in lacking -%}
        {{ is_of_type(meter) }} and not {{ has_field(meter) }} as lacks_{{ loop.index }},
        {% endfor -%}
        count(*) as event_count,
        sum(quantity) as quantity
    from events
    group by all

),

numbered as (

    select
        *,
        row_number() over () as kind
    from alike

),

fed as (

    select
        numbered.kind,
        numbered.customer_id,
        numbered.usage_date,
        numbered.event_count,
        numbered.quantity,
        meters.meter_id,
        meters.aggregation,
        meters.field,
        meters.billable,
        {% if lacking -%}
        case meters.meter_id
            {% for meter in lacking -%}
            when {{ quoted(meter.meter_id) }} then not numbered.lacks_{{ loop.index }}
            {% endfor -%}
            else true
        end
        {%- else -%}
        true
        {%- endif %} as is_measured
    from numbered
    inner join meter_event_types on numbered.event_type = meter_event_types.event_type
    inner join meters on meter_event_types.meter_id = meters.meter_id
    {% for meter in filtered -%}
    {{ "where" if loop.first else "and" }} (meters.meter_id != {{ quoted(meter.meter_id) }} or numbered.holds_{{ loop.index }})
    {% endfor %}

),

feeding as (

    select
        kind,
        bool_or(billable) as is_billable,
        bool_or(billable and is_measured) as is_measured
    from fed
    group by kind

),

billed as (

    select distinct fed.kind
    from fed
    inner join serving_charges
        on
            fed.customer_id = serving_charges.customer_id
            and fed.meter_id = serving_charges.meter_id
            and fed.usage_date >= serving_charges.service_start
            and fed.usage_date < serving_charges.service_end
    where fed.is_measured

),

subscribed as (

    select distinct numbered.kind
    from numbered
    inner join subscriptions
        on
            numbered.customer_id = subscriptions.customer_id
            and numbered.usage_date >= subscriptions.started_on
            and (numbered.usage_date < subscriptions.ended_on or subscriptions.ended_on is null)

),

placed as (

    select
        numbered.customer_id,
        numbered.event_type,
        numbered.usage_date,
        numbered.event_count,
        numbered.quantity,
        case
            when billed.kind is not null then 'billed'
            when customers.customer_id is null then 'unknown_customer'
            when customers.inactive_from <= numbered.usage_date then 'inactive_customer'
            when feeding.kind is null then 'no_meter'
            when not feeding.is_billable then 'metered_only'
            when not feeding.is_measured then 'no_quantity'
            when subscribed.kind is null then 'no_subscription'
            else 'not_in_plan'
        end as place
    from numbered
    left join billed on numbered.kind = billed.kind
    left join customers on numbered.customer_id = customers.customer_id
    left join feeding on numbered.kind = feeding.kind
    left join subscribed on numbered.kind = subscribed.kind

),

unbilled as (

    select
        customer_id,
        event_type,
        usage_date,
        place as reason,
        sum(event_count) as event_count,
        sum(quantity) as quantity
    from placed
    where place != 'billed'
    group by
        customer_id,
        event_type,
        usage_date,
        place

),

metered as (

    select
        customer_id,
        meter_id,
        usage_date,
        sum(event_count) as event_count,
        sum(
            case
                when aggregation = 'count' then cast(event_count as decimal(38, 6))
                when aggregation = 'sum' and field = 'quantity' then quantity
            end
        ) as quantity
    from fed
    group by
        customer_id,
        meter_id,
        usage_date

),

misplaced as (

    select
        coalesce(unbilled.customer_id, unbilled_usage.customer_id) as customer_id,
        coalesce(unbilled.usage_date, unbilled_usage.usage_date) as usage_date,
        coalesce(unbilled.event_type, unbilled_usage.event_type) as event_type,
        cast(null as varchar) as meter_id,
        coalesce(unbilled.reason, unbilled_usage.reason) as reason,
        unbilled.event_count as lake_event_count,
        unbilled_usage.event_count as mart_event_count,
        unbilled.quantity as lake_quantity,
        unbilled_usage.quantity as mart_quantity
    from unbilled
    full outer join unbilled_usage
        on
            unbilled.customer_id = unbilled_usage.customer_id
            and unbilled.event_type = unbilled_usage.event_type
            and unbilled.usage_date = unbilled_usage.usage_date
            and unbilled.reason = unbilled_usage.reason
    where
        unbilled.event_count is distinct from unbilled_usage.event_count
        or unbilled.quantity is distinct from unbilled_usage.quantity

),

miscounted as (

    select
        coalesce(metered.customer_id, daily_usage.customer_id) as customer_id,
        coalesce(metered.usage_date, daily_usage.usage_date) as usage_date,
        cast(null as varchar) as event_type,
        coalesce(metered.meter_id, daily_usage.meter_id) as meter_id,
        cast(null as varchar) as reason,
        metered.event_count as lake_event_count,
        daily_usage.event_count as mart_event_count,
        metered.quantity as lake_quantity,
        daily_usage.quantity as mart_quantity
    from metered
    full outer join daily_usage
        on
            metered.customer_id = daily_usage.customer_id
            and metered.meter_id = daily_usage.meter_id
            and metered.usage_date = daily_usage.usage_date
    where
        metered.event_count is distinct from daily_usage.event_count
        or metered.quantity != daily_usage.quantity

),

final as (

    select * from misplaced
    union all
    select * from miscounted

)

select * from final
