{#- How a build writes on DuckDB. It has a file of its own, which replaces the warehouse only as a whole, so nobody sees a
    relation half made and nothing needs rolling back. dbt's own way (make it beside the old one, rename both, drop one,
    in a transaction) takes several times the statements, and what a statement costs is Python: D-build-one-statement. Relations that change
    their kind are none of this file's business: another version of the models begins from nothing. -#}

{% materialization table, adapter="duckdb" %}
    {%- set target = this.incorporate(type="table") -%}
    {{ run_at_once(pre_hooks) }}
    {{ write_table(target) }}
    {{ run_at_once(post_hooks) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{% materialization view, adapter="duckdb" %}
    {%- set target = this.incorporate(type="view") -%}
    {{ run_at_once(pre_hooks) }}
    {%- call statement("main", auto_begin=false) -%}
        create or replace view {{ target }} as ({{ sql }})
    {%- endcall -%}
    {{ run_at_once(post_hooks) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{#- The pre-hook deletes what this build computes again; the rest stays. -#}
{% materialization incremental, adapter="duckdb" %}
    {%- set target = this.incorporate(type="table") -%}
    {{ run_at_once(pre_hooks) }}
    {%- if is_incremental() -%}
        {{ need_contract() }}
        {%- call statement("main", auto_begin=false) -%}
            insert into {{ target }} by name ({{ sql }})
        {%- endcall -%}
    {%- else -%}
        {{ write_table(target) }}
    {%- endif -%}
    {{ run_at_once(post_hooks) }}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{% macro write_table(target) %}
    {{ need_contract() }}
    {%- call statement("main", auto_begin=false) -%}
        {%- if config.get("contract").enforced -%}
            create or replace table {{ target }} {{ get_table_columns_and_constraints() }};
            insert into {{ target }} by name ({{ sql }})
        {%- else -%}
            create or replace table {{ target }} as ({{ sql }})
        {%- endif -%}
    {%- endcall -%}
{% endmacro %}

{% macro need_contract() %}
    {%- if config.get("contract").enforced -%}{{ get_assert_columns_equivalent(sql) }}{%- endif -%}
{% endmacro %}

{% macro run_at_once(hooks) %}
    {%- for hook in hooks -%}
        {%- set rendered = render(hook.sql) | trim -%}
        {%- if rendered -%}
            {%- call statement(auto_begin=false) -%}{{ rendered }}{%- endcall -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}
