{{ config(materialized='view', contract={'enforced': false}, post_hook="{{ describe_snapshot_columns() }}") }}

{#- daily_usage with a column per meter. The catalog decides which there are, so no contract can name them: the fixed
    columns are documented and tested, those of the meters are described in the warehouse itself. A view, so that a new
    meter is a new column with the next build. -#}

{%- set meters = snapshot_columns() %}

with daily_usage as (

    select * from {{ ref('daily_usage') }}

),

activity as (

    select * from {{ ref('int_daily_activity') }}

),

{# Costs come from the events, each once: those of daily_usage cannot be added over meters that share events. -#}
measured as (

    select
        customer_id,
        meter_id,
        quantity,
        cast(null as decimal(38, 12)) as cost_usd,
        usage_date
    from daily_usage
    union all
    select
        customer_id,
        cast(null as varchar) as meter_id,
        cast(null as decimal(38, 12)) as quantity,
        cost_usd,
        usage_date
    from activity

),

final as (

    select
        usage_date,
        customer_id,
        {% for meter in meters -%}
        cast(
            {%- if meter.is_level %} sum(case when meter_id = {{ quoted(meter.meter_id) }} then quantity end)
            {%- else %} case
                when count(case when meter_id = {{ quoted(meter.meter_id) }} and quantity is null then 1 end) = 0
                    then sum(case when meter_id = {{ quoted(meter.meter_id) }} then quantity else 0 end)
            end
            {%- endif %} as decimal(38, 12)
        ) as {{ meter.column }},
        {% endfor -%}
        cast(sum(cost_usd) as decimal(38, 12)) as total_cost_usd
    from measured
    group by
        usage_date,
        customer_id

)

select * from final
