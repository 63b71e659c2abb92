"""The accounts documents: each fault from both sides, and the rules between accounts and plans."""

import pytest
from catalog_homes import PLANS, faults, load, one_plan, plan

CUSTOMERS = "customer_id,name,email,timezone,inactive_from,stripe_customer_id\n"
SUBSCRIPTIONS = "subscription_id,customer_id,plan_id,plan_version,started_on,ended_on,billing_anchor_day\n"
OVERRIDES = "subscription_id,meter_id,included,unit_amount,valid_from,valid_to\n"
BUDGETS = "customer_id,period,measure,amount,currency,thresholds,pause_at\n"


def check(found, path, words):
    """No faults when nothing is expected; else exactly one that says where and what."""
    if words is None:
        assert found == []
        return
    [fault] = found
    assert fault.path == path
    assert words in str(fault)


@pytest.mark.parametrize(
    ("rows", "path", "words"),
    [
        ("acme,Acme,,Asia/Kathmandu,2026-05-01,cus_1\n", "", None),
        ("acme,,,,,\n", "", None),
        ("acme,,,,,\nacme,,,,,\n", "row 3, customer_id", "customer acme is already in row 2"),
        ("acme,,,,,\nAcme,,,,,\n", "", None),
        ("acme,,,,,\n,Nobody,,,,\n", "row 3, customer_id", "it is empty; fill it in"),
        ("acme,,,Europe/Berlinn,,\n", "row 2, timezone", "IANA"),
        ("acme,,,europe/berlin,,\n", "row 2, timezone", "write Europe/Berlin"),
        ("acme,,,+02:00,,\n", "row 2, timezone", "IANA"),
        ("acme,,,,2026-13-01,\n", "row 2, inactive_from", "not a day of the calendar"),
        ("acme,,,,\n", "row 2", "has 5 fields, the header has 6"),
        ("acme,,,,,\n\n,,,,,\n", "", None),
        ('acme,"Acme, Inc.",,,,\n', "", None),
        ("acme,Acme, Inc.,,,,\n", "row 2", "has 7 fields, the header has 6"),
        ('acme,"Acme,,,,\n', "row 2", "quotation marks"),
    ],
)
def test_customers(tmp_path, rows, path, words):
    check(faults(tmp_path, customers_csv=CUSTOMERS + rows), path, words)


@pytest.mark.parametrize(
    ("content", "path", "words"),
    [
        ("\ufeffcustomer_id;name\nacme;Acme\n", "", None),
        ("customer_id,phone,vip\nacme,1,yes\n", "", None),
        ("customer_id\r\nacme\r\n", "", None),
        ('"customer_id"\n"acme"\n', "", None),
        ("", "row 1", "has no header"),
        ("name\nAcme\n", "row 1, customer_id", "add the column customer_id"),
        ("customerid\nacme\n", "row 1, customer_id", "rename customerid to customer_id"),
        ("customer_id,name,name\nacme,a,b\n", "row 1, name", "names it twice"),
        (b"customer_id\nacm\xe9\n", "line 2", r"\xE9 is not UTF-8"),
        (None, "file", "does not exist"),
    ],
)
def test_shapes_of_csv(tmp_path, content, path, words):
    check(faults(tmp_path, customers_csv=content), path, words)


def test_cells_with_decimal_commas_are_faults(tmp_path):
    budgets = "customer_id;period;amount;currency\nacme;month;0,5;USD\n"
    check(faults(tmp_path, budgets_csv=budgets), "row 2, amount", "comma")


def test_no_customers_yet_is_no_fault(tmp_path):
    assert faults(tmp_path, customers_csv=CUSTOMERS, subscriptions_csv=SUBSCRIPTIONS) == []


TWO_VERSIONS = PLANS + plan(effective_from="2026-06-01")


@pytest.mark.parametrize(
    ("row", "path", "words"),
    [
        ("s1,acme,basic,,2026-01-01,,", "", None),
        (
            "s1,acme,basic,,2025-12-31,,",
            "row 2, started_on",
            "is in force from 2026-01-01, after the subscription",
        ),
        ("s1,acme,basic,,2026-01-02,2026-01-02,", "", None),
        ("s1,acme,basic,,2026-01-02,2026-01-01,", "row 2, ended_on", "before started_on"),
        ("s1,acme,basic,,,,", "row 2, started_on", "it is empty"),
        ("s1,acme,basik,,2026-01-01,,", "row 2, plan_id", "there is no plan basik; did you mean basic?"),
        (
            "s1,acne,basic,,2026-01-01,,",
            "row 2, customer_id",
            "there is no customer acne; did you mean acme?",
        ),
        ("s1,acme,basic,,2026-01-01,,31", "", None),
        ("s1,acme,basic,,2026-01-01,,32", "row 2, billing_anchor_day", "1 to 31"),
        ("s1,acme,basic,,2026-01-01,,0", "row 2, billing_anchor_day", "1 to 31"),
        ("s1,acme,basic,,2026-01-01,,1st", "row 2, billing_anchor_day", "whole number"),
        ("s1,acme,basic,2026-06-01,2026-06-01,,", "", None),
        ("s1,acme,basic,2026-01-01,2026-07-01,,", "", None),
        (
            "s1,acme,basic,2026-06-02,2026-07-01,,",
            "row 2, plan_version",
            "write one of 2026-01-01, 2026-06-01",
        ),
        ("s1,acme,basic,2026-06-01,2026-05-31,,", "row 2, started_on", "version 2026-06-01 of plan basic"),
    ],
)
def test_subscriptions(tmp_path, row, path, words):
    check(faults(tmp_path, plans_yml=TWO_VERSIONS, subscriptions_csv=SUBSCRIPTIONS + row + "\n"), path, words)


