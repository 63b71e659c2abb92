{#- The columns that daily_snapshot takes from the catalog. -#}

{#- One per meter, by meter id: [{meter_id, column, comment, is_level}]. The column is named after the meter, quoted,
    since an id may hold anything; underscores follow where another column has that name, letter case aside. -#}
{% macro snapshot_columns() %}
    {%- set relation = ref("stg_catalog__meters") -%}
    {%- set columns = [] -%}
    {%- set taken = ["usage_date", "customer_id", "total_cost_usd"] -%}
    {%- if execute -%}
        {%- set query -%}
            select
                meter_id,
                name,
                unit,
                aggregation
            from {{ relation }}
            order by meter_id
        {%- endset -%}
        {%- for row in run_query(query).rows -%}
            {%- set name = free_name(row[0], taken) -%}
            {%- do taken.append(name | lower) -%}
            {%- do columns.append({
                "meter_id": row[0],
                "column": adapter.quote(name | replace('"', '""')),
                "comment": row[1] ~ " (" ~ row[2] ~ "): " ~ row[3] ~ " of that day alone.",
                "is_level": row[3] in ("max", "latest"),
            }) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(columns) }}
{% endmacro %}

{% macro free_name(name, taken) %}
    {{ return(free_name(name ~ "_", taken) if name | lower in taken else name) }}
{% endmacro %}

{#- Post-hook: these columns are documented in the warehouse, as no file of the project can know them. -#}
{% macro describe_snapshot_columns() -%}{{ return(adapter.dispatch("describe_snapshot_columns")()) }}{%- endmacro %}
