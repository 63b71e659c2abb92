"""What is asked of Stripe, word for word, and whether an answer says the same.

Contents are the ledger's rows as JSON, kept in the outbox; bodies add what only sending knows (Stripe's ids).
When and whether something is sent does not belong here, nor does any arithmetic on money.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, overload
from zoneinfo import ZoneInfo

from pipelines.figures import plain_text
from pipelines.payments.answers import Json, Listed, Reference
from pipelines.payments.settings import redact

REVISION: Final = 1
"""The way in which bodies are built here; part of every operation's identity."""
MOST_ITEMS: Final = 250
"""Stripe takes no more items on one invoice."""
LONGEST_NUMBER: Final = 26
LONGEST_METADATA: Final = 500
LONGEST_DESCRIPTION: Final = 5000

Kind = Literal["invoice", "item", "finalization", "credit_note"]

# Digits after the point in which Stripe takes amounts; all that are not named here have two.
_NO_DIGITS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD JOD KWD OMR TND"
_DIGITS: Final = dict.fromkeys(_NO_DIGITS.split(), 0) | dict.fromkeys(_THREE_DIGITS.split(), 3)

PATHS: Final[Mapping[Kind, str]] = {
    "invoice": "/v1/invoices",
    "item": "/v1/invoiceitems",
    "credit_note": "/v1/credit_notes",
}


@dataclass(frozen=True)
class Target:
    """What only sending knows.

    :param customer: Stripe's id of the customer.
    :param invoice: Stripe's id of the invoice; empty for the invoice itself.
    :param lines: of a credit note: Stripe's line ids by our invoice line ids.
    :param is_paid: of a credit note: whether the invoice is paid, so that the credit goes to the balance.
    :param collects: of a finalization: whether Stripe then collects the payment by itself.
    """

    customer: str
    invoice: str = ""
    lines: Mapping[str, str] | None = None
    is_paid: bool = False
    collects: bool = False


def operation_id(account: str, kind: Kind, content: Json, revision: int) -> str:
    """What makes it the same operation: account, customer, cycle, document, revision and content."""
    identity = [
        account,
        kind,
        content["customer_id"],
        content["currency"],
        content["period_start"],
        content["period_end"],
        content["subject_id"],
        revision,
        content,
    ]
    return "op_" + hashlib.sha256(canonical(identity).encode()).hexdigest()[:40]


def idempotency_key(op_id: str, generation: int) -> str:
    """The key of a request: a new generation only after the operation is proven not to be there."""
    return f"{op_id}-{generation}"