def test_subscription_ids_are_given_once(tmp_path):
    rows = "s1,acme,basic,,2026-01-01,2026-02-01,\ns1,acme,basic,,2026-02-01,,\n"
    check(
        faults(tmp_path, subscriptions_csv=SUBSCRIPTIONS + rows), "row 3, subscription_id", "already in row 2"
    )


ADD_ONS = (
    "plans:\n"
    + plan("[{meter: calls}]")
    + plan("[{meter: seats}]", id="seats")
    + plan("[{meter: seats}]", id="growing")
    + plan("[{meter: seats}, {meter: calls}]", id="growing", effective_from="2026-03-15")
)


@pytest.mark.parametrize(
    ("rows", "clash"),
    [
        # The second begins where the first ends, or a day before.
        (["basic,,2026-01-01,2026-02-01,", "basic,,2026-02-01,,"], None),
        (["basic,,2026-01-01,2026-02-01,", "basic,,2026-01-31,,"], "calls"),
        # An add-on shares no meter with the plan beside it.
        (["basic,,2026-01-01,,", "seats,,2026-01-01,,"], None),
        # A later version of the add-on shares one, from the first cycle that begins under it (2026-04-01).
        (["basic,,2026-01-01,,", "growing,,2026-01-01,,"], "calls"),
        (["basic,,2026-01-01,2026-04-01,", "growing,,2026-01-01,,"], None),
        (["basic,,2026-01-01,2026-04-02,", "growing,,2026-01-01,,"], "calls"),
        (["basic,,2026-01-01,,", "growing,2026-01-01,2026-01-01,,"], None),
        (["basic,,2026-01-01,2026-04-15,", "growing,,2026-01-01,,20"], "calls"),
        (["basic,,2026-01-01,2026-03-20,", "growing,,2026-01-01,,20"], None),
        # A subscription that serves no day overlaps nothing.
        (["basic,,2026-01-01,,", "basic,,2026-02-01,2026-02-01,"], None),
    ],
)
def test_subscriptions_of_a_customer_share_no_meter_at_once(tmp_path, rows, clash):
    body = "".join(f"s{number},acme,{row}\n" for number, row in enumerate(rows, start=1))
    found = faults(tmp_path, plans_yml=ADD_ONS, subscriptions_csv=SUBSCRIPTIONS + body)
    words = clash and f"s2 serves acme on days that s1 (row 2) serves; both charge {clash}"
    check(found, "row 3, started_on", words)


def test_other_customers_may_have_the_same_plan(tmp_path):
    rows = "s1,acme,basic,,2026-01-01,,\ns2,other,basic,,2026-01-01,,\n"
    assert (
        faults(tmp_path, customers_csv="customer_id\nacme\nother\n", subscriptions_csv=SUBSCRIPTIONS + rows)
        == []
    )


def test_a_customer_who_became_inactive_is_served_no_longer(tmp_path):
    rows = "s1,acme,basic,,2026-01-01,,\ns2,acme,basic,,2026-05-01,,\n"
    customers = "customer_id,inactive_from\nacme,2026-05-01\n"
    assert faults(tmp_path, customers_csv=customers, subscriptions_csv=SUBSCRIPTIONS + rows) == []


@pytest.mark.parametrize(
    ("rows", "path", "words"),
    [
        ("s1,calls,200,,,\n", "", None),
        ("s1,calls,unlimited,0.01,2026-01-01,2026-02-01\n", "", None),
        ("s1,calls,,,,\n", "row 2, unit_amount", "changes nothing"),
        ("s1,calls,Unlimited,,,\n", "row 2, included", "unlimited"),
        ("s1,calls,-1,,,\n", "row 2, included", "negative"),
        ("s1,calls,,-0.01,,\n", "row 2, unit_amount", "negative"),
        ("s2,calls,1,,,\n", "row 2, subscription_id", "there is no subscription s2"),
        ("s1,call,1,,,\n", "row 2, meter_id", "did you mean calls?"),
        ("s1,seats,1,,,\n", "row 2, meter_id", "plan basic of s1 has no charge for seats"),
        ("s1,calls,1,,2026-02-01,2026-02-01\n", "row 2, valid_to", "no day is left"),
        ("s1,calls,1,,,2026-02-01\ns1,calls,2,,2026-02-01,\n", "", None),
        ("s1,calls,1,,,2026-02-02\ns1,calls,2,,2026-02-01,\n", "row 3, valid_from", "override of s1, calls"),
        ("s1,calls,1,,,\ns1,calls,,0.5,2026-02-01,2026-03-01\n", "row 3, valid_from", "row 2"),
    ],
)
def test_overrides(tmp_path, rows, path, words):
    check(faults(tmp_path, overrides_csv=OVERRIDES + rows), path, words)


