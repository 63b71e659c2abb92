"""A small Stripe over real HTTP: invoices, items, credit notes, idempotency keys, and faults on demand.

Every request and every answer is judged by Stripe's own description; ``violations`` must stay empty. What it
does follows Stripe's documentation and not Stripe itself: it cannot show that Stripe behaves so.
"""

import copy
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from stripe_description import answer_faults, decode, request_faults

Json = dict[str, Any]

KEY = "sk_test_" + "4eC39HqLyjWDarjtT1zdp7dc"
API_VERSION = "2026-10-28.endive"


@dataclass
class Fault:
    """Something that goes wrong with the next request that fits.

    :param kind: drop_before, drop_after (the connection breaks, undone or done), hang_before, hang_after,
        429, 409, 503 (nothing was done), 500_before, 500_after (kept under the key, undone or done),
        change (the answer is changed by ``change``), spoil (so is what Stripe says once, as it never would).
    """

    method: str
    path: str
    kind: str
    times: int = 1
    change: Callable[[Json], None] | None = None
    skip: int = 0


@dataclass
class _Kept:
    fingerprint: str
    status: int | None = None
    body: Json | None = None


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        self.status, self.message, self.kind = status, message, kind


@dataclass
class FakeStripe:
    """The server and what it holds."""

    account: str = "acct_1MeterhouseTest"
    livemode: bool = False
    key: str = KEY
    answer_seconds: float = 0
    hang_seconds: float = 3
    customers: dict[str, int] = field(default_factory=dict)
    """Balance in minor units, by customer; negative: a credit."""
    invoices: dict[str, Json] = field(default_factory=dict)
    items: dict[str, Json] = field(default_factory=dict)
    credit_notes: dict[str, Json] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    moments: list[tuple[float, str]] = field(default_factory=list)
    minimum_charge: int = 50
    is_locking: bool = False
    """Whether an invoice takes one request at a time and refuses others meanwhile, as Stripe may."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._kept: dict[str, _Kept] = {}
        self._numbers = count(1)
        self._now = count(int(time.time()))
        self._closing = threading.Event()
        self._busy: set[str] = set()
        self.refused_for_locks = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are written apart; waiting for more would cost 40 ms an answer.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                fake._serve(self, "GET")

            def do_POST(self) -> None:
                fake._serve(self, "POST")

            def do_DELETE(self) -> None:
                fake._serve(self, "DELETE")

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """Clients that are killed break their connections; that is the point."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    # What tests do to it and ask of it

    def forget_keys(self) -> None:
        """A day has passed."""
        with self._lock:
            self._kept.clear()

    def items_of_lines(self) -> Counter[str]:
        return Counter(item["metadata"].get("invoice_line_id") for item in self.items.values())

    def pay(self, invoice_id: str) -> Json:
        with self._lock:
            invoice = self.invoices[invoice_id]
            invoice |= {"amount_paid": invoice["amount_due"], "amount_remaining": 0, "status": "paid"}
            invoice["status_transitions"]["paid_at"] = next(self._now)
            return invoice

    def count(self, method: str, path: str) -> int:
        return sum(1 for request in self.requests if request == (method, path))

    # HTTP

    def _serve(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        parts = urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        form = handler.rfile.read(length).decode()
        if len(form.encode()) < length:
            # Whoever sent it died in the middle of it.
            handler.close_connection = True
            return
        with self._lock:
            self.requests.append((method, parts.path))
            self.moments.append((time.monotonic(), f"{method} {'/'.join(parts.path.split('/')[:3])}"))
            self.violations += request_faults(method, parts.path, parts.query, form)
            if handler.headers.get("Stripe-Version") != API_VERSION:
                self.violations.append(f"version {handler.headers.get('Stripe-Version')}")
            if method == "POST" and not handler.headers.get("Idempotency-Key"):
                self.violations.append(f"{method} {parts.path} has no idempotency key")
            fault = self._fault(method, parts.path)
            subject = decode(form).get("invoice", "") if self.is_locking else ""
            is_locked = subject in self._busy
            if is_locked:
                self.refused_for_locks += 1
            elif subject:
                self._busy.add(subject)
        time.sleep(self.answer_seconds)
        kind = fault.kind if fault else ""
        if kind in {"drop_before", "hang_before"}:
            self._break(handler, kind)
            return
        is_authorized = handler.headers.get("Authorization") == f"Bearer {self.key}"
        headers: dict[str, str] = {}
        if not is_authorized:
            status, body = (
                401,
                _error("Invalid API Key provided: " + handler.headers.get("Authorization", "")),
            )
        elif is_locked:
            status, body = 429, _error("This object is in use by another request.", code="lock_timeout")
        elif kind in {"429", "409", "503"}:
            status, body = (
                int(kind),
                _error(f"fault {kind}", "api_error" if kind == "503" else "invalid_request_error"),
            )
        else:
            status, body, headers = self._answer(handler, method, parts.path, parts.query, form, fault)
        if subject and not is_locked:
            with self._lock:
                self._busy.discard(subject)
        if kind in {"drop_after", "hang_after"}:
            self._break(handler, kind)
            return
        if status == 200:
            with self._lock:
                self.violations += answer_faults(method, parts.path, status, body)
            if kind == "spoil" and fault and fault.change:
                body = copy.deepcopy(body)
                fault.change(body)
        content = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.send_header("Request-Id", f"req_{next(self._numbers):08}")
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def _break(self, handler: BaseHTTPRequestHandler, kind: str) -> None:
        if kind.startswith("hang"):
            self._closing.wait(self.hang_seconds)
        handler.close_connection = True
        handler.connection.close()

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.method == method and fnmatch(path, fault.path):
                if fault.skip:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    def _answer(
        self,
        handler: BaseHTTPRequestHandler,
        method: str,
        path: str,
        query: str,
        form: str,
        fault: Fault | None,
    ) -> tuple[int, Json, dict[str, str]]:
        key = handler.headers.get("Idempotency-Key") if method == "POST" else None
        fingerprint = json.dumps([method, path, decode(form)], sort_keys=True)
        with self._lock:
            if key and (kept := self._kept.get(key)):
                if kept.fingerprint != fingerprint:
                    return (
                        400,
                        _error(
                            "Keys for idempotent requests can only be used with the same parameters they were first used with.",
                            "idempotency_error",
                        ),
                        {},
                    )
                if kept.status is None:
                    return (
                        409,
                        _error("There is currently another in-progress request using this Idempotent Key."),
                        {},
                    )
                return kept.status, kept.body, {"Idempotent-Replayed": "true"}
            kept = _Kept(fingerprint)
            if key:
                self._kept[key] = kept
            kind = fault.kind if fault else ""
            try:
                if kind == "500_before":
                    status, body = 500, _error("An unknown error occurred", "api_error")
                else:
                    status, body = 200, self._do(method, path, decode(query or form))
                    if kind == "change" and fault and fault.change:
                        body = json.loads(json.dumps(body))
                        fault.change(body)
                    if kind == "500_after":
                        status, body = 500, _error("An unknown error occurred", "api_error")
            except _RefusedError as error:
                status, body = error.status, _error(error.message, error.kind)
                # A request that fails validation is not kept.
                self._kept.pop(key, None)
            kept.status, kept.body = status, json.loads(json.dumps(body))
            return status, kept.body, {}

    # The API

    def _do(self, method: str, path: str, given: Json) -> Json:
        match (method, *path.strip("/").split("/")[1:]):
            case ("GET", "account"):
                return {"id": self.account, "object": "account"}
            case ("POST", "invoices"):
                return self._create_invoice(given)
            case ("GET", "invoices"):
                return self._list("/v1/invoices", self.invoices, given)
            case ("GET", "invoices", one):
                return self._found(self.invoices, one, "invoice")
            case ("GET", "invoices", one, "lines"):
                self._found(self.invoices, one, "invoice")
                lines = {line["id"]: line for line in self._lines(one)}
                return self._list(f"/v1/invoices/{one}/lines", lines, given)
            case ("POST", "invoices", one, "finalize"):
                return self._finalize(self._found(self.invoices, one, "invoice"), given)
            case ("POST", "invoiceitems"):
                return self._create_item(given)
            case ("GET", "invoiceitems"):
                return self._list("/v1/invoiceitems", self.items, given)
            case ("POST", "credit_notes"):
                return self._create_credit_note(given)
            case ("GET", "credit_notes"):
                return self._list("/v1/credit_notes", self.credit_notes, given)
        raise _RefusedError(404, f"Unrecognized request URL ({method}: {path}).")

    def _create_invoice(self, given: Json) -> Json:
        customer = self._customer(given)
        if any(
            invoice["number"] == given.get("number")
            for invoice in self.invoices.values()
            if given.get("number")
        ):
            raise _RefusedError(400, "The invoice number is already in use.")
        if len(given.get("number", "")) > 26:
            raise _RefusedError(400, "Invalid number: must be at most 26 characters")
        at = next(self._now)
        one = f"in_{next(self._numbers):08}"
        self.invoices[one] = {
            "id": one, "object": "invoice", "livemode": self.livemode, "created": at, "customer": customer,
            "currency": given["currency"], "number": given.get("number"), "status": "draft",
            "metadata": given.get("metadata", {}), "auto_advance": given.get("auto_advance") == "true",
            "collection_method": "charge_automatically", "automatic_tax": {"enabled": False, "liability": None, "status": None, "disabled_reason": None, "provider": None},
            "amount_due": 0, "amount_overpaid": 0, "amount_paid": 0, "amount_paid_off_stripe": 0, "amount_remaining": 0, "amount_shipping": 0,
            "attempt_count": 0, "attempted": False, "default_tax_rates": [], "discounts": [],
            "issuer": {"type": "self"}, "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
            "period_start": at, "period_end": at, "starting_balance": self.customers[customer], "ending_balance": None,
            "pre_payment_credit_notes_amount": 0, "post_payment_credit_notes_amount": 0,
            "subtotal": 0, "total": 0, "hosted_invoice_url": None, "invoice_pdf": None,
            "status_transitions": {"finalized_at": None, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None},
            "lines": {"object": "list", "data": [], "has_more": False, "url": f"/v1/invoices/{one}/lines"},
        }  # fmt: skip
        return self.invoices[one]

    def _create_item(self, given: Json) -> Json:
        customer = self._customer(given)
        amount, currency = int(given["amount"]), given["currency"]
        if currency in {"kwd", "bhd", "jod", "omr", "tnd"} and amount % 10:
            raise _RefusedError(400, "Amounts in three-decimal currencies must be multiples of ten.")
        invoice = self._found(self.invoices, given["invoice"], "invoice")
        if invoice["customer"] != customer or invoice["currency"] != currency:
            raise _RefusedError(400, "The invoice item's customer and currency must be those of the invoice.")
        if invoice["status"] != "draft":
            raise _RefusedError(400, "You can only add items to draft invoices.")
        mine = [item for item in self.items.values() if item["invoice"] == invoice["id"]]
        if len(mine) >= 250:
            raise _RefusedError(400, "An invoice has at most 250 items.")
        one = f"ii_{next(self._numbers):08}"
        self.items[one] = {
            "id": one, "object": "invoiceitem", "livemode": self.livemode, "date": next(self._now), "customer": customer,
            "currency": currency, "amount": amount, "description": given.get("description"), "invoice": invoice["id"],
            "metadata": given.get("metadata", {}), "discountable": given.get("discountable") == "true", "discounts": [],
            "period": {name: int(second) for name, second in given["period"].items()}, "proration": False,
            "quantity": 1, "quantity_decimal": "1", "tax_rates": [], "test_clock": None, "parent": None, "pricing": None,
        }  # fmt: skip
        self._sum(invoice)
        return self.items[one]

    def _sum(self, invoice: Json) -> None:
        total = sum(item["amount"] for item in self.items.values() if item["invoice"] == invoice["id"])
        invoice |= {"subtotal": total, "total": total, "amount_due": total, "amount_remaining": total}

    def _lines(self, invoice_id: str) -> list[Json]:
        return [
            {
                "id": "il_" + item["id"][3:], "object": "line_item", "amount": item["amount"], "currency": item["currency"],
                "subtotal": item["amount"], "discountable": False, "discounts": [], "livemode": self.livemode,
                "metadata": item["metadata"], "period": item["period"], "invoice": invoice_id, "description": item["description"],
                "parent": {
                    "type": "invoice_item_details",
                    "invoice_item_details": {"invoice_item": item["id"], "proration": False, "proration_details": None, "subscription": None},
                    "subscription_item_details": None,
                },
            }
            for item in self.items.values()
            if item["invoice"] == invoice_id
        ]  # fmt: skip

    def _finalize(self, invoice: Json, given: Json) -> Json:
        if invoice["status"] != "draft":
            raise _RefusedError(
                400, "This invoice is already finalized, you can't re-finalize a non-draft invoice."
            )
        total, balance = invoice["total"], self.customers[invoice["customer"]]
        due = max(0, total + balance)
        ending = total + balance - due
        if 0 < due < self.minimum_charge:
            due, ending = 0, due
        self.customers[invoice["customer"]] = ending
        at = next(self._now)
        invoice |= {
            "status": "paid" if due == 0 else "open", "amount_due": due, "amount_remaining": due,
            "starting_balance": balance, "ending_balance": ending,
            "auto_advance": given.get("auto_advance") == "true",
            "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice['id']}",
            "invoice_pdf": f"https://pay.stripe.com/invoice/{invoice['id']}/pdf",
        }  # fmt: skip
        invoice["status_transitions"] |= {"finalized_at": at, "paid_at": at if due == 0 else None}
        return invoice

    def _create_credit_note(self, given: Json) -> Json:
        invoice = self._found(self.invoices, given["invoice"], "invoice")
        if invoice["status"] not in {"open", "paid"}:
            raise _RefusedError(400, "Only open and paid invoices can be credited.")
        amounts = {line["id"]: line["amount"] for line in self._lines(invoice["id"])}
        for line in given["lines"]:
            if int(line["amount"]) > amounts.get(line["invoice_line_item"], -1):
                raise _RefusedError(
                    400, "The line item amount is more than what is left of the invoice line."
                )
        amount = sum(int(line["amount"]) for line in given["lines"])
        before = min(amount, invoice["amount_remaining"])
        after = amount - before
        if int(given.get("credit_amount", 0)) != after:
            raise _RefusedError(
                400, "The sum of credit, refund and out of band amounts must equal the post payment amount."
            )
        self.customers[invoice["customer"]] -= after
        invoice["pre_payment_credit_notes_amount"] += before
        invoice["post_payment_credit_notes_amount"] += after
        invoice["amount_due"] -= before
        invoice["amount_remaining"] -= before
        if invoice["amount_remaining"] == 0:
            invoice["status"] = "paid"
        one = f"cn_{next(self._numbers):08}"
        lines = [
            {
                "id": f"cnli_{next(self._numbers):08}", "object": "credit_note_line_item", "amount": int(line["amount"]),
                "discount_amount": 0, "discount_amounts": [], "livemode": self.livemode, "pretax_credit_amounts": [],
                "tax_rates": [], "type": "invoice_line_item", "invoice_line_item": line["invoice_line_item"],
                "metadata": line.get("metadata", {}), "description": None, "quantity": None, "taxes": None,
                "unit_amount": None, "unit_amount_decimal": None,
            }
            for line in given["lines"]
        ]  # fmt: skip
        self.credit_notes[one] = {
            "id": one, "object": "credit_note", "livemode": self.livemode, "created": next(self._now),
            "customer": invoice["customer"], "currency": invoice["currency"], "invoice": invoice["id"],
            "amount": amount, "subtotal": amount, "total": amount, "amount_shipping": 0, "discount_amount": 0, "discount_amounts": [],
            "pre_payment_amount": before, "post_payment_amount": after, "pretax_credit_amounts": [], "refunds": [],
            "number": f"{invoice['number']}-CN-{len(self.credit_notes) + 1:02}", "pdf": "https://pay.stripe.com/credit_notes/pdf",
            "status": "issued", "type": "pre_payment" if not after else "post_payment" if not before else "mixed",
            "memo": given.get("memo"), "metadata": given.get("metadata", {}), "reason": None,
            "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/credit_notes/{one}/lines"},
        }  # fmt: skip
        return self.credit_notes[one]

    def _customer(self, given: Json) -> str:
        if given["customer"] not in self.customers:
            raise _RefusedError(400, f"No such customer: '{given['customer']}'")
        return given["customer"]

    @staticmethod
    def _found(table: dict[str, Json], one: str, word: str) -> Json:
        if one not in table:
            raise _RefusedError(404, f"No such {word}: '{one}'")
        return table[one]

    @staticmethod
    def _list(url: str, table: dict[str, Json], given: Json) -> Json:
        found = sorted(
            table.values(),
            key=lambda one: (one.get("created") or one.get("date") or 0, one["id"]),
            reverse=True,
        )
        if customer := given.get("customer"):
            found = [one for one in found if one["customer"] == customer]
        if invoice := given.get("invoice"):
            found = [one for one in found if one["invoice"] == invoice]
        if created := given.get("created"):
            found = [one for one in found if (one.get("created") or one.get("date")) >= int(created["gte"])]
        if after := given.get("starting_after"):
            found = found[[one["id"] for one in found].index(after) + 1 :]
        limit = int(given.get("limit", 10))
        return {"object": "list", "url": url, "data": found[:limit], "has_more": len(found) > limit}


def _error(message: str, kind: str = "invalid_request_error", code: str | None = None) -> Json:
    return {"error": {"type": kind, "message": message} | ({"code": code} if code else {})}
