{#- How models read the lake: this build's catalog and accounts version, and the records of given batches and days.
    Only files that a commit names are ever read, and of these only the records of batches that count. -#}

{% macro read_files(paths) -%}{{ return(adapter.dispatch("read_files")(paths)) }}{%- endmacro %}

{#- source() is called for the lineage; the location depends on the version in use.
    later: columns, with their types, that versions kept by older code lack: null there. -#}
{% macro catalog_table(name, later={}) -%}
    {%- set lineage = source("catalog", name) -%}
    {%- set table = read_files([lake_path("catalog/" ~ setting("catalog_version") ~ "/" ~ name ~ ".parquet")]) -%}
    {{ with_columns(table, later) if later else table }}
{%- endmacro %}

{#- A relation with these columns, null where it lacks them. -#}
{% macro with_columns(relation, columns) -%}{{ return(adapter.dispatch("with_columns")(relation, columns)) }}{%- endmacro %}

{% macro accounts_table(name) -%}
    {%- set lineage = source("accounts", name) -%}
    {{ read_files([lake_path("accounts/" ~ setting("accounts_version") ~ "/" ~ name ~ ".parquet")]) }}
{%- endmacro %}

{#- Condition: this build is about the customer. Models read few columns of few tables before they can say so, and
    everything after them is small by itself. -#}
{% macro is_customer_known(customer_id) -%}
    {%- set file = knowledge("customers") -%}
    {%- if file -%}
        {{ customer_id }} in (select customers.customer_id from {{ read_files([file]) }} as customers)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- Files of the lake that may be absent, by a pattern in which * stands for any name; those that the build was told of,
    in order. It does not look itself: to a query, a folder that the system will not open is an empty one. -#}
{% macro lake_files(pattern) %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- set wanted = pattern.replace(".", "[.]").replace("*", "[^/]*") -%}
    {%- set files = [] -%}
    {%- for file in var("lake_files") if modules.re.fullmatch(wanted, file) -%}
        {%- do files.append(lake_path(file)) -%}
    {%- endfor -%}
    {{ return(files) }}
{% endmacro %}

{#- Files of a ledger table that grows by closing (lake/ledger/<table>/<closing number>.parquet), of the closings that
    this build knows; maybe none. -#}
{% macro closing_files(table) %}
    {%- set known = knowledge("known_closing") -%}
    {%- set files = [] -%}
    {%- for file in lake_files("ledger/" ~ table ~ "/*.parquet") -%}
        {%- set number = file.split("/")[-1].split(".")[0] | int -%}
        {%- if not known or number <= known | int -%}{%- do files.append(file) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(files) }}
{% endmacro %}

{#- A table that the ledger exports whole (lake/ledger/<table>.parquet), each column in its type; before the
    first export a table without rows. -#}
{% macro exported_rows(table, columns) -%}
    {%- set lineage = source("ledger", table) -%}
    {%- set files = lake_files("ledger/" ~ table ~ ".parquet") -%}
    (
        select
            {% for column, type in columns.items() -%}
            cast({{ column if files else "null" }} as {{ type }}) as {{ column }}{{ "," if not loop.last }}
            {% endfor -%}
        {% if files -%} from {{ read_files(files) }} {%- else -%} where false {%- endif %}
    )
{%- endmacro %}

{% macro column_values(query) %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {{ return(run_query(query).columns[0].values()) }}
{% endmacro %}

{#- Commits after the last one that the relation holds. The empty schema file comes first: it gives the types and keeps
    the list from being empty. -#}
{% macro new_commit_files(relation=none) %}
    {%- set files = [lake_path("schema/commits.parquet")] -%}
    {%- if execute -%}
        {%- set held = (column_values("select max(commit_number) from " ~ relation)[0] or 0) | int if relation else 0 -%}
        {%- for number in range(held + 1, (lake_head().split(":")[0] or 0) | int + 1) -%}
            {%- do files.append(lake_path("commits/" ~ number ~ ".parquet")) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(files) }}
{% endmacro %}

{#- Condition: this build knows the batch. -#}
{% macro is_batch_known(batch_id) -%}
    {%- set known = knowledge("known_batches") -%}
    {%- if known -%}
        {{ batch_id }} in (select known.batch_id from {{ read_files([known]) }} as known)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- Accepted events: of those rows of stg_lake__batch_dates that satisfy the condition and whose batch counts; with
    `are_replaced`, whose batch counts no longer. -#}
{% macro lake_events(condition, are_replaced=false) %}
    {%- set counting -%}
        select batch_id, event_date from {{ ref("stg_lake__batch_dates") }}
        where
            ({{ condition }})
            and batch_id {{ "in" if are_replaced else "not in" }} (select batch_id from {{ ref("int_replaced_batches") }})
    {%- endset -%}
    {{ return(lake_records("events", counting, "(batch_id, " ~ utc_date("occurred_at") ~ ")")) }}
{% endmacro %}

{#- Rejected records, of those rows of stg_lake__batches that satisfy the condition. -#}
{% macro lake_rejects(condition) %}
    {%- set counting -%}
        select batch_id, cast(null as date) as event_date from {{ ref("stg_lake__batches") }} where {{ condition }}
    {%- endset -%}
    {{ return(lake_records("rejects", counting, "batch_id")) }}
{% endmacro %}

{#- The files of a kind that hold records of these batches and days, as something to select from. A file may hold
    records of other batches, too; only then are its records told apart, by the key that names them. -#}
{% macro lake_records(kind, counting, key) %}
    {%- set files = ref("stg_lake__files") -%}
    {%- if not execute -%}{{ return("(select 1)") }}{%- endif -%}
    {%- set query -%}
        with counting as ({{ counting }}),

        listed as (
            select
                files.file_path,
                counting.batch_id is not null as is_counting
            from {{ files }} as files
            left join counting
                on
                    files.batch_id = counting.batch_id
                    and files.event_date is not distinct from counting.event_date
            where files.kind = '{{ kind }}'
        )

        select file_path, bool_and(is_counting) as is_whole
        from listed
        group by file_path
        having bool_or(is_counting)
        order by file_path
    {%- endset -%}
    {%- set found = run_query(query) -%}
    {%- set paths = [lake_path("schema/" ~ kind ~ ".parquet")] -%}
    {%- for path in found.columns[0].values() -%}{%- do paths.append(lake_path(path)) -%}{%- endfor -%}
    {%- if found.columns[1].values() | select("equalto", false) | list -%}
        {{ return(
            "(select * from " ~ read_files(paths) ~ " where " ~ key ~ " in (select "
            ~ ("batch_id" if key == "batch_id" else "(batch_id, event_date)") ~ " from (" ~ counting ~ ") as counting))"
        ) }}
    {%- endif -%}
    {{ return(read_files(paths)) }}
{% endmacro %}

{% macro utc_date(instant) -%}{{ return(adapter.dispatch("utc_date")(instant)) }}{%- endmacro %}