def canonical(value: object) -> str:
    """The one way in which a value is written as JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_as_text)


def build_body(kind: Kind, content: Json, op_id: str, target: Target) -> Json:
    """The whole body of a request."""
    metadata = {"op_id": op_id} | _trace(content)
    if kind == "invoice":
        return {
            "customer": target.customer,
            "currency": content["currency"].lower(),
            "number": content["invoice_number"],
            "auto_advance": False,
            # Items that wait for this customer's next invoice belong to whoever made them.
            "pending_invoice_items_behavior": "exclude",
            # A coupon of the customer would change what was issued.
            "discounts": "",
            "metadata": metadata,
        }
    if kind == "item":
        return {
            "customer": target.customer,
            "invoice": target.invoice,
            "currency": content["currency"].lower(),
            "amount": content["amount_minor"],
            "description": content["description"],
            "discountable": False,
            "period": _period(content),
            "metadata": metadata,
        }
    if kind == "finalization":
        return {"auto_advance": target.collects}
    lines = target.lines or {}
    body: Json = {
        "invoice": target.invoice,
        "memo": content["reason"],
        "lines": [
            {
                "type": "invoice_line_item",
                "invoice_line_item": lines[line["invoice_line_id"]],
                "amount": line["amount_minor"],
                "metadata": {"credit_note_line_id": line["credit_note_line_id"]},
            }
            for line in content["lines"]
        ],
        "metadata": metadata,
    }
    # What a paid invoice gives back goes to the customer's balance; refunds are for people to decide.
    return body | ({"credit_amount": content["amount_minor"]} if target.is_paid else {})


def path_of(kind: Kind, target: Target) -> str:
    """Where the body goes."""
    if kind == "finalization":
        return f"/v1/invoices/{target.invoice}/finalize"
    return PATHS[kind]


def obstacle(kind: Kind, content: Json) -> str | None:
    """Why Stripe cannot take this as it was issued, in words; None if it can. Nothing is rounded to fit."""
    return _amount_obstacle(content) or _size_obstacle(kind, content)


def _amount_obstacle(content: Json) -> str | None:
    currency, digits, amount = content["currency"], content["minor_units"], content["amount_minor"]
    wanted = _DIGITS.get(currency, 2)
    if currency in {"ISK", "UGX"} or wanted != digits:
        return (
            f"Stripe takes {currency} in another unit than the books ({digits} digits after the point);"
            " bill this invoice outside Stripe"
        )
    if wanted == 3 and not str(amount).endswith("0"):
        return (
            f"{amount} minor units of {currency} are not a multiple of ten, which Stripe asks for;"
            " give the plan prices that are, or bill this invoice outside Stripe"
        )
    return None


def _size_obstacle(kind: Kind, content: Json) -> str | None:
    if kind == "invoice" and content["line_count"] > MOST_ITEMS:
        lines = content["line_count"]
        return f"{lines} lines; Stripe takes {MOST_ITEMS} items an invoice: bill it outside Stripe"
    if kind == "invoice" and len(content["invoice_number"]) > LONGEST_NUMBER:
        return f"the number is longer than the {LONGEST_NUMBER} characters that Stripe takes"
    if len(content.get("description") or "") > LONGEST_DESCRIPTION:
        return f"the description is longer than the {LONGEST_DESCRIPTION} characters that Stripe takes"
    too_long = [name for name, value in _trace(content).items() if len(value) > LONGEST_METADATA]
    if too_long:
        return f"{too_long[0]} is longer than the {LONGEST_METADATA} characters that Stripe takes"
    return None


def differences(
    kind: Kind, content: Json, op_id: str, target: Target, answer: Json, *, is_live: bool
) -> list[str]:
    """What an answer says otherwise than the operation asked, in words. Every answer is held to this."""
    expected: Json = {"livemode": is_live, "currency": content["currency"].lower()}
    if kind != "finalization":
        expected["metadata.op_id"] = op_id
    if kind == "invoice":
        expected |= {"customer": target.customer, "number": content["invoice_number"]}
    if kind == "item":
        expected |= {
            "customer": target.customer,
            "invoice": target.invoice,
            "amount": content["amount_minor"],
            "period": _period(content),
        }
    if kind == "finalization":
        expected |= {"id": target.invoice, "total": content["amount_minor"]}
    if kind == "credit_note":
        expected |= {"invoice": target.invoice, "amount": content["amount_minor"], "status": "issued"}
    return [
        f"{name} is {found!r} instead of {wanted!r}"
        for name, wanted in expected.items()
        if (found := _value(answer, name)) != wanted
    ]


def amount_of(kind: Kind, answer: Json) -> int:
    """The amount that an answer states, in minor units."""
    value: int = answer["total"] if kind in {"invoice", "finalization"} else answer["amount"]
    return value


@overload
def reference(value: Reference) -> str: ...
@overload
def reference(value: object) -> str | None: ...
def reference(value: object) -> str | None:
    """The id of what may be an id or the object itself."""
    if isinstance(value, Listed):
        return value.id
    found = value.get("id") if isinstance(value, Mapping) else value
    return None if found is None else str(found)


def invoice_content(invoice: Mapping[str, Any]) -> Json:
    """Content of an invoice and of its finalization, from a row of ``issued_invoices``."""
    return {
        **_cycle(invoice),
        "subject_id": invoice["invoice_id"],
        "invoice_id": invoice["invoice_id"],
        "invoice_number": invoice["invoice_number"],
        "amount_minor": invoice["total_minor"],
        "line_count": invoice["line_count"],
        "content_hash": invoice["content_hash"],
    }


def item_content(line: Mapping[str, Any], invoice: Mapping[str, Any]) -> Json:
    """Content of an item, from a row of ``issued_lines`` and its invoice's."""
    names = ("subscription_id", "plan_id", "line_type", "meter_id", "adjusts_line_id", "adjusts_invoice_id")
    return {
        **_cycle(invoice),
        "subject_id": line["invoice_line_id"],
        "invoice_id": invoice["invoice_id"],
        "invoice_number": invoice["invoice_number"],
        "invoice_line_id": line["invoice_line_id"],
        "line_number": line["line_number"],
        "amount_minor": line["amount_minor"],
        "description": line["description"],
        "quantity": plain_text(line["quantity"]),
        "service_start": line["service_start"].isoformat(),
        "service_end": line["service_end"].isoformat(),
        **{name: line[name] for name in names if line[name] is not None},
    }


