{{ config(materialized='ephemeral') }}

{#- Names as single requests and, where batches may occur, as batch requests. -#}

with names as (

    select * from {{ ref('int_priced_names') }}

),

final as (

    select
        name_number,
        false as is_batch
    from names
    union all
    select
        name_number,
        true as is_batch
    from names
    where may_be_batch

)

select * from final
