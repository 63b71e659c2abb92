{#- What a service period is held to once it is issued (terms_hash): the cycle, the plan version with all that the
    catalog says about it, and provider prices where the plan passes them on; its days are held to the time zone by
    int_customer_timezones. Service days, overrides and the choice of the plan are account rows: known later, they apply
    (accounts_hash tells when those beside the days did change). -#}

with service_periods as (

    select * from {{ ref('int_service_periods') }}
    where has_begun

),

subscriptions as (

    select * from {{ ref('stg_accounts__subscriptions') }}

),

plan_fingerprints as (

    select * from {{ ref('int_plan_fingerprints') }}

),

plan_charges as (

    select * from {{ ref('int_plan_charges') }}

),

build_scope as (

    select * from {{ ref('int_build_scope') }}

),

overrides as (

    select * from {{ ref('stg_accounts__overrides') }}

),

plans_by_cost as (

    select distinct plan_number
    from plan_charges
    where overage_model = 'cost_plus'

),

period_overrides as (

    select
        service_periods.subscription_id,
        service_periods.period_start,
        string_agg(
            {{ fingerprint(["overrides.meter_id", "overrides.included", "overrides.is_unlimited",
                "overrides.unit_amount"]) }},
            ',' order by overrides.meter_id
        ) as override_hashes
    from service_periods
    inner join overrides on service_periods.subscription_id = overrides.subscription_id
    where
        (service_periods.service_start >= overrides.valid_from or overrides.valid_from is null)
        and (service_periods.service_start < overrides.valid_to or overrides.valid_to is null)
    group by
        service_periods.subscription_id,
        service_periods.period_start

),

final as (

    select
        service_periods.subscription_id,
        service_periods.customer_id,
        service_periods.plan_id,
        service_periods.currency,
        service_periods.cycle_days,
        {{ fingerprint([
            "service_periods.period_start", "service_periods.period_end", "plan_fingerprints.fingerprint",
            "case when plans_by_cost.plan_number is not null then build_scope.prices_version end",
        ]) }} as terms_hash,
        {{ fingerprint(["subscriptions.plan_version", "period_overrides.override_hashes"]) }} as accounts_hash,
        service_periods.plan_version,
        service_periods.period_start,
        service_periods.period_end,
        service_periods.service_start,
        service_periods.service_end
    from service_periods
    inner join subscriptions on service_periods.subscription_id = subscriptions.subscription_id
    inner join plan_fingerprints on service_periods.plan_number = plan_fingerprints.plan_number
    left join plans_by_cost on service_periods.plan_number = plans_by_cost.plan_number
    left join period_overrides
        on
            service_periods.subscription_id = period_overrides.subscription_id
            and service_periods.period_start = period_overrides.period_start
    cross join build_scope

)

select * from final
