{{ config(severity='warn') }}

{#- Names every budget that cannot be watched because fx_rates.csv has no rate for its currency on some day. -#}

select
    customer_id,
    measure,
    currency,
    first_day
from {{ ref('int_budget_rate_gaps') }}
