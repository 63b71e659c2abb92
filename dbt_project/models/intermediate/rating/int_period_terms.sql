{#- What a service period is held to once it is issued: the customer's time zone, the cycle, the plan version with all
    that the catalog says about it, and provider prices where the plan passes them on. Service days, overrides and the
    choice of the plan are account rows: known later, they apply. -#}

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

plans_by_cost as (

    select distinct plan_number
    from plan_charges
    where overage_model = 'cost_plus'

),

final as (

    select
        service_periods.subscription_id,
        service_periods.customer_id,
        subscriptions.billing_anchor_day,
        {{ fingerprint([
            "service_periods.timezone", "service_periods.period_start", "service_periods.period_end",
            "plan_fingerprints.fingerprint",
            "case when plans_by_cost.plan_number is not null then build_scope.prices_version end",
        ]) }} as terms_hash,
        service_periods.plan_version,
        service_periods.period_start,
        service_periods.period_end
    from service_periods
    inner join subscriptions on service_periods.subscription_id = subscriptions.subscription_id
    inner join plan_fingerprints on service_periods.plan_number = plan_fingerprints.plan_number
    left join plans_by_cost on service_periods.plan_number = plans_by_cost.plan_number
    cross join build_scope

)

select * from final
