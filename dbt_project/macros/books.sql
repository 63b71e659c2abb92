{#- Issued documents: reading them from the ledger's export, and the words and hashes of new ones. -#}

{#- Rows of a ledger table that the relation does not hold yet, each with the closing that brought it; before the first
    closing a table of the given columns without rows. -#}
{% macro closing_rows(table, columns, relation=none) -%}
    {%- set lineage = source("ledger", table) -%}
    {%- set held = (column_values("select max(closing_number) from " ~ relation)[0] or 0) | int if relation else 0 -%}
    {%- set files = [] -%}
    {%- for file in closing_files(table) -%}
        {%- set number = file.split("/")[-1].split(".")[0] | int -%}
        {%- if number > held -%}{%- do files.append({"path": file, "number": number}) -%}{%- endif -%}
    {%- endfor -%}
    (
        select
            {% for column, type in columns.items() -%}
            cast(null as {{ type }}) as {{ column }},
            {% endfor -%}
            cast(null as integer) as closing_number
        where false
        {%- for file in files %}
        union all
        select
            {{ columns.keys() | join(",\n            ") }},
            {{ file.number }} as closing_number
        from {{ read_files([file.path]) }}
        {%- endfor %}
    )
{%- endmacro %}

{#- The last day that a cycle may have to be part of the closing being computed; without one, any day. -#}
{% macro is_within_closing(period_end) -%}
    {%- set through = knowledge("close_through") -%}
    {%- if through -%}
        {{ period_end }} <= date {{ quoted(through) }} + 1
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- What the corrections of an issued invoice must come to together, in units of its currency, to be issued by the
    closing being computed. -#}
{% macro corrections_from() -%}
    cast({{ quoted(knowledge("corrections_from") or "0") }} as decimal(38, 12))
{%- endmacro %}

{#- What was billed for the line of a relation like int_line_differences, and what it should be. -#}
{% macro correction_text(differences, description) -%}
    {{ cycle_text(differences ~ ".period_start", differences ~ ".period_end") }} || ', ' || {{ description }} || '; billed '
        || {{ money_text(differences ~ ".billed_minor", differences ~ ".minor_units") }} || ', should be '
        || {{ money_text(differences ~ ".amount_minor", differences ~ ".minor_units") }} || ' ' || {{ differences }}.currency
{%- endmacro %}

{#- Minor units as people write them: 1,234.50 -#}
{% macro money_text(amount_minor, minor_units) -%}
    {{ return(adapter.dispatch("money_text")(amount_minor, minor_units)) }}
{%- endmacro %}

{#- Minor units as an amount of the currency. -#}
{% macro in_major(amount_minor, minor_units) -%}
    cast(({{ amount_minor }}) * cast('1e-' || {{ minor_units }} as decimal(38, 12)) as decimal(38, 12))
{%- endmacro %}

{#- A cycle in words, both days included. -#}
{% macro cycle_text(period_start, period_end) -%}
    cast({{ period_start }} as varchar) || ' to ' || cast(cast({{ period_end }} - 1 as date) as varchar)
{%- endmacro %}

{#- The canonical text of a document is one line of text per record: its fields in the given order, each followed by a
    tab. A null is empty, dates are YYYY-MM-DD, decimals have 12 digits after the point, and a tab, line feed, carriage
    return or backslash inside a text is written \t, \n, \r or \\. -#}
{% macro canonical_record(columns) -%}
    {%- for column in columns -%}
        coalesce(
            replace(
                replace(
                    replace(replace(cast({{ column }} as varchar), chr(92), chr(92) || chr(92)), chr(9), chr(92) || 't'),
                    chr(10), chr(92) || 'n'
                ),
                chr(13), chr(92) || 'r'
            ), ''
        ) || chr(9)
        {{- " || " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#- SHA-256 of a text in UTF-8, as 64 hexadecimal digits. -#}
{% macro sha256_hex(text) -%}{{ return(adapter.dispatch("sha256_hex")(text)) }}{%- endmacro %}

{#- Whether a closing is being computed; what only a closing needs is left out of other builds. -#}
{% macro is_closing() %}
    {{ return(knowledge("close_through") != "") }}
{% endmacro %}

{#- Events near the cycles being corrected: `fresh` of batches that the first statement among them did not know; `gone`
    of batches that such a one took the place of; `older` of all batches, and only if a fresh event or one that is gone
    may have superseded one. -#}
{% macro correction_events(which) %}
    {%- set replaced = ref("int_replaced_batches") -%}
    {%- set differences = ref("int_line_differences") -%}
    {%- set known = ref("stg_ledger__closing_batches") -%}
    {%- set dates = ref("stg_lake__batch_dates") -%}
    {%- if not is_closing() -%}{{ return(lake_events("false")) }}{%- endif -%}
    {%- set near -%}
        event_date between (select min(period_start) - 37 from {{ differences }})
        and (select max(period_end) + 37 from {{ differences }})
    {%- endset -%}
    {%- set known_then -%}
        (
            select batch_id from {{ known }}
            where closing_number <= (select min(stated_in_closing) from {{ differences }})
        )
    {%- endset -%}
    {%- set is_fresh = "batch_id not in " ~ known_then -%}
    {#- What came and was replaced in between was billed to nobody. -#}
    {%- set is_gone = "batch_id in " ~ known_then ~ " and batch_id in (select batch_id from " ~ replaced
        ~ " where replaced_by not in " ~ known_then ~ ")" -%}
    {%- if which == "fresh" -%}
        {{ return(lake_events(near ~ " and " ~ is_fresh)) }}
    {%- elif which == "gone" -%}
        {{ return(lake_events(near ~ " and " ~ is_gone, are_replaced=true)) }}
    {%- endif -%}
    {{ return(lake_events(
        near ~ " and exists (select 1 from " ~ dates ~ " where max_revision > 0 and (" ~ is_fresh ~ " or " ~ is_gone ~ "))"
    )) }}
{% endmacro %}

{#- A table of the catalog or accounts versions that closings used, each row with its version (catalog_version,
    accounts_version); of the given columns, as text where no type is given. -#}
{% macro pinned_table(kind, name, versions, columns, types={}) -%}
    (
        select
            {% for column in columns -%}
            cast(null as {{ types.get(column, "varchar") }}) as {{ column }},
            {% endfor -%}
            cast(null as varchar) as {{ kind }}_version
        where false
        {%- for version in versions %}
        union all
        select
            {% for column in columns -%}
            cast({{ column }} as {{ types.get(column, "varchar") }}) as {{ column }},
            {% endfor -%}
            {{ quoted(version) }} as {{ kind }}_version
        from {{ read_files([lake_path(kind ~ "/" ~ version ~ "/" ~ name ~ ".parquet")]) }}
        {%- endfor %}
    )
{%- endmacro %}

{#- A text as a JSON string; null is null. -#}
{% macro json_value(text) -%}{{ return(adapter.dispatch("json_value")(text)) }}{%- endmacro %}

{#- The rows of accounts tables as one fact per row and column: `tables` says of each table whom it is about, what its
    rows are told apart by and which columns are looked at, `relations` what each is read from. -#}
{% macro account_facts(tables, relations, accounts_version) -%}
    {%- for table, fact in tables.items() -%}
    {%- set is_first_table = loop.first -%}
    {%- for column in fact["columns"] -%}
    {%- if not (is_first_table and loop.first) %}
    union all
    {% endif -%}
    select
        {{ accounts_version }} as accounts_version,
        {{ quoted(table) }} as table_name,
        {{ fact.subject }} as subject_id,
        {{ fact.key }} as row_key,
        {{ quoted(column) }} as column_name,
        cast({{ column }} as varchar) as value
    from {{ relations[table] }}
    {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}
