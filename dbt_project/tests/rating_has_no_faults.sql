{{ config(severity='warn') }}
-- Names what could not be rated; it is on no invoice, and the others are billed.
select
    subscription_id,
    customer_id,
    meter_id,
    fault,
    period_start
from {{ ref('int_rating_faults') }}