def calls_plan(overage: str, **fields: str) -> str:
    charge = (
        f'{{meter: calls, included: "1", overage: {overage}}}' if overage else '{meter: calls, included: "1"}'
    )
    return plan(f"[{charge}]", **fields)


PER_UNIT = '{model: per_unit, unit_amount: "1"}'
FLAT = '{model: flat, flat_amount: "1"}'


@pytest.mark.parametrize(
    ("plans", "override", "words"),
    [
        (calls_plan(PER_UNIT), "s1,calls,,0.5,,", None),
        (calls_plan(FLAT), "s1,calls,,0.5,,", "has a flat overage for calls"),
        (calls_plan(FLAT), "s1,calls,5,,,", None),
        (calls_plan(""), "s1,calls,,0.5,,", "has no overage for calls"),
        # The override ends before a cycle begins under the version that is not per_unit, or a day later.
        (
            calls_plan(PER_UNIT) + calls_plan(FLAT, effective_from="2026-03-15"),
            "s1,calls,,0.5,,2026-04-01",
            None,
        ),
        (
            calls_plan(PER_UNIT) + calls_plan(FLAT, effective_from="2026-03-15"),
            "s1,calls,,0.5,,2026-04-02",
            "plan basic of 2026-03-15 has a flat overage",
        ),
        (
            calls_plan(FLAT) + calls_plan(PER_UNIT, effective_from="2026-03-01"),
            "s1,calls,,0.5,2026-02-02,",
            None,
        ),
        (
            calls_plan(FLAT) + calls_plan(PER_UNIT, effective_from="2026-03-01"),
            "s1,calls,,0.5,2026-02-01,",
            "plan basic of 2026-01-01 has a flat overage",
        ),
    ],
)
def test_unit_amount_needs_per_unit_in_every_version_it_meets(tmp_path, plans, override, words):
    found = faults(tmp_path, plans_yml="plans:\n" + plans, overrides_csv=OVERRIDES + override + "\n")
    check(found, "row 2, unit_amount", words)


@pytest.mark.parametrize(
    ("rows", "path", "words"),
    [
        ("acme,month,,100,USD,,\n", "", None),
        ("acme,day,invoice,0.5,EUR,0.8;0.95,1\n", "", None),
        ("acme,week,,100,USD,,\n", "row 2, period", "write one of day, month"),
        ("acme,month,usage,100,USD,,\n", "row 2, measure", "provider_cost, invoice"),
        ("acme,month,,0,USD,,\n", "row 2, amount", "not above 0"),
        ("acme,month,,,USD,,\n", "row 2, amount", "it is empty"),
        ("acme,month,,100,,,\n", "row 2, currency", "it is empty"),
        ("acme,month,,100,USD,80%,\n", "row 2, thresholds", "not a decimal"),
        ("acme,month,,100,USD,0.8;0.80,\n", "row 2, thresholds", "twice"),
        ("acme,month,,100,USD,,0\n", "row 2, pause_at", "not above 0"),
        ("acne,month,,100,USD,,\n", "row 2, customer_id", "did you mean acme?"),
        ("acme,month,,100,USD,,\nacme,month,provider_cost,90,USD,,\n", "row 3, period", "already in row 2"),
        ("acme,month,,100,USD,,\nacme,day,,90,USD,,\n", "", None),
    ],
)
def test_budgets(tmp_path, rows, path, words):
    check(faults(tmp_path, budgets_csv=BUDGETS + rows), path, words)


def test_a_broken_plan_brings_no_faults_to_its_subscribers(tmp_path):
    found = faults(tmp_path, plans_yml=one_plan(price='"-1"'), overrides_csv=OVERRIDES + "s1,calls,5,,,\n")
    assert [fault.file for fault in found] == ["catalog/plans.yml"]


def test_missing_documents_bring_no_faults_to_others(tmp_path):
    missing = {"meters_yml": None, "plans_yml": None, "customers_csv": None}
    found = faults(tmp_path, **missing, overrides_csv=OVERRIDES + "s1,calls,5,,,\n")
    assert [(fault.file, fault.problem) for fault in found] == [
        ("catalog/meters.yml", "does not exist"),
        ("catalog/plans.yml", "does not exist"),
        ("accounts/customers.csv", "does not exist"),
    ]


def test_defaults(tmp_path):
    accounts = load(tmp_path).accounts
    assert (accounts.customers[0].timezone, accounts.subscriptions[0].billing_anchor_day) == ("UTC", 1)
    assert accounts.customers[0].name is None
    assert (accounts.overrides, accounts.budgets) == ((), ())
