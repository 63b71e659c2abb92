{#- macros/lake.sql on DuckDB; what each does is said there. -#}

{% macro default__read_files(paths) -%}
    read_parquet([{% for path in paths %}{{ quoted(path) }}{{ ", " if not loop.last }}{% endfor %}])
{%- endmacro %}

{% macro default__with_columns(relation, columns) -%}
    (
        select
            {% for column, type in columns.items() -%}
            cast(null as {{ type }}) as {{ column }}{{ "," if not loop.last }}
            {% endfor -%}
        where false
        union all by name
        select * from {{ relation }}
    )
{%- endmacro %}

{% macro default__utc_date(instant) -%}cast(make_timestamp(epoch_us({{ instant }})) as date){%- endmacro %}
