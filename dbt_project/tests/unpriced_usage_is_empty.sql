{{ config(severity='warn') }}

{#- Names every provider and model without a cost. It never blocks: prices.csv or a newer list fixes it later. -#}

select
    provider,
    model,
    reason,
    sum(event_count) as event_count
from {{ ref('unpriced_usage') }}
group by
    provider,
    model,
    reason
