{#- What recommendations share: how far they look back, the words of their figures, and evidence that names the rows of
    the marts that it was taken from. -#}

{#- How many cycles, or calendar months for provider cost, a recommendation looks back over. -#}
{% macro lookback_cycles() %}
    {%- set settings = ref("stg_catalog__alert_settings") -%}
    {{ return(column_values(
        "select " ~ json_text("value", "lookback_cycles") ~ " from " ~ settings ~ " where key = 'recommendations'"
    ) | first | default(3) | int) }}
{% endmacro %}

{#- 1 to that number, as a list. -#}
{% macro lookback_numbers() -%}{{ range(1, lookback_cycles() + 1) | list }}{%- endmacro %}

{#- Condition on a local day: in the months looked back over, or near them; a literal, so that the engine skips the
    rest. -#}
{% macro is_looked_back_on(day) -%}
    {{ day }} > {{ local_date(as_of(), "'UTC'") }} - {{ 31 * (lookback_cycles() + 1) + 2 }}
{%- endmacro %}

{#- Condition: alerts.yml accepts a substitute for the model; false if it names none for any, so that nothing is read. -#}
{% macro has_substitute(model) -%}
    {%- set models = column_values(
        "select distinct model from " ~ ref("int_model_substitutes") ~ " order by model"
    ) | list -%}
    {%- if not models -%}{{ return("false") }}{%- endif -%}
    {%- set names = [] -%}
    {%- for name in models %}{% do names.append(quoted(name)) %}{% endfor -%}
    {{ return(model ~ " in (" ~ names | join(", ") ~ ")") }}
{%- endmacro %}

{#- A setting of alerts.yml as a decimal. -#}
{% macro json_decimal(object, key) -%}cast({{ json_text(object, key) }} as decimal(38, 12)){%- endmacro %}

{#- Keys and lists of a JSON object of lists, as two columns. -#}
{% macro json_lists(object, key, items) -%}
    {{ return(adapter.dispatch("json_lists")(object, key, items)) }}
{%- endmacro %}

{#- A key of a JSON object, as the text of its JSON; null if it is absent. -#}
{% macro json_part(object, key) -%}{{ return(adapter.dispatch("json_part")(object, key)) }}{%- endmacro %}

{#- A text as JSON, quoted and escaped; null as null. -#}
{% macro json_quote(text) -%}{{ return(adapter.dispatch("json_quote")(text)) }}{%- endmacro %}

{#- The same day so many months before. -#}
{% macro months_before(day, count) -%}{{ return(adapter.dispatch("months_before")(day, count)) }}{%- endmacro %}

{#- A decimal in the fewest digits that are exact: 0.75, 1000. -#}
{% macro decimal_text(value) -%}{{ return(adapter.dispatch("decimal_text")(value)) }}{%- endmacro %}

{#- An object of texts as JSON: names are literals, values are columns or expressions. -#}
{% macro json_record(values) -%}
    '{' {%- for name, value in values.items() %} || '"{{ name }}":' || {{ json_quote(value) }}
    {%- if not loop.last %} || ','{% endif %}{% endfor %} || '}'
{%- endmacro %}

{#- What a mart says: the table, the columns that find rows in it, and what a column of theirs adds up to. -#}
{% macro evidence_row(table, key, values) -%}
    '{"table":"{{ table }}","key":' || {{ json_record(key) }} || ',"values":' || {{ json_record(values) }} || '}'
{%- endmacro %}

{#- Evidence as a whole: the rows that were looked at and the figures that were derived from them. -#}
{% macro evidence(rows, figures) -%}
    '{"rows":[' || {{ rows }} || '],"figures":' || {{ json_record(figures) }} || '}'
{%- endmacro %}

{#- Deterministic, so that the same advice keeps its id; its parts are what makes it the same advice. -#}
{% macro recommendation_id(parts) -%}'rec_' || left({{ fingerprint(parts) }}, 24){%- endmacro %}

{#- Provider cost in words: to the cent, under one dollar to a millionth. -#}
{% macro usd_text(amount) -%}
    case
        when {{ amount }} >= 1
            then {{ money_text("cast(round(" ~ amount ~ " * 100, 0) as decimal(18, 0))", "2") }}
        else {{ plain_number("cast(round(" ~ amount ~ ", 6) as decimal(38, 12))") }}
    end || ' USD'
{%- endmacro %}

{#- A ratio in words, to a tenth of a percent: 91.7 % -#}
{% macro percent_text(ratio) -%}{{ plain_number("round(" ~ ratio ~ " * 100, 1)") }} || ' %'{%- endmacro %}

{#- A month in words: 2024-06 -#}
{% macro month_text(day) -%}left(cast({{ day }} as varchar), 7){%- endmacro %}

{#- 'the last 3 cycles', 'the last cycle'. -#}
{% macro last_words(count, noun) -%}
    'the last ' || case when {{ count }} = 1 then '{{ noun }}' else {{ count }} || ' {{ noun }}s' end
{%- endmacro %}
