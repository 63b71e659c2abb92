-- Guards against a correction that is too much, too little or given twice: what was billed for a line, after the
-- closing that last corrected it, is what that correction says it should be.
with issued_lines as (

    select * from {{ ref('stg_ledger__issued_lines') }}
    where line_type = 'adjustment'

),

credit_note_lines as (

    select * from {{ ref('stg_ledger__credit_note_lines') }}

),

billed_lines as (

    select * from {{ ref('int_billed_lines') }}
    where correction_count > 0

),

statements as (

    select
        adjusts_line_id as rated_line_id,
        closing_number,
        restated_amount_minor
    from issued_lines
    union
    select
        corrects_line_id as rated_line_id,
        closing_number,
        restated_amount_minor
    from credit_note_lines

)

select
    billed_lines.rated_line_id,
    billed_lines.billed_minor,
    statements.restated_amount_minor
from billed_lines
inner join statements
    on
        billed_lines.rated_line_id = statements.rated_line_id
        and billed_lines.stated_in_closing = statements.closing_number
where billed_lines.billed_minor != statements.restated_amount_minor
