{#- What makes a budget speak: its own thresholds, else those of the alert settings, and pause_at where it is set. -#}

with budgets as (

    select * from {{ ref('stg_accounts__budgets') }}

),

settings as (

    select * from {{ ref('stg_catalog__alert_settings') }}

),

shared as (

    select {{ json_texts("value") }} as thresholds
    from settings
    where key = 'budget_thresholds'

),

ratios as (

    select
        budgets.customer_id,
        budgets.period,
        budgets.measure,
        budgets.currency,
        budgets.amount,
        'budget_threshold' as kind,
        unnest(coalesce({{ split_text("budgets.thresholds", ";") }}, shared.thresholds)) as threshold
    from budgets
    cross join shared

),

thresholds as (

    select
        customer_id,
        period,
        measure,
        currency,
        kind,
        amount,
        cast(threshold as decimal(38, 12)) as threshold
    from ratios
    union all
    select
        customer_id,
        period,
        measure,
        currency,
        'pause_reached' as kind,
        amount,
        pause_at as threshold
    from budgets
    where pause_at is not null

),

final as (

    select
        customer_id,
        period,
        measure,
        currency,
        kind,
        amount,
        threshold,
        {{ alert_bar("amount", "threshold") }} as bar
    from thresholds

)

select * from final
