{{ config(severity='warn') }}

{#- Guards against money that gets lost between usage, line, item and payment. It never blocks: usage must not wait for
    what Stripe says. -#}

select
    invoice_number,
    unexplained_minor,
    difference_count
from {{ ref('tie_out') }}
where
    unexplained_minor != 0
    or difference_count != 0
