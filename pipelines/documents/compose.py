"""From facts to the texts of a document, the same for HTML and PDF.

Choosing words belongs here; layout and arithmetic do not.
"""

import json
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from models.money import MINOR_UNITS
from pipelines.documents.chart import bar_chart
from pipelines.documents.facts import CreditNote, Head, Invoice, Issuer, Line, Usage
from pipelines.documents.text import (
    date_text,
    list_text,
    money_text,
    period_text,
    quantity_text,
    short_date_text,
)

SHOWN_EVENTS = 5
"""Events that the cause of a correction names; `meterhouse trace` lists all."""

_STATUS = {
    "draft": "Draft",
    "ready": "Draft",
    "issued": "Issued",
    "sent": "Issued",
    "finalized": "Issued",
    "paid": "Paid",
    "void": "Void",
}
_NOTICES = {
    "draft": "Draft: the period is still open and figures will change. This is not an invoice.",
    "ready": "Draft: the period is over, but this invoice has not been issued yet. This is not an invoice.",
    "void": "This invoice is void. Nothing is to be paid.",
}
_SETTLED = {"paid", "void"}
_RESETS = {"cycle": "", "calendar_month": " per calendar month", "day": " per day"}


@dataclass(frozen=True)
class Party:
    """A name and the lines under it."""

    name: str
    lines: tuple[str, ...]
    label: str = ""


@dataclass(frozen=True)
class PrintedLine:
    """A row of the table of lines."""

    description: str
    notes: tuple[str, ...]
    period: str
    quantity: str
    amount: str


@dataclass(frozen=True)
class Group:
    """Lines under one heading; None: without one."""

    title: str | None
    note: str | None
    lines: tuple[PrintedLine, ...]


@dataclass(frozen=True)
class Total:
    """A row of the totals."""

    label: str
    amount: str
    is_strong: bool = False


@dataclass(frozen=True)
class Figure:
    """The one figure that a reader looks for."""

    label: str
    amount: str
    note: str | None


@dataclass(frozen=True)
class PrintedUsage:
    """A meter with its figures and its chart (SVG; None: no usage)."""

    name: str
    unit: str
    note: str
    figures: tuple[tuple[str, str], ...]
    chart: str | None
    caption: str
    first_day: str
    last_day: str


@dataclass(frozen=True)
class Document:
    """All texts of a document in the order in which they are read. ``date`` is (year, month, day)."""

    title: str
    heading: str
    number: str
    is_draft: bool
    notice: str | None
    date: tuple[int, int, int] | None
    issuer: Party
    customer: Party
    currency: str
    facts: tuple[tuple[str, str], ...]
    figure: Figure
    lines_title: str
    groups: tuple[Group, ...]
    totals: tuple[Total, ...]
    payment: tuple[str, ...] = ()
    usage_title: str = "Usage"
    usage: tuple[PrintedUsage, ...] = ()
    usage_note: str | None = None
    closing_note: str | None = None
    footer: tuple[str, ...] = ()
    file_name: str = field(default="", compare=False)


def compose_invoice(invoice: Invoice) -> Document:
    """The document of an invoice; one that is not issued says so wherever a reader may look first."""
    head = invoice.head
    is_draft = head.number is None
    number = head.number or head.document_id
    own = [line for line in invoice.lines if line.line_type != "adjustment"]
    corrections = [line for line in invoice.lines if line.line_type == "adjustment"]
    return Document(
        title=f"{'Draft invoice' if is_draft else 'Invoice'} {number}",
        heading="Draft invoice" if is_draft else "Invoice",
        number=number,
        is_draft=is_draft,
        notice=_NOTICES.get(head.status),
        date=_date(head.issued_on),
        issuer=_issuer(invoice.issuer),
        customer=_customer(head, "Billed to"),
        currency=head.currency,
        facts=(
            ("Status", _STATUS.get(head.status, head.status)),
            *((("Issued", date_text(head.issued_on)),) if head.issued_on else ()),
            *((("Due", date_text(head.due_on)),) if head.due_on else ()),
            ("Billing period", _period(head.period_start, head.period_end)),
            ("Currency", head.currency),
        ),
        figure=_invoice_figure(invoice),
        lines_title="Charges",
        groups=(*_charge_groups(own, head), *_correction_groups(corrections, head)),
        totals=_invoice_totals(invoice),
        payment=() if is_draft or head.status in _SETTLED else invoice.issuer.payment_instructions,
        usage_title=f"Usage {_period(head.period_start, head.period_end)}",
        usage=tuple(_usage(item, with_plan=_has_several(invoice.usage)) for item in invoice.usage),
        usage_note=_usage_note(invoice),
        closing_note=invoice.issuer.note,
        footer=_footer(invoice.issuer, head),
        file_name=f"DRAFT-{head.document_id}" if is_draft else number,
    )


