{#- The documented grain is the key: no two rows share these columns, where nulls count as equal. And the required
    columns are never null. One check for both, since a check costs more than what it scans; it says each row's fault. -#}
{% test unique_grain(model, columns, required=[]) %}

select
    {{ columns | join(", ") }},
    cast(count(*) as varchar) || ' rows share this key' as fault
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1
{%- if required %}
union all
select
    {{ columns | join(", ") }},
    'without'
    {%- for column in required %} || case when {{ column }} is null then ' {{ column }}' else '' end{% endfor %} as fault
from {{ model }}
where {% for column in required %}{{ column }} is null{{ " or " if not loop.last }}{% endfor %}
{%- endif %}

{% endtest %}
