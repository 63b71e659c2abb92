"""The facts of documents, read from the published file. SQL sums and orders.

What a fact is belongs to ``facts``.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from pipelines.documents.facts import CreditNote, Documents, Head, Invoice, Issuer, Line, Totals, Usage
from pipelines.errors import ConfigurationError
from pipelines.serving.readers import open_published

_TABLES = ("issuer", "invoices", "invoice_lines", "credit_notes", "credit_note_lines")
_HEADS = """
    create temp table heads as
    select
        invoices.invoice_id as document_id, invoices.invoice_number as number, invoices.customer_id,
        case when invoices.closing_number is null then customers.name else invoices.customer_name end
            as customer_name,
        case when invoices.closing_number is null then customers.email else invoices.customer_email end
            as customer_email,
        invoices.currency, invoices.status, invoices.total_minor, invoices.period_start, invoices.period_end,
        cast(timezone(coalesce(invoices.timezone, 'UTC'), invoices.issued_at) as date) as issued_on,
        issued_on + cast(issuer.payment_terms_days as integer) as due_on,
        invoices.content_hash, invoices.closing_number
    from invoices
    left join issuer on invoices.closing_number is not distinct from issuer.closing_number
    left join customers on invoices.customer_id = customers.customer_id
    where {condition}
"""
_CREDIT_HEADS = """
    create temp table credit_heads as
    select
        notes.credit_note_id as document_id, notes.credit_note_number as number, notes.customer_id,
        invoices.customer_name, invoices.customer_email,
        notes.currency, 'issued' as status, notes.amount_minor as total_minor,
        invoices.period_start, invoices.period_end,
        cast(timezone(coalesce(invoices.timezone, 'UTC'), notes.issued_at) as date) as issued_on,
        cast(null as date) as due_on, notes.content_hash, notes.closing_number,
        invoices.invoice_number, notes.reason, notes.invoice_id,
        {condition} as is_wanted
    from credit_notes as notes
    inner join invoices on notes.invoice_id = invoices.invoice_id
    where {condition} or notes.invoice_id in (select document_id from heads)
"""
_HEAD_COLUMNS = (
    "document_id, number, customer_id, customer_name, customer_email, currency, status, total_minor,"
    " period_start, period_end, issued_on, due_on, content_hash, closing_number"
)
_TOTALS = """
    with lines as (
        select
            invoice_id,
            cast(sum(amount_minor) filter (line_type <> 'adjustment') as bigint) as charges_minor,
            cast(sum(amount_minor) filter (line_type = 'adjustment') as bigint) as corrections_minor
        from invoice_lines
        where invoice_id in (select document_id from heads)
        group by all
    ),
    credits as (
        select invoice_id, cast(sum(total_minor) as bigint) as credited_minor from credit_heads group by all
    )
    select
        heads.document_id, coalesce(charges_minor, 0), coalesce(corrections_minor, 0),
        coalesce(credited_minor, 0), total_minor - coalesce(credited_minor, 0)
    from heads
    left join lines on heads.document_id = lines.invoice_id
    left join credits on heads.document_id = credits.invoice_id
"""
_PLAN_NAMES = """
    create temp table plan_names as
    select plan_id, arg_max(name, effective_from) as name from plans group by all
"""
_LINES = """
    select
        lines.invoice_id, lines.invoice_line_id, lines.line_type, lines.subscription_id, lines.plan_id,
        plan_names.name, lines.meter_id, meters.unit, lines.description, lines.quantity, lines.amount_minor,
        lines.service_start, lines.service_end, corrected.invoice_number, lines.causes
    from invoice_lines as lines
    left join plan_names on lines.plan_id = plan_names.plan_id
    left join meters on lines.meter_id = meters.meter_id
    left join invoices as corrected on lines.adjusts_invoice_id = corrected.invoice_id
    where lines.invoice_id in (select document_id from heads)
    order by
        lines.invoice_id, lines.line_type = 'adjustment', lines.line_number, lines.subscription_id,
        list_position(['price', 'capacity', 'usage', 'adjustment'], lines.line_type), lines.meter_id,
        lines.invoice_line_id
"""
_CREDIT_LINES = """
    select
        lines.credit_note_id, lines.credit_note_line_id, 'credit' as line_type, credited.subscription_id,
        credited.plan_id, plan_names.name, credited.meter_id, meters.unit, lines.description, lines.quantity,
        lines.amount_minor, lines.period_start, lines.period_end, heads.invoice_number, lines.causes
    from credit_note_lines as lines
    inner join credit_heads as heads on lines.credit_note_id = heads.document_id
    left join invoice_lines as credited on lines.invoice_line_id = credited.invoice_line_id
    left join plan_names on credited.plan_id = plan_names.plan_id
    left join meters on credited.meter_id = meters.meter_id
    order by lines.credit_note_id, lines.line_number, lines.credit_note_line_id