def compose_credit_note(note: CreditNote) -> Document:
    """The document of a credit note: amounts are what is credited, positive."""
    head = note.head
    number = head.number or head.document_id
    return Document(
        title=f"Credit note {number}",
        heading="Credit note",
        number=number,
        is_draft=False,
        notice=None,
        date=_date(head.issued_on),
        issuer=_issuer(note.issuer),
        customer=_customer(head, "Credited to"),
        currency=head.currency,
        facts=(
            ("Credits invoice", note.invoice_number),
            *((("Issued", date_text(head.issued_on)),) if head.issued_on else ()),
            ("Billing period", _period(head.period_start, head.period_end)),
            *((("Reason", note.reason),) if note.reason else ()),
        ),
        figure=Figure("Credited", _amount(head.total_minor, head), f"of invoice {note.invoice_number}"),
        lines_title="Credited lines",
        groups=(Group(None, None, tuple(_line(line, head) for line in note.lines)),),
        totals=(Total("Total credited", _amount(head.total_minor, head), is_strong=True),),
        closing_note=note.issuer.note,
        footer=_footer(note.issuer, head),
        file_name=number,
    )


def cause_text(causes: str | None) -> str | None:
    """Why something was corrected, in one sentence, from the ledger's JSON; None where it names no cause."""
    if not causes:
        return None
    told = json.loads(causes)
    parts = []
    events = [str(event.get("event_id")) for event in told.get("events") or ()]
    count = int(told.get("event_count") or len(events))
    if count:
        named = list_text(events + [""] * max(0, count - len(events)), min(SHOWN_EVENTS, len(events)))
        parts.append(f"{count:,} {'event' if count == 1 else 'events'} known later: {named}")
    for row in told.get("account_rows") or ():
        parts.append(
            f"{row.get('table')} {row.get('key')}: {row.get('column')} is {_shown(row.get('is'))},"
            f" was {_shown(row.get('was'))}"
        )
    return "; ".join(parts) or None


def _shown(value: Any) -> str:  # noqa: ANN401
    return "empty" if value in {None, ""} else str(value)


def _charge_groups(lines: list[Line], head: Head) -> tuple[Group, ...]:
    found = []
    for _, part in groupby(lines, key=lambda line: line.subscription_id):
        members = list(part)
        title = members[0].plan_name or members[0].plan_id
        found.append(
            Group(
                title,
                f"Subscription {members[0].subscription_id}",
                tuple(_line(line, head) for line in members),
            )
        )
    return tuple(found)


def _correction_groups(lines: list[Line], head: Head) -> tuple[Group, ...]:
    if not lines:
        return ()
    return (Group("Corrections of earlier invoices", None, tuple(_line(line, head) for line in lines)),)


def _line(line: Line, head: Head) -> PrintedLine:
    notes = []
    if line.corrects and line.line_type == "adjustment":
        notes.append(f"Corrects invoice {line.corrects}")
    if cause := cause_text(line.causes):
        notes.append(f"Cause: {cause}")
    quantity = ""
    if line.quantity is not None and line.line_type not in {"price", "credit"}:
        quantity = quantity_text(line.quantity)
    return PrintedLine(
        description=line.description,
        notes=tuple(notes),
        period=_period(line.service_start, line.service_end),
        quantity=quantity,
        amount=money_text(line.amount_minor, MINOR_UNITS[head.currency]),
    )


