{#- What projections share: their bounds, and rating what is projected with the SQL that rates what was used. -#}

{#- Complete local days before the clock's day that a projection learns from, as four weeks. -#}
{% macro trailing_days() -%}28{%- endmacro %}

{#- Condition on a local day: near enough to the clock for open cycles, the calendar month and the trailing days. Both
    ends are literals so that the engine skips the rest; a cycle has 31 days at most, a time zone moves by one. -#}
{% macro is_recent(day) -%}
    {{ day }} between {{ local_date(as_of(), "'UTC'") }} - 33 and {{ local_date(as_of(), "'UTC'") }} + 33
{%- endmacro %}

{#- How much of the clock's local day is still to come, in seconds of 86,400. -#}
{% macro seconds_left(instant, timezone) -%}{{ return(adapter.dispatch("seconds_left")(instant, timezone)) }}{%- endmacro %}

{#- quantity * ratio / divisor, the ratio counted in millionths; null beyond the type. -#}
{% macro times_ratio(quantity, ratio_count, divisor="1") -%}
    {{ attempt(exact_ratio(quantity, ratio_count, "(" ~ divisor ~ " * 1000000)"), quantity) }}
{%- endmacro %}

{#- part / whole (DECIMAL(38,12), whole > 0) in millionths, rounded down; null beyond the type. -#}
{% macro ratio_count(part, whole) -%}
    {{ attempt(scaled(part) ~ " * cast(1000000 as hugeint) // " ~ scaled(whole), whole) }}
{%- endmacro %}

{#- What is still to come of an expected day: all of a later one, the rest of the clock's. -#}
{% macro share_of_day(quantity, day, clock) -%}
    case
        when {{ day }} > {{ clock }}.local_today then {{ quantity }}
        else {{ attempt(exact_ratio(quantity, clock ~ ".seconds_left", "86400"), quantity) }}
    end
{%- endmacro %}

{#- A day in all: on the clock's day the rest is added to what is known, on a later one it takes that in. -#}
{% macro known_and_expected(quantity) -%}
    case
        when expected.open_number is null then known.quantity
        when known.open_number is null or expected.{{ quantity }} is null then expected.{{ quantity }}
        when expected.is_today then known.quantity + expected.{{ quantity }}
        when known.quantity is not null then greatest(known.quantity, expected.{{ quantity }})
    end
{%- endmacro %}

{#- The SQL of a rating model over other relations: reads maps each model that it names to what is read instead. So a
    projection is rated by the very text that rates invoices. -#}
{% macro rated_by(model_name, reads) -%}
    {%- if not execute -%}
        select 1
    {%- else -%}
        {%- set text = namespace(sql=graph.nodes["model." ~ project_name ~ "." ~ model_name].raw_code) -%}
        {%- for name, relation in reads.items() -%}
            {%- set reference = "{{ ref('" ~ name ~ "') }}" -%}
            {%- if reference not in text.sql -%}
                {{ exceptions.raise_compiler_error(model_name ~ " no longer reads " ~ name) }}
            {%- endif -%}
            {%- set text.sql = text.sql | replace(reference, relation | string) -%}
        {%- endfor -%}
        {{ render(text.sql) }}
    {%- endif -%}
{%- endmacro %}
