{#- What a meter reads from an event, generated from the catalog: which events feed it, and which value each gives. -#}

{#- Meters with one of these aggregations:
    [{meter_id, aggregation, field, per, filters: [{field, value}], event_types}]. -#}
{% macro meters_with(aggregations) %}
    {%- set meters = [] -%}
    {%- set meters_relation = ref("stg_catalog__meters") -%}
    {%- set filters_relation = ref("stg_catalog__meter_filters") -%}
    {%- set event_types_relation = ref("stg_catalog__meter_event_types") -%}
    {%- if execute -%}
        {%- set query -%}
            select
                meter_id,
                aggregation,
                field,
                per
            from {{ meters_relation }}
            where aggregation in ({% for word in aggregations %}{{ quoted(word) }}{{ ", " if not loop.last }}{% endfor %})
            order by meter_id
        {%- endset -%}
        {%- set filter_query = "select meter_id, field, value from " ~ filters_relation ~ " order by meter_id, field" -%}
        {%- set filters = run_query(filter_query).rows -%}
        {%- set event_type_query = "select meter_id, event_type from " ~ event_types_relation ~ " order by event_type" -%}
        {%- set event_types = run_query(event_type_query).rows -%}
        {%- for row in run_query(query).rows -%}
            {%- set meter = {
                "meter_id": row[0], "aggregation": row[1], "field": row[2], "per": row[3], "filters": [], "event_types": []
            } -%}
            {%- for filter in filters if filter[0] == row[0] -%}
                {%- do meter.filters.append({"field": filter[1], "value": filter[2]}) -%}
            {%- endfor -%}
            {%- for event_type in event_types if event_type[0] == row[0] -%}
                {%- do meter.event_types.append(event_type[1]) -%}
            {%- endfor -%}
            {%- do meters.append(meter) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(meters) }}
{% endmacro %}

{% macro property_text(key) -%}{{ return(adapter.dispatch("property_text")(key)) }}{%- endmacro %}

{% macro field_text(field) -%}
    {%- if field.startswith("properties.") -%}
        {{ property_text(field[11:]) }}
    {%- elif field == "total_tokens" -%}
        cast({{ field_number(field) }} as varchar)
    {%- else -%}
        cast(events.{{ field }} as varchar)
    {%- endif -%}
{%- endmacro %}

{% macro field_number(field) -%}
    {%- if field.startswith("properties.") -%}
        {{ bounded_number(property_text(field[11:])) }}
    {%- elif field == "total_tokens" -%}
        cast(
            case
                when events.input_tokens is not null or events.output_tokens is not null
                    then cast(coalesce(events.input_tokens, 0) as decimal(38, 0)) + coalesce(events.output_tokens, 0)
            end as decimal(38, 12)
        )
    {%- else -%}
        cast(events.{{ field }} as decimal(38, 12))
    {%- endif -%}
{%- endmacro %}

{% macro filter_holds(filters) -%}
    {%- if not filters -%}
        true
    {%- else -%}
        {%- for filter in filters -%}
            {%- if filter.field in ("quantity", "cost_usd", "revision", "input_tokens", "output_tokens", "cached_input_tokens") -%}
                coalesce(cast(events.{{ filter.field }} as decimal(38, 12)) = try_cast({{ quoted(filter.value) }} as decimal(38, 12)), false)
            {%- else -%}
                coalesce({{ field_text(filter.field) }} = {{ quoted(filter.value) }}, false)
            {%- endif -%}
            {{ " and " if not loop.last }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{#- Whether events that feed the meter may lack what it reads: a count reads nothing, and no event is without quantity. -#}
{% macro can_lack_field(meter) %}
    {{ return(meter.aggregation != "count" and meter.field != "quantity") }}
{% endmacro %}

{#- Does the event have what the meter reads: a value to tell apart, otherwise a number? -#}
{% macro has_field(meter) -%}
    {%- if not can_lack_field(meter) -%}
        true
    {%- elif meter.aggregation == "unique" -%}
        {{ field_text(meter.field) }} is not null
    {%- elif meter.field.startswith("properties.") -%}
        {{ field_number(meter.field) }} is not null
    {%- elif meter.field == "total_tokens" -%}
        (events.input_tokens is not null or events.output_tokens is not null)
    {%- else -%}
        events.{{ meter.field }} is not null
    {%- endif -%}
{%- endmacro %}

{#- Is the event of a type that the meter names? -#}
{% macro is_of_type(meter) -%}
    events.event_type in ('' {%- for event_type in meter.event_types %}, {{ quoted(event_type) }}{% endfor %})
{%- endmacro %}

{#- How the event feeds the meter, its type included: true with the field that the meter reads, false without it, null
    not at all. -#}
{% macro feeds_with_field(meter) -%}
    case when {{ is_of_type(meter) }} and {{ filter_holds(meter.filters) }} then {{ has_field(meter) }} end
{%- endmacro %}

{#- Does the event, joined to the meter by its type, feed it? -#}
{% macro event_feeds_meter(meters, meter_id) -%}
    {%- set filtered = meters | selectattr("filters") | list -%}
    {%- if not filtered -%}
        true
    {%- else -%}
        case {{ meter_id }}
            {% for meter in filtered -%}
            when {{ quoted(meter.meter_id) }} then {{ filter_holds(meter.filters) }}
            {% endfor -%}
            else true
        end
    {%- endif -%}
{%- endmacro %}

{#- The event's value for the meter; as_text for distinct counts, otherwise DECIMAL(38,12). -#}
{% macro meter_value(meters, meter_id, attribute="field", as_text=false) -%}
    {%- set typed = "varchar" if as_text else "decimal(38, 12)" -%}
    {%- set named = meters | selectattr(attribute) | list -%}
    {%- if not named -%}
        cast(null as {{ typed }})
    {%- else -%}
        case {{ meter_id }}
            {% for meter in named -%}
            when {{ quoted(meter.meter_id) }} then {{ field_text(meter[attribute]) if as_text else field_number(meter[attribute]) }}
            {% endfor -%}
        end
    {%- endif -%}
{%- endmacro %}

{#- Condition on events: their type feeds one of the meters. Keeps a scan from reading what it cannot use. -#}
{% macro type_feeds(meters) -%}
    {%- if not meters -%}
        false
    {%- else -%}
        events.event_type in (
            select event_type from {{ ref("stg_catalog__meter_event_types") }}
            where meter_id in ({% for meter in meters %}{{ quoted(meter.meter_id) }}{{ ", " if not loop.last }}{% endfor %})
        )
    {%- endif -%}
{%- endmacro %}
