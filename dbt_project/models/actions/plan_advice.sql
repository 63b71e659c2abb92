{{ config(materialized='ephemeral', contract={'enforced': false}) }}

{#- Advice about plans. It can only be given beside plan_comparisons, which is a mart: what the last cycles really cost
    says for how much. -#}

with targets as (

    select * from {{ ref('plan_targets') }}

),

cycles as (

    select * from {{ ref('int_recent_cycles') }}

),

plan_comparisons as (

    select * from {{ ref('plan_comparisons') }}
    where {{ is_looked_back_on("period_end") }}

),

meters as (

    select * from {{ ref('meters') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

compared as (

    select
        targets.subscription_id,
        targets.plan_id,
        string_agg(
            {{ evidence_row(
                "plan_comparisons",
                {
                    "subscription_id": "plan_comparisons.subscription_id", "plan_id": "plan_comparisons.plan_id",
                    "period_start": "plan_comparisons.period_start",
                },
                {"total_minor": "plan_comparisons.total_minor"},
            ) }}, ',' order by plan_comparisons.period_start asc, plan_comparisons.is_current desc
        ) as evidence
    from targets
    inner join cycles on targets.subscription_id = cycles.subscription_id
    inner join plan_comparisons
        on
            cycles.subscription_id = plan_comparisons.subscription_id
            and cycles.period_start = plan_comparisons.period_start
            and plan_comparisons.plan_id in (targets.own_plan_id, targets.plan_id)
    group by
        targets.subscription_id,
        targets.plan_id

),

chosen as (

    select
        targets.*,
        compared.evidence as comparison_evidence,
        meters.name as meter_name,
        case plan_charges.reset
            when 'day' then 'the daily allowance, by the highest day of each cycle,'
            when 'calendar_month' then 'the monthly allowance, by the highest month of each cycle,'
            else 'the allowance'
        end as allowance_text,
        currencies.minor_units,
        {{ money_text("targets.own_total_minor", "currencies.minor_units") }} || ' ' || targets.currency as own_text,
        {{ money_text("targets.total_minor", "currencies.minor_units") }} || ' ' || targets.currency as other_text,
        {{ money_text("abs(targets.saving_minor)", "currencies.minor_units") }} || ' ' || targets.currency
            as difference_text,
        {{ percent_text("targets.mean_ratio") }} as ratio_text,
        {{ last_words("targets.cycle_count", "cycle") }} || ' (' || targets.first_period_start || ' to '
        || cast(targets.last_period_end - 1 as date) || ')' as cycles_text,
        cycles.next_period_start
    from targets
    inner join compared
        on
            targets.subscription_id = compared.subscription_id
            and targets.plan_id = compared.plan_id
    inner join cycles
        on
            targets.subscription_id = cycles.subscription_id
            and cycles.cycle_number = 1
    inner join meters on targets.meter_id = meters.meter_id
    inner join plan_charges
        on
            cycles.plan_number = plan_charges.plan_number
            and targets.meter_id = plan_charges.meter_id
    inner join currencies on targets.currency = currencies.currency

),

final as (

    select
        {{ recommendation_id(["type", "customer_id", "subscription_id", "plan_id"]) }} as recommendation_id,
        customer_id,
        subscription_id,
        meter_id,
        type,
        case type when 'PLAN_UPGRADE' then 'allowance_nearly_used' else 'allowance_hardly_used' end as rule,
        case type when 'PLAN_UPGRADE' then 'HIGH' else 'MEDIUM' end as priority,
        case type when 'PLAN_UPGRADE' then 'Upgrade from ' else 'Downgrade from ' end
        || own_plan_name || ' to ' || plan_name as title,
        case type
            when 'PLAN_UPGRADE' then meter_name || ': ' || ratio_text || ' of ' || allowance_text || ' was used'
            else 'At most ' || ratio_text || ' of ' || allowance_text || ' was used (' || meter_name || ')'
        end
        || ' on average in ' || cycles_text || '. That usage cost ' || own_text || ' on ' || own_plan_name
        || ' and would have cost ' || other_text || ' on ' || plan_name || ', overage included.' as description,
        case
            when saving_minor > 0 then 'Saves ' || difference_text
            when saving_minor = 0 then 'Costs the same'
            else 'Costs ' || difference_text || ' more'
        end || ' over ' || {{ counted("cycle_count", "cycle") }} || '.' as impact,
        'End subscription ' || subscription_id || ' on ' || next_period_start
        || ', when its cycle ends, and begin one on plan ' || plan_id || ' that day.' as implementation,
        {{ evidence("evidence || ',' || comparison_evidence", {
            "mean_ratio": decimal_text("mean_ratio"), "plan_id": "own_plan_id",
            "total": decimal_text(in_major("own_total_minor", "minor_units")), "other_plan_id": "plan_id",
            "other_total": decimal_text(in_major("total_minor", "minor_units")), "cycles": "cycle_count",
        }) }} as evidence,
        {{ in_major("greatest(saving_minor, 0)", "minor_units") }} as potential_savings,
        currency
    from chosen

)

select * from final
