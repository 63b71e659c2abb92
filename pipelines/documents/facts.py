"""What documents are made of. Where it is read belongs to ``queries``, how it is printed to ``compose``."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class Issuer:
    """Who sends the documents. ``payment_terms_days`` None: no due date is printed."""

    name: str
    address: tuple[str, ...] = ()
    tax_id: str | None = None
    email: str | None = None
    website: str | None = None
    payment_terms_days: int | None = None
    payment_instructions: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class Head:
    """What an invoice and a credit note have in common. ``number`` None: not issued, a draft.

    ``period_end`` is exclusive; ``issued_on`` is the customer's local day; ``total_minor`` of a credit
    note is what it credits, positive.
    """

    document_id: str
    number: str | None
    customer_id: str
    customer_name: str | None
    customer_email: str | None
    currency: str
    status: str
    total_minor: int
    period_start: date
    period_end: date
    issued_on: date | None
    due_on: date | None
    content_hash: str | None
    closing_number: int | None


@dataclass(frozen=True)
class Line:
    """A line of an invoice or credit note; ``corrects`` is the number of the invoice that it corrects.

    ``service_end`` is exclusive. ``causes`` is JSON as the ledger holds it.
    """

    document_id: str
    line_id: str
    line_type: str
    subscription_id: str | None
    plan_id: str | None
    plan_name: str | None
    meter_id: str | None
    unit: str | None
    description: str
    quantity: Decimal | None
    amount_minor: int
    service_start: date
    service_end: date
    corrects: str | None = None
    causes: str | None = None


@dataclass(frozen=True)
class Totals:
    """Sums of an invoice in minor units; ``remaining_minor`` is the total less what was credited."""

    charges_minor: int
    corrections_minor: int
    credited_minor: int
    remaining_minor: int


@dataclass(frozen=True)
class Usage:
    """A metered charge of a subscription in the invoice's cycle, and its usage day by day.

    ``days``: per day of the service period the quantity, None without usage. ``service_end`` is exclusive.
    """

    document_id: str
    subscription_id: str
    plan_name: str
    meter_name: str
    unit: str
    aggregation: str
    reset: str
    quantity: Decimal | None
    included: Decimal | None
    overage: Decimal | None
    service_start: date
    service_end: date
    days: list[Decimal | None]
    peak: Decimal | None
    peak_on: date | None


@dataclass(frozen=True)
class CreditNote:
    """A credit note: what it says, and the invoice that it credits."""

    head: Head
    issuer: Issuer
    invoice_number: str
    reason: str | None
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Invoice:
    """An invoice with everything that its document shows."""

    head: Head
    issuer: Issuer
    totals: Totals
    lines: tuple[Line, ...] = ()
    usage: tuple[Usage, ...] = ()
    credit_notes: tuple[CreditNote, ...] = ()


@dataclass
class Documents:
    """The documents asked for."""

    invoices: list[Invoice] = field(default_factory=list)
    credit_notes: list[CreditNote] = field(default_factory=list)
