{#- Every advice there is reason for now, with what was decided about it. Longer than other models because advice about
    plans can only be given beside plan_comparisons and monthly_usage, which are marts: the ratios of the product's
    settings say when to speak, what the last cycles really cost says for how much. -#}

with usage_advice as (

    select * from {{ ref('int_usage_advice') }}

),

model_advice as (

    select * from {{ ref('int_model_advice') }}

),

capacity_advice as (

    select * from {{ ref('int_capacity_advice') }}

),

cycles as (

    select * from {{ ref('int_recent_cycles') }}

),

monthly_usage as (

    select * from {{ ref('monthly_usage') }}
    where {{ is_looked_back_on("period_end") }}

),

plan_comparisons as (

    select * from {{ ref('plan_comparisons') }}
    where {{ is_looked_back_on("period_end") }}

),

plan_options as (

    select * from {{ ref('plan_options') }}

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

decisions as (

    select * from {{ ref('stg_ledger__decisions') }}

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

judged as (

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

),

targets as (

    select
        own.customer_id,
        own.subscription_id,
        own.plan_id as own_plan_id,
        own.plan_name as own_plan_name,
        own.total_minor as own_total_minor,
        other.plan_id,
        other.plan_name,
        own.currency,
        own.cycle_count,
        other.total_minor,
        other.saving_minor,
        judged.meter_id,
        judged.mean_ratio,
        judged.evidence,
        case when other.rank > own.rank then 'PLAN_UPGRADE' else 'PLAN_DOWNGRADE' end as type,
        row_number() over (
            partition by own.subscription_id, other.rank > own.rank
            order by other.total_minor, abs(other.rank - own.rank), other.plan_id
        ) as target_number,
        own.first_period_start,
        own.last_period_end
    from judged
    inner join plan_options as own
        on
            judged.subscription_id = own.subscription_id
            and own.is_current
    inner join plan_options as other on own.subscription_id = other.subscription_id
    where
        not other.is_current
        and other.is_feasible
        and other.missing_features is null
        and other.saving_minor is not null
        and (
            (judged.is_near_limit and other.rank > own.rank)
            or (judged.is_low and other.rank < own.rank and other.saving_minor > 0)
        )

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
    where targets.target_number = 1
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
        end as allowance_words,
        currencies.minor_units,
        {{ money_words("targets.own_total_minor", "currencies.minor_units") }} || ' ' || targets.currency as own_words,
        {{ money_words("targets.total_minor", "currencies.minor_units") }} || ' ' || targets.currency as other_words,
        {{ money_words("abs(targets.saving_minor)", "currencies.minor_units") }} || ' ' || targets.currency
            as difference_words,
        {{ percent_words("targets.mean_ratio") }} as ratio_words,
        {{ last_words("targets.cycle_count", "cycle") }} || ' (' || targets.first_period_start || ' to '
        || cast(targets.last_period_end - 1 as date) || ')' as cycles_words,
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
    where targets.target_number = 1

),

plan_advice as (

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
            when 'PLAN_UPGRADE' then meter_name || ': ' || ratio_words || ' of ' || allowance_words || ' was used'
            else 'At most ' || ratio_words || ' of ' || allowance_words || ' was used (' || meter_name || ')'
        end
        || ' on average in ' || cycles_words || '. That usage cost ' || own_words || ' on ' || own_plan_name
        || ' and would have cost ' || other_words || ' on ' || plan_name || ', overage included.' as description,
        case
            when saving_minor > 0 then 'Saves ' || difference_words
            when saving_minor = 0 then 'Costs the same'
            else 'Costs ' || difference_words || ' more'
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

),

{%- set columns = [
    "recommendation_id", "customer_id", "subscription_id", "meter_id", "type", "rule", "priority", "title",
    "description", "impact", "implementation", "evidence", "potential_savings", "currency"
] %}

found as (

    {% for advice in ["plan_advice", "capacity_advice", "model_advice", "usage_advice"] -%}
    select {{ columns | join(", ") }} from {{ advice }}
    {%- if not loop.last %}
    union all
    {% endif %}
    {%- endfor %}

),

last_decisions as (

    select
        recommendation_id,
        max_by(decision, decision_number) as decision,
        max_by(decided_at, decision_number) as decided_at
    from decisions
    group by recommendation_id

),

final as (

    select
        found.recommendation_id,
        found.customer_id,
        found.subscription_id,
        found.meter_id,
        found.type,
        found.rule,
        found.priority,
        found.title,
        found.description,
        found.impact,
        found.implementation,
        found.evidence,
        found.currency,
        coalesce(last_decisions.decision, 'open') as status,
        cast(found.potential_savings as decimal(38, 12)) as potential_savings,
        last_decisions.decided_at,
        {{ as_of() }} as as_of
    from found
    left join last_decisions on found.recommendation_id = last_decisions.recommendation_id

)

select * from final