def _invoice_figure(invoice: Invoice) -> Figure:
    head = invoice.head
    note = None
    if invoice.credit_notes:
        note = f"{_amount(invoice.totals.remaining_minor, head)} after credit notes"
    elif head.due_on and head.status not in _SETTLED:
        note = f"due {date_text(head.due_on)}"
    label = {"paid": "Paid", "void": "Void", "draft": "Total so far"}.get(head.status, "Total")
    return Figure(label, _amount(head.total_minor, head), note)


def _invoice_totals(invoice: Invoice) -> tuple[Total, ...]:
    head, totals = invoice.head, invoice.totals
    rows = []
    if any(line.line_type == "adjustment" for line in invoice.lines):
        rows.append(Total("Charges of this period", _amount(totals.charges_minor, head)))
        rows.append(Total("Corrections of earlier invoices", _amount(totals.corrections_minor, head)))
    rows.append(Total("Total", _amount(head.total_minor, head), is_strong=True))
    for note in invoice.credit_notes:
        issued = f" of {date_text(note.head.issued_on)}" if note.head.issued_on else ""
        credited = f"\u2212 {_amount(note.head.total_minor, head)}"
        rows.append(Total(f"Credit note {note.head.number}{issued}", credited))
    if invoice.credit_notes:
        rows.append(Total("After credit notes", _amount(totals.remaining_minor, head), is_strong=True))
    return tuple(rows)


def _usage(usage: Usage, *, with_plan: bool) -> PrintedUsage:
    limit = usage.included if usage.reset == "day" else None
    included = "unlimited" if usage.included is None else quantity_text(usage.included) + _RESETS[usage.reset]
    figures = [("Used", "not known" if usage.quantity is None else quantity_text(usage.quantity))]
    figures.append(("Included", included))
    if usage.included is not None and usage.overage is not None:
        figures.append(("Beyond", quantity_text(usage.overage)))
    last_day = usage.service_end - timedelta(days=1)
    caption = "no usage"
    if usage.peak is not None and usage.peak > 0 and usage.peak_on is not None:
        caption = f"highest day: {quantity_text(usage.peak)} on {short_date_text(usage.peak_on)}"
    note = _AGGREGATIONS[usage.aggregation]
    return PrintedUsage(
        name=usage.meter_name,
        unit=f"unit: {usage.unit}",
        note=f"{usage.plan_name} · {note}" if with_plan else note,
        figures=tuple(figures),
        chart=bar_chart(usage.days, limit),
        caption=caption,
        first_day=short_date_text(usage.service_start),
        last_day=short_date_text(last_day),
    )


_AGGREGATIONS = {
    "count": "counted per event, by day",
    "sum": "sum, by day",
    "max": "highest reading, by day",
    "latest": "latest reading, by day",
    "unique": "different values, by day",
}


def _has_several(usage: tuple[Usage, ...]) -> bool:
    return len({item.subscription_id for item in usage}) > 1


def _usage_note(invoice: Invoice) -> str | None:
    """Usage is what is known now; lines are what was issued."""
    if not invoice.usage or invoice.head.number is None:
        return None
    return (
        "Usage as known when this document was written. Usage that became known after the invoice was issued"
        " does not change its lines; it is corrected on a later invoice or by a credit note."
    )


def _issuer(issuer: Issuer) -> Party:
    contact = " · ".join(part for part in (issuer.email, issuer.website) if part)
    tax = f"Tax id {issuer.tax_id}" if issuer.tax_id else ""
    return Party(issuer.name, tuple(line for line in (*issuer.address, tax, contact) if line))


def _customer(head: Head, label: str) -> Party:
    lines = (head.customer_email or "", f"Customer {head.customer_id}")
    return Party(head.customer_name or head.customer_id, tuple(line for line in lines if line), label)


def _footer(issuer: Issuer, head: Head) -> tuple[str, ...]:
    proof = (f"Content hash {head.content_hash}",) if head.content_hash else ()
    return (f"{issuer.name} · {head.number or 'draft ' + head.document_id}", *proof)


def _amount(minor: int, head: Head) -> str:
    return f"{head.currency} {money_text(minor, MINOR_UNITS[head.currency])}"


def _period(start: date, end: date) -> str:
    return period_text(start, end - timedelta(days=1))


def _date(day: date | None) -> tuple[int, int, int] | None:
    return (day.year, day.month, day.day) if day else None
