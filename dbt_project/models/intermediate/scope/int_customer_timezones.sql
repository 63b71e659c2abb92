{#- In which time zone a customer's days are, and when. Days up to the last issued cycle's end stay as they were
    issued: a zone that the accounts name later holds from that instant on, so that no event is billed twice or never: D-close-zone-after-issued.
    Whose zones are others than in the previous build has all its local days computed again. -#}

{%- set previous = adapter.get_relation(this.database, this.schema, this.identifier) if execute else none %}

with customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

issued_invoices as (

    select * from {{ ref('stg_ledger__issued_invoices') }}

),

issued_periods as (

    select * from {{ ref('stg_ledger__issued_periods') }}

),

previous_zones as (

    {% if previous is not none and not flags.FULL_REFRESH -%}
    select
        customer_id,
        timezone,
        from_date,
        from_at
    from {{ previous }}
    where timezone is not null
    {%- else -%}
    select
        customer_id,
        timezone,
        cast(null as date) as from_date,
        {{ first_instant() }} as from_at
    from customers
    {%- endif %}

),

{# An invoice that only corrects has no cycle of its own, and pins nothing. #}
closed_cycles as (

    select
        issued_invoices.customer_id,
        issued_invoices.closing_number,
        issued_invoices.timezone,
        max(issued_invoices.period_end) as end_date
    from issued_invoices
    inner join issued_periods
        on
            issued_invoices.invoice_id = issued_periods.invoice_id
            and issued_invoices.closing_number = issued_periods.closing_number
    group by
        issued_invoices.customer_id,
        issued_invoices.closing_number,
        issued_invoices.timezone

),

ends as (

    select
        customer_id,
        closing_number,
        timezone,
        end_date,
        {{ start_of_day("end_date", "timezone") }} as end_at
    from closed_cycles

),

compared_ends as (

    select
        *,
        max(end_at) over (
            partition by customer_id
            order by closing_number
            rows between unbounded preceding and 1 preceding
        ) as earlier_end_at
    from ends

),

later_ends as (

    select
        compared_ends.*,
        lead(compared_ends.timezone) over (
            partition by compared_ends.customer_id
            order by compared_ends.closing_number
        ) as next_timezone
    from compared_ends
    where
        compared_ends.earlier_end_at is null
        or compared_ends.end_at > compared_ends.earlier_end_at

),

{# Where a zone ends: the one that follows is another. #}
changes as (

    select later_ends.*
    from later_ends
    left join customers on later_ends.customer_id = customers.customer_id
    where later_ends.timezone != coalesce(later_ends.next_timezone, customers.timezone, 'UTC')

),

last_changes as (

    select
        customer_id,
        max(end_date) as end_date,
        max(end_at) as end_at
    from changes
    group by customer_id

),

stretches as (

    select
        customer_id,
        timezone,
        lag(end_date) over (
            partition by customer_id
            order by closing_number
        ) as from_date,
        lag(end_at) over (
            partition by customer_id
            order by closing_number
        ) as from_at,
        end_at as to_at
    from changes
    union all
    select
        coalesce(customers.customer_id, last_changes.customer_id) as customer_id,
        customers.timezone,
        last_changes.end_date as from_date,
        last_changes.end_at as from_at,
        cast(null as timestamp with time zone) as to_at
    from customers
    full outer join last_changes on customers.customer_id = last_changes.customer_id

),

bounded as (

    select
        customer_id,
        timezone,
        from_date,
        coalesce(from_at, {{ first_instant() }}) as from_at,
        coalesce(to_at, {{ last_instant() }}) as to_at
    from stretches

),

changed_customers as (

    select distinct coalesce(bounded.customer_id, previous_zones.customer_id) as customer_id
    from bounded
    full outer join previous_zones
        on
            bounded.customer_id = previous_zones.customer_id
            and bounded.from_at = previous_zones.from_at
    where
        coalesce(bounded.timezone, 'UTC') != coalesce(previous_zones.timezone, 'UTC')
        or bounded.from_date is distinct from previous_zones.from_date

),

{# Customers who are gone show once more, so that their days are computed again. #}
final as (

    select
        coalesce(bounded.customer_id, changed_customers.customer_id) as customer_id,
        bounded.timezone,
        bounded.from_date,
        coalesce(bounded.from_at, {{ first_instant() }}) as from_at,
        coalesce(bounded.to_at, {{ last_instant() }}) as to_at,
        changed_customers.customer_id is not null as is_changed
    from bounded
    full outer join changed_customers on bounded.customer_id = changed_customers.customer_id

)

select * from final
