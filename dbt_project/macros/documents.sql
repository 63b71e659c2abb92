{#- What issued documents say beyond their lines. -#}

{#- A table of the catalog versions that closings used, each row with its version; of the given columns and types. -#}
{% macro pinned_catalog(name, versions, columns) -%}
    (
        select
            {% for column, type in columns.items() -%}
            cast(null as {{ type }}) as {{ column }},
            {% endfor -%}
            cast(null as varchar) as catalog_version
        where false
        {%- for version in versions %}
        union all
        select
            {{ columns.keys() | join(",\n            ") }},
            {{ quoted(version) }} as catalog_version
        from {{ read_files([lake_path("catalog/" ~ version ~ "/" ~ name ~ ".parquet")]) }}
        {%- endfor %}
    )
{%- endmacro %}
