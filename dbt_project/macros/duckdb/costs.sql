{#- macros/costs.sql on DuckDB; what each does is said there. -#}

{% macro default__microsecond_of_day(instant) -%}(epoch_us({{ instant }}) % 86400000000){%- endmacro %}

{#- Reading JSON is slow, finding a word is not: only properties that hold the word are read. -#}
{% macro default__is_batch(events) -%}
    case
        when contains({{ events }}.properties, 'batch')
            then coalesce(
                json_extract_string({{ events }}.properties, '$."batch"') = 'true'
                or json_extract_string({{ events }}.properties, '$."processing"') = 'batch',
                false
            )
        else false
    end
{%- endmacro %}
