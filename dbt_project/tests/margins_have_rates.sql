{{ config(severity='warn') }}

{#- Names every customer and month whose revenue no rate of fx_rates.csv turns into USD. -#}

select
    customer_id,
    calendar_month
from {{ ref('customer_margins') }}
where revenue_usd is null
