{#- These columns are never null. One query for all of them: a test per column would scan the table as often. -#}
{% test required(model, columns) %}

select *
from {{ model }}
where {% for column in columns %}{{ column }} is null{{ " or " if not loop.last }}{% endfor %}

{% endtest %}
