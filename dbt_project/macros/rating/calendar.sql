{#- Local calendar arithmetic of cycles and service periods. -#}

{% macro month_start(day) -%}cast(date_trunc('month', {{ day }}) as date){%- endmacro %}

{#- First days of all months from that of one day to that of another, one row each. -#}
{% macro months_between(first_day, last_day) -%}
    {{ return(adapter.dispatch("months_between")(first_day, last_day)) }}
{%- endmacro %}

{#- All days from one to another, both included, one row each. -#}
{% macro days_between(first_day, last_day) -%}
    {{ return(adapter.dispatch("days_between")(first_day, last_day)) }}
{%- endmacro %}

{#- The anchor's day in a month; a month too short for it gives its last day. -#}
{% macro anchor_in_month(month_start, anchor_day) -%}
    cast({{ month_start }} + cast(least({{ anchor_day }}, day(last_day({{ month_start }}))) - 1 as integer) as date)
{%- endmacro %}

{#- First day of the window that a day of a service period counts in, by the charge's reset. -#}
{% macro window_start(reset, service_start, day) -%}
    case {{ reset }}
        when 'cycle' then {{ service_start }}
        when 'day' then {{ day }}
        else greatest({{ service_start }}, {{ month_start(day) }})
    end
{%- endmacro %}

{#- Columns as one hash; a null differs from every text, and no text can imitate the separator between two. -#}
{% macro fingerprint(columns) -%}
    md5(
        {%- for column in columns %}
        coalesce(replace(cast({{ column }} as varchar), chr(31), chr(31) || 'u') || chr(31) || 's', chr(31) || 'n')
        {{- " ||" if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}
