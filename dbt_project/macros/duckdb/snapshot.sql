{#- macros/snapshot.sql on DuckDB; what each does is said there. -#}

{% macro default__describe_snapshot_columns() -%}
    {%- for entry in snapshot_columns() -%}
        comment on column {{ this }}.{{ entry.column }} is {{ quoted(entry.comment) }};
    {%- endfor -%}
{%- endmacro %}
