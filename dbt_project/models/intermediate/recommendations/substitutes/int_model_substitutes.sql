{#- Accepted substitutes of alerts.yml. -#}

with settings as (

    select * from {{ ref('stg_catalog__alert_settings') }}
    where key = 'models'

),

lists as (

    select {{ json_lists(json_part("value", "substitutes"), "model", "substitutes") }}
    from settings

),

final as (

    select distinct
        model,
        unnest(substitutes) as substitute
    from lists

)

select * from final
