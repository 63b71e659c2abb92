{{ config(materialized='ephemeral', contract={'enforced': false}) }}

{#- Whether what the last cycles used speaks for or against a change of plan. The ratios of the product's settings say
    when to speak. -#}

with cycles as (

    select * from {{ ref('int_recent_cycles') }}

),

monthly_usage as (

    select * from {{ ref('monthly_usage') }}
    where {{ is_looked_back_on("period_end") }}

),

settings as (

    select
        {{ json_decimal("value", "upgrade_above") }} as upgrade_above,
        {{ json_decimal("value", "downgrade_below") }} as downgrade_below,
        {{ json_texts(json_part("value", "meters")) }} as meter_ids
    from {{ ref('stg_catalog__alert_settings') }}
    where key = 'recommendations'

),

{# The charges that speak for or against a change of plan, cycle by cycle. #}
deciding_usage as (

    select
        monthly_usage.subscription_id,
        monthly_usage.meter_id,
        monthly_usage.quantity,
        monthly_usage.included_quantity,
        monthly_usage.used_ratio,
        settings.upgrade_above,
        settings.downgrade_below,
        {{ evidence_row(
            "monthly_usage",
            {
                "subscription_id": "monthly_usage.subscription_id", "meter_id": "monthly_usage.meter_id",
                "period_start": "monthly_usage.period_start",
            },
            {
                "quantity": decimal_text("monthly_usage.quantity"),
                "included_quantity": decimal_text("monthly_usage.included_quantity"),
                "used_ratio": decimal_text("monthly_usage.used_ratio"),
            },
        ) }} as evidence,
        monthly_usage.period_start
    from monthly_usage
    inner join cycles
        on
            monthly_usage.subscription_id = cycles.subscription_id
            and monthly_usage.period_start = cycles.period_start
    cross join settings
    where
        monthly_usage.included_quantity is not null
        and (settings.meter_ids is null or list_contains(settings.meter_ids, monthly_usage.meter_id))

),

{# A meter without an allowance in one of the cycles says nothing about an upgrade; usage where nothing is included
    speaks against a downgrade. #}
ratios as (

    select
        subscription_id,
        meter_id,
        {{ exact_ratio("cast(sum(used_ratio) as decimal(38, 12))", 1, "count(used_ratio)") }} as mean_ratio,
        count(*) = count(used_ratio) and sum(used_ratio) > max(upgrade_above) * count(*) as is_near_limit,
        coalesce(sum(used_ratio), 0) < max(downgrade_below) * count(*)
        and coalesce(max(quantity) filter (where used_ratio is null), 0) = 0 as is_low,
        string_agg(evidence, ',' order by period_start) as evidence
    from deciding_usage
    group by
        subscription_id,
        meter_id

),

ordered_ratios as (

    select
        *,
        row_number() over (
            partition by subscription_id
            order by is_near_limit desc, mean_ratio desc, meter_id asc
        ) as meter_number
    from ratios
    where mean_ratio is not null

),

final as (

    select
        ratios.subscription_id,
        first_meters.meter_id,
        first_meters.mean_ratio,
        bool_or(ratios.is_near_limit) as is_near_limit,
        bool_and(ratios.is_low) as is_low,
        string_agg(ratios.evidence, ',' order by ratios.meter_id) as evidence
    from ratios
    inner join ordered_ratios as first_meters
        on
            ratios.subscription_id = first_meters.subscription_id
            and first_meters.meter_number = 1
    group by
        ratios.subscription_id,
        first_meters.meter_id,
        first_meters.mean_ratio

)

select * from final
