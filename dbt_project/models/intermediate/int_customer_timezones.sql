{#- A customer whose time zone is another than in the previous build has all its local days computed again. -#}

{%- set previous = adapter.get_relation(this.database, this.schema, this.identifier) if execute else none %}

with customers as (

    select * from {{ ref('stg_accounts__customers') }}

),

previous_zones as (

    {% if previous is not none and not flags.FULL_REFRESH -%}
    select
        customer_id,
        timezone
    from {{ previous }}
    where timezone is not null
    {%- else -%}
    select
        customer_id,
        timezone
    from customers
    {%- endif %}

),

final as (

    select
        coalesce(customers.customer_id, previous_zones.customer_id) as customer_id,
        customers.timezone,
        coalesce(customers.timezone, 'UTC') != coalesce(previous_zones.timezone, 'UTC') as is_changed
    from customers
    full outer join previous_zones on customers.customer_id = previous_zones.customer_id

)

select * from final
