{#- A batch counts no longer once this build knows one that names it, or could read the file that it could not. -#}

with batches as (

    select * from {{ ref('stg_lake__batches') }}

),

readings as (

    select
        batch_id,
        build_id,
        source_file,
        replaces,
        split_part(batch_id, '-', 1) as content_id,
        coalesce(try_cast(nullif(split_part(batch_id, '-', 2), '') as integer), 1) as reading_number,
        status = 'unreadable' as is_unreadable,
        commit_number
    from batches

),

named as (

    select
        replaces as batch_id,
        batch_id as replaced_by,
        build_id
    from readings
    where replaces is not null

),

read_later as (

    select
        unreadable.batch_id,
        later.batch_id as replaced_by,
        later.build_id
    from readings as unreadable
    inner join readings as later
        on
            unreadable.content_id = later.content_id
            and unreadable.source_file = later.source_file
            and unreadable.reading_number < later.reading_number
    where unreadable.is_unreadable

),

final as (

    select
        batch_id,
        max(replaced_by) as replaced_by,
        max(build_id) as build_id
    from (
        select * from named
        union all
        select * from read_later
    ) as replaced
    group by batch_id

)

select * from final