"""
_USAGE = """
    with charged as (
        select distinct
            heads.document_id, heads.customer_id, lines.subscription_id, heads.period_start, heads.period_end
        from heads
        inner join invoice_lines as lines on heads.document_id = lines.invoice_id
        where lines.line_type <> 'adjustment'
    ),
    metered as (
        select charged.document_id, charged.customer_id, monthly_usage.*
        from charged
        inner join monthly_usage
            on
                charged.subscription_id = monthly_usage.subscription_id
                and charged.period_start = monthly_usage.period_start
                and charged.period_end = monthly_usage.period_end
    ),
    days as (
        select
            metered.document_id, metered.subscription_id, metered.meter_id,
            list(daily_usage.quantity order by day.day) as days,
            max(daily_usage.quantity) as peak,
            min_by(day.day, day.day) filter (daily_usage.quantity = peaks.peak) as peak_on
        from metered
        cross join lateral (
            select cast(unnest(generate_series(
                metered.service_start, cast(metered.service_end - 1 as date), interval 1 day
            )) as date) as day
        ) as day
        left join daily_usage
            on
                metered.customer_id = daily_usage.customer_id
                and metered.meter_id = daily_usage.meter_id
                and day.day = daily_usage.usage_date
        left join (
            select
                metered.document_id, metered.subscription_id, metered.meter_id,
                max(daily_usage.quantity) as peak
            from metered
            inner join daily_usage
                on
                    metered.customer_id = daily_usage.customer_id
                    and metered.meter_id = daily_usage.meter_id
                    and daily_usage.usage_date >= metered.service_start
                    and daily_usage.usage_date < metered.service_end
            group by all
        ) as peaks
            on
                metered.document_id = peaks.document_id
                and metered.subscription_id = peaks.subscription_id
                and metered.meter_id = peaks.meter_id
        group by all
    )
    select
        metered.document_id, metered.subscription_id, coalesce(plan_names.name, metered.plan_id), meters.name,
        meters.unit, meters.aggregation, metered.reset, metered.quantity, metered.included_quantity,
        metered.overage_quantity, metered.service_start, metered.service_end, days.days, days.peak,
        days.peak_on
    from metered
    inner join meters on metered.meter_id = meters.meter_id
    left join plan_names on metered.plan_id = plan_names.plan_id
    inner join days
        on
            metered.document_id = days.document_id
            and metered.subscription_id = days.subscription_id
            and metered.meter_id = days.meter_id
    order by metered.document_id, metered.subscription_id, meters.name, metered.meter_id
"""


def read_document(file: Path, name: str) -> Documents:
    """The invoice or credit note with this number or id.

    :param file: the published file.
    :raises ConfigurationError: there is none.
    """
    with open_published(file, _TABLES) as connection:
        found = _read(
            connection,
            "invoices.invoice_id = $name or invoices.invoice_number = $name",
            "notes.credit_note_id = $name or notes.credit_note_number = $name",
            {"name": name},
        )
    if not found.invoices and not found.credit_notes:
        raise ConfigurationError(
            f"there is no invoice or credit note {name!r}",
            where=str(file),
            remedy="the tables invoices and credit_notes of this file list them",
        )
    return found


def read_month(file: Path, month: date, *, with_drafts: bool = False) -> Documents:
    """The invoices whose cycle's last day lies in the month, and the credit notes issued in it.

    :param month: its first day.
    :param with_drafts: also invoices that are not issued yet.
    """
    with open_published(file, _TABLES) as connection:
        return _read(
            connection,
            "date_trunc('month', invoices.period_end - 1) = $month"
            + ("" if with_drafts else " and invoices.invoice_number is not null"),
            "date_trunc('month', timezone(coalesce(invoices.timezone, 'UTC'), notes.issued_at)) = $month",
            {"month": month},
        )


def _read(
    connection: duckdb.DuckDBPyConnection, invoices: str, credit_notes: str, values: dict[str, Any]
) -> Documents:
    connection.execute(_HEADS.format(condition=f"({invoices})"), values)
    connection.execute(_CREDIT_HEADS.format(condition=f"({credit_notes})"), values)
    connection.execute(_PLAN_NAMES)
    heads = [Head(*row) for row in _rows(connection, f"select {_HEAD_COLUMNS} from heads order by all")]
    totals = {row[0]: Totals(*row[1:]) for row in _rows(connection, _TOTALS)}
    lines = _by_document(Line(*row) for row in _rows(connection, _LINES))
    usage = _by_document(Usage(*row) for row in _rows(connection, _USAGE))
    issuers = _issuers(connection)
    credit_lines = _by_document(Line(*row) for row in _rows(connection, _CREDIT_LINES))
    credits: dict[str, list[CreditNote]] = {}
    wanted = []
    columns = f"invoice_id, is_wanted, invoice_number, reason, {_HEAD_COLUMNS}"
    query = f"select {columns} from credit_heads order by number"
    for invoice_id, is_wanted, invoice_number, reason, *told in _rows(connection, query):
        head = Head(*told)
        lines_of_note = tuple(credit_lines.get(head.document_id, ()))
        note = CreditNote(head, issuers[head.closing_number], invoice_number, reason, lines_of_note)
        credits.setdefault(invoice_id, []).append(note)
        if is_wanted:
            wanted.append(note)
    return Documents(
        invoices=[
            Invoice(
                head,
                issuers[head.closing_number],
                totals[head.document_id],
                tuple(lines.get(head.document_id, ())),
                tuple(usage.get(head.document_id, ())),
                tuple(credits.get(head.document_id, ())),
            )
            for head in heads
        ],
        credit_notes=wanted,
    )


def _issuers(connection: duckdb.DuckDBPyConnection) -> dict[int | None, Issuer]:
    """Issuers by closing; None: of what is not issued yet."""
    rows = _rows(
        connection,
        "select closing_number, name, address, tax_id, email, website, payment_terms_days,"
        " payment_instructions, note from issuer",
    )
    return {
        closing: Issuer(name, _lines(address), tax_id, email, website, days, _lines(instructions), note)
        for closing, name, address, tax_id, email, website, days, instructions, note in rows
    }


def _lines(text: str | None) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> Sequence[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def _by_document(items: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(item.document_id, []).append(item)
    return found
