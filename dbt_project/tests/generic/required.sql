{#- These columns are never null, in a model whose key another check holds or which has none. -#}
{% test required(model, columns) %}

select *
from {{ model }}
where {% for column in columns %}{{ column }} is null{{ " or " if not loop.last }}{% endfor %}

{% endtest %}
