"""The judge is judged: what Stripe documents passes, and every mutation of it is seen."""

import copy

import pytest
from stripe_description import answer_faults, as_form, description, object_faults, request_faults

# Objects and requests with the fields that Stripe's reference shows for them.
ITEM = {
    "id": "ii_1", "object": "invoiceitem", "amount": 1099, "currency": "usd", "customer": "cus_1", "date": 1680640231,
    "description": "T-shirt", "discountable": True, "discounts": [], "invoice": None, "livemode": False,
    "metadata": {}, "period": {"end": 1680640231, "start": 1680640231}, "proration": False, "quantity": 1,
    "quantity_decimal": "1", "tax_rates": [], "test_clock": None, "parent": None,
    "pricing": {
        "price_details": {"price": "price_1", "product": "prod_1"}, "type": "price_details", "unit_amount_decimal": "1099",
    },
}  # fmt: skip
CREATE_ITEM = {
    "customer": "cus_1", "amount": 1099, "currency": "usd", "description": "T-shirt", "discountable": False,
    "period": {"start": 1680640231, "end": 1680640232}, "metadata": {"order": "6735"}, "invoice": "in_1",
}  # fmt: skip
CREATE_INVOICE = {
    "customer": "cus_1", "auto_advance": False, "pending_invoice_items_behavior": "exclude", "number": "INV-1",
    "discounts": "", "metadata": {"order": "6735"}, "currency": "usd",
}  # fmt: skip
CREATE_NOTE = {
    "invoice": "in_1", "memo": "less was used", "credit_amount": 500,
    "lines": [{"type": "invoice_line_item", "invoice_line_item": "il_1", "amount": 500}],
}  # fmt: skip


def mutated(value, path, change):
    other = copy.deepcopy(value)
    *parents, last = path
    place = other
    for name in parents:
        place = place[name]
    if change is ...:
        del place[last]
    else:
        place[last] = change
    return other


def test_it_is_the_description_that_is_named():
    assert description()["info"]["version"] == "2026-05-27.dahlia"


def test_documented_objects_pass():
    assert object_faults("invoiceitem", ITEM) == []
    assert answer_faults("POST", "/v1/invoiceitems", 200, ITEM) == []
    assert answer_faults("GET", "/v1/account", 200, {"id": "acct_1", "object": "account"}) == []
    error = {"error": {"type": "invalid_request_error", "message": "No such customer: 'cus_1'"}}
    assert answer_faults("POST", "/v1/invoiceitems", 400, error) == []


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (("amount",), "1099"),
        (("amount",), 10.99),
        (("amount",), None),
        (("amount",), ...),
        (("currency",), ...),
        (("object",), "invoice"),
        (("livemode",), "false"),
        (("metadata",), {"key": 1}),
        (("period",), {"start": 1}),
        (("period", "end"), "1680640231"),
        (("customer",), None),
        (("pricing", "type"), "something"),
        (("invoice",), 1),
        (("discounts",), {}),
    ],
)
def test_mutated_objects_are_seen(path, change):
    assert object_faults("invoiceitem", mutated(ITEM, path, change))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/invoiceitems", CREATE_ITEM),
        ("/v1/invoices", CREATE_INVOICE),
        ("/v1/credit_notes", CREATE_NOTE),
        ("/v1/invoices/in_1/finalize", {"auto_advance": True}),
    ],
)
def test_documented_requests_pass(path, body):
    assert request_faults("POST", path, "", as_form(body)) == []


@pytest.mark.parametrize(
    ("path", "body", "where", "change"),
    [
        ("/v1/invoiceitems", CREATE_ITEM, ("amount",), 10.99),
        ("/v1/invoiceitems", CREATE_ITEM, ("amount",), "1e3"),
        ("/v1/invoiceitems", CREATE_ITEM, ("amuont",), 1),
        ("/v1/invoiceitems", CREATE_ITEM, ("period", "begin"), 1),
        ("/v1/invoiceitems", CREATE_ITEM, ("period", "end"), ...),
        ("/v1/invoiceitems", CREATE_ITEM, ("discountable",), "no"),
        ("/v1/invoiceitems", CREATE_ITEM, ("usage_record",), "mbur_1"),
        ("/v1/invoices", CREATE_INVOICE, ("pending_invoice_items_behavior",), "include_and_require"),
        ("/v1/invoices", CREATE_INVOICE, ("auto_advance",), "off"),
        ("/v1/invoices", CREATE_INVOICE, ("discounts",), "none"),
        ("/v1/credit_notes", CREATE_NOTE, ("invoice",), ...),
        ("/v1/credit_notes", CREATE_NOTE, ("lines", 0, "type"), "line"),
        ("/v1/credit_notes", CREATE_NOTE, ("lines", 0, "invoice_line"), "il_1"),
        ("/v1/credit_notes", CREATE_NOTE, ("lines", 0, "type"), ...),
    ],
)
def test_mutated_requests_are_seen(path, body, where, change):
    assert request_faults("POST", path, "", as_form(mutated(body, where, change)))


def test_queries_and_paths_are_held_to_it_too():
    assert request_faults("GET", "/v1/invoiceitems", "customer=cus_1&created[gte]=1&limit=100", "") == []
    assert request_faults("GET", "/v1/invoiceitems", "created[since]=1", "")
    assert request_faults("GET", "/v1/invoiceitems", "limit=many", "")
    assert request_faults("GET", "/v1/invoiceitems/search", "query=x", "")
    assert request_faults("POST", "/v1/usage_records", "", "")
