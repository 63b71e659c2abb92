{{ config(materialized='ephemeral') }}

{#- MODEL_SWITCH: the same tokens at an accepted substitute's price. -#}

with models as (

    select * from {{ ref('int_cheaper_models') }}

),

final as (

    select
        {{ recommendation_id(["'MODEL_SWITCH'", "customer_id", "provider", "model", "substitute"]) }}
            as recommendation_id,
        customer_id,
        cast(null as varchar) as subscription_id,
        cast(null as varchar) as meter_id,
        'MODEL_SWITCH' as type,
        'cheaper_model' as rule,
        'MEDIUM' as priority,
        'Use ' || substitute || ' in place of ' || model as title,
        {{ counted("compared_request_count", "request") }} || ' to ' || model || ' (' || provider || ') from '
        || {{ month_text("first_month") }} || ' to ' || {{ month_text("last_month") }} || ', with '
        || {{ plain_number("cast(input_tokens as decimal(38, 12))") }} || ' tokens in and '
        || {{ plain_number("cast(output_tokens as decimal(38, 12))") }} || ' out, cost ' || {{ usd_text("cost_usd") }}
        || '. The same tokens on ' || substitute || ' would have cost ' || {{ usd_text("substitute_cost_usd") }} || '.'
        || case
            when request_count > compared_request_count
                then ' ' || {{ counted("request_count - compared_request_count", "request") }}
                    || ' without a known cost left out.'
            else ''
        end as description,
        'Saves ' || {{ usd_text("saving_usd") }} || ' of provider cost over ' || {{ counted("month_count", "month") }}
        || '.' as impact,
        'Send the work that ' || substitute || ' does well enough to it; try it on a part of the requests first.'
            as implementation,
        {{ evidence("evidence", {
            "cost_usd": decimal_text("cost_usd"), "substitute_cost_usd": decimal_text("substitute_cost_usd"),
            "months": "month_count",
        }) }} as evidence,
        saving_usd as potential_savings,
        'USD' as currency
    from models

)

select * from final
