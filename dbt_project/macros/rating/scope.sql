{#- What part of the rating a build computes and replaces. -#}

{#- Condition on a local day: it lies between the first and last day of the periods that this build rates, or with
    and_before anywhere before their end. The days are literals so that the engine skips what it need not read. -#}
{% macro in_rated_days(day, and_before=false) -%}
    {%- set periods = ref("int_periods_to_rate") -%}
    {%- if not execute -%}
        true
    {%- else -%}
        {%- set bounds = run_query("select min(service_start), max(service_end) from " ~ periods).rows[0] -%}
        {%- if bounds[0] is none -%}
            false
        {%- else -%}
            {%- if not and_before -%} {{ day }} >= date {{ quoted(bounds[0]) }} and {% endif -%}
            {{ day }} < date {{ quoted(bounds[1]) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Pre-hook of the tables that keep every rated period: those rated again, and those that no longer exist, go first. -#}
{% macro delete_rerated() %}
    {%- if execute and is_incremental() -%}
        delete from {{ this }}
        where
            (subscription_id, period_start) not in (
                select (subscription_id, period_start) from {{ ref("int_rated_periods") }} where not is_due
            )
    {%- endif -%}
{% endmacro %}
