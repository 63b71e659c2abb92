{#- Open periods on the plan they are on: a projection compares no plans. -#}

{%- set reads = {
    'int_periods_to_rate': ref('int_open_periods'),
    'int_plan_versions': ref('int_plan_versions'),
} %}

with final as (

    select
        period_number,
        plan_number,
        share_days,
        share_base,
        is_current
    from ({{ rated_by('int_assignments', reads) }})
    where is_current

)

select * from final
