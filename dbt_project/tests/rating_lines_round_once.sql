-- Guards against a line that is rounded twice or in the wrong unit.
with rated_lines as (

    select * from {{ ref('int_rated_lines') }}

),

currencies as (

    select * from {{ ref('stg_catalog__currencies') }}

),

scaled as (

    select
        rated_lines.invoice_line_id,
        rated_lines.amount_minor,
        rated_lines.amount * case currencies.minor_units
            when 0 then 1 when 1 then 10 when 2 then 100 when 3 then 1000 when 4 then 10000
        end as exact_minor
    from rated_lines
    inner join currencies on rated_lines.currency = currencies.currency

)

select *
from scaled
where abs(exact_minor - amount_minor) > 0.5