def credit_note_content(
    note: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], invoice: Mapping[str, Any]
) -> Json:
    """Content of a credit note, from rows of ``credit_notes`` and ``credit_note_lines`` and its invoice's."""
    return {
        **_cycle(invoice),
        "subject_id": note["credit_note_id"],
        "invoice_id": invoice["invoice_id"],
        "invoice_number": invoice["invoice_number"],
        "credit_note_id": note["credit_note_id"],
        "credit_note_number": note["credit_note_number"],
        "amount_minor": note["amount_minor"],
        "reason": f"{note['credit_note_number']}: {note['reason']}",
        "content_hash": note["content_hash"],
        "lines": [
            {
                "credit_note_line_id": line["credit_note_line_id"],
                "invoice_line_id": line["invoice_line_id"],
                "amount_minor": line["amount_minor"],
            }
            for line in lines
        ],
    }


def _cycle(invoice: Mapping[str, Any]) -> Json:
    return {
        "customer_id": invoice["customer_id"],
        "currency": invoice["currency"],
        "minor_units": invoice["minor_units"],
        "timezone": invoice["timezone"],
        "period_start": invoice["period_start"].isoformat(),
        "period_end": invoice["period_end"].isoformat(),
    }


def _trace(content: Json) -> dict[str, str]:
    """Where it comes from, for whoever reads it at Stripe. Ids only: nothing here may be a secret."""
    last_day = date.fromisoformat(content["period_end"]) - timedelta(days=1)
    names = (
        "invoice_id",
        "invoice_number",
        "invoice_line_id",
        "credit_note_id",
        "credit_note_number",
        "customer_id",
        "subscription_id",
        "plan_id",
        "meter_id",
        "line_type",
        "quantity",
        "adjusts_line_id",
        "adjusts_invoice_id",
        "period_start",
        "period_end",
        "content_hash",
    )
    return {
        **{name: str(content[name]) for name in names if name in content},
        "billing_key": "/".join(
            content[name] for name in ("customer_id", "currency", "period_start", "period_end")
        ),
        "billing_month": f"{last_day:%Y-%m}",
        # What one product calls its customers; the same id.
        "company_id": content["customer_id"],
    }


def _period(content: Json) -> Json:
    """First and last second served: Stripe's periods include both ends."""
    zone = ZoneInfo(content["timezone"])

    def midnight(day: str) -> datetime:
        return datetime.combine(date.fromisoformat(day), time(), zone).astimezone(UTC)

    start = midnight(content["service_start"])
    end = midnight(content["service_end"]) - timedelta(seconds=1)
    return {"start": int(start.timestamp()), "end": max(int(end.timestamp()), int(start.timestamp()))}


def _value(answer: Json, name: str) -> object:
    if name == "metadata.op_id":
        return (answer.get("metadata") or {}).get("op_id")
    found = answer.get(name)
    return reference(found) if name in {"customer", "invoice"} else found


def _as_text(value: object) -> str:
    if isinstance(value, Decimal):
        return plain_text(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a request: {redact(repr(value))}")
