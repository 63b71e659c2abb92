{#- The documented grain is the key: no two rows share these columns. Nulls count as equal here. -#}
{% test unique_grain(model, columns) %}

select
    {{ columns | join(", ") }},
    count(*) as row_count
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1

{% endtest %}
