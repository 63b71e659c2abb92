{#- How models read the lake: this build's catalog and accounts version, and the event files of given batches and
    days. Only files named by a batch's manifest row are ever read. -#}

{% macro read_files(paths) -%}{{ return(adapter.dispatch("read_files")(paths)) }}{%- endmacro %}

{% macro default__read_files(paths) -%}
    read_parquet([{% for path in paths %}{{ quoted(path) }}{{ ", " if not loop.last }}{% endfor %}])
{%- endmacro %}

{#- source() is called for the lineage; the location depends on the version in use. -#}
{% macro catalog_table(name) -%}
    {%- set lineage = source("catalog", name) -%}
    {{ read_files([lake_path("catalog/" ~ setting("METERHOUSE_CATALOG_VERSION") ~ "/" ~ name ~ ".parquet")]) }}
{%- endmacro %}

{% macro accounts_table(name) -%}
    {%- set lineage = source("accounts", name) -%}
    {{ read_files([lake_path("accounts/" ~ setting("METERHOUSE_ACCOUNTS_VERSION") ~ "/" ~ name ~ ".parquet")]) }}
{%- endmacro %}

{#- Condition: this build is about the customer. Models read few columns of few tables before they can say so, and
    everything after them is small by itself. -#}
{% macro is_customer_known(customer_id) -%}
    {%- set file = knowledge("METERHOUSE_CUSTOMERS") -%}
    {%- if file -%}
        {{ customer_id }} in (select customers.customer_id from {{ read_files([file]) }} as customers)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- Files of a ledger table that grows by closing (lake/ledger/<table>/<closing number>.parquet), of the closings that
    this build knows; maybe none. -#}
{% macro closing_files(table) %}
    {%- set known = knowledge("METERHOUSE_KNOWN_CLOSING") -%}
    {%- set query -%}
        select file from {{ list_files(lake_path("ledger/" ~ table ~ "/*.parquet")) }}
        {% if known -%} where cast(parse_filename(file, true) as integer) <= {{ known }} {%- endif %}
        order by file
    {%- endset -%}
    {{ return(column_values(query) | list) }}
{% endmacro %}

{% macro column_values(query) %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {{ return(run_query(query).columns[0].values()) }}
{% endmacro %}

{#- Manifest files that the relation does not hold yet. The empty schema file comes first: it gives the types and
    keeps the list from being empty. -#}
{% macro new_manifest_files(relation=none) %}
    {%- set known = knowledge("METERHOUSE_KNOWN_BATCHES") -%}
    {%- set query -%}
        select file from {{ list_files(lake_path("batches/*.parquet")) }}
        where
            true
            {% if relation -%} and parse_filename(file, true) not in (select batch_id from {{ relation }}) {%- endif %}
            {% if known -%}
                and parse_filename(file, true) in (select known.batch_id from {{ read_files([known]) }} as known)
            {%- endif %}
        order by file
    {%- endset -%}
    {{ return([lake_path("schema/batches.parquet")] + (column_values(query) | list)) }}
{% endmacro %}

{% macro list_files(pattern) -%}{{ return(adapter.dispatch("list_files")(pattern)) }}{%- endmacro %}
{% macro default__list_files(pattern) -%}glob({{ quoted(pattern) }}){%- endmacro %}

{#- Files of accepted events: those rows of stg_lake__batch_dates that satisfy the condition. -#}
{% macro event_files(condition) %}
    {%- set query -%}
        select {{ quoted(lake_path("events/event_date=")) }} || event_date || '/' || batch_id || '.parquet'
        from {{ ref("stg_lake__batch_dates") }}
        where {{ condition }}
        order by event_date, batch_id
    {%- endset -%}
    {{ return([lake_path("schema/events.parquet")] + (column_values(query) | list)) }}
{% endmacro %}

{#- Files of rejected records, of those batches that satisfy the condition. -#}
{% macro reject_files(condition) %}
    {%- set query -%}
        select {{ quoted(lake_path("rejects/")) }} || batch_id || '.parquet'
        from {{ ref("stg_lake__batches") }}
        where {{ condition }}
        order by batch_id
    {%- endset -%}
    {{ return([lake_path("schema/rejects.parquet")] + (column_values(query) | list)) }}
{% endmacro %}
