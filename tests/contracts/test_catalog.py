"""meters.yml, plans.yml and the other catalog documents: each fault from both sides.

Every case names the smallest document that is wrong and the nearest that is right.
"""

import os
from decimal import Decimal
from pathlib import Path

import pytest
from catalog_homes import DOCUMENTS, METERS, PLANS, faults, load, one_meter, one_plan, plan, write_home

from models.catalog import AlertSettings, PerUnit
from models.money import MINOR_UNITS
from pipelines.catalog import documents, load_configuration
from pipelines.errors import ConfigurationError
from pipelines.home import Home


def charge(body: str) -> str:
    return one_plan(f"[{{meter: calls, {body}}}]")


def overage(body: str) -> str:
    return charge(f'included: "0", overage: {{{body}}}')


def tiers(*bounds: str, model: str = "graduated") -> str:
    return overage(f"model: {model}, tiers: [" + ", ".join(f"{{up_to: {bound}}}" for bound in bounds) + "]")


# (what it is about, wrong, right, path of the fault, words in the fault)
METER_CASES = [
    (
        "a feature that no plan could name",
        one_meter(requires_feature="'a\"b'"),
        one_meter(),
        "meters[0].requires_feature",
        "not the name of a feature",
    ),
    ("id missing", one_meter(id=""), one_meter(), "meters[0].id", "add id: "),
    ("id empty", one_meter(id='""'), one_meter(), "meters[0].id", "empty"),
    ("id with spaces around", one_meter(id='" calls"'), one_meter(), "meters[0].id", "spaces"),
    ("unit missing", one_meter(unit=""), one_meter(), "meters[0].unit", "missing"),
    (
        "unknown key",
        one_meter(agregation="sum"),
        one_meter(),
        "meters[0].agregation",
        "did you mean aggregation?",
    ),
    (
        "unknown aggregation",
        one_meter(aggregation="avg"),
        one_meter(aggregation="count"),
        "meters[0].aggregation",
        "write one of count, sum, max, latest, unique",
    ),
    ("no event types", one_meter(event_types="[]"), one_meter(), "meters[0].event_types", "at least one"),
    (
        "event types twice",
        one_meter(event_types="[call, call]"),
        one_meter(event_types="[call, Call]"),
        "meters[0].event_types",
        "call is listed twice",
    ),
    ("event types not a list", one_meter(event_types="call"), one_meter(), "meters[0].event_types", "a list"),
    (
        "unknown field",
        one_meter(field="tokens"),
        one_meter(field="total_tokens"),
        "meters[0].field",
        "not a field that can be metered",
    ),
    (
        "property without a key",
        one_meter(field="properties."),
        one_meter(field="properties.gen_ai.usage"),
        "meters[0].field",
        "properties.<key>",
    ),
    (
        "unique without a field",
        one_meter(aggregation="unique"),
        one_meter(aggregation="unique", field="user_id"),
        "meters[0].field",
        "unique counts distinct values",
    ),
    (
        "sum of a text",
        one_meter(field="user_id"),
        one_meter(field="properties.pages"),
        "meters[0].field",
        "sum needs a number",
    ),
    (
        "count of a field",
        one_meter(aggregation="count", field="input_tokens"),
        one_meter(aggregation="count", field="quantity"),
        "meters[0].field",
        "count counts events",
    ),
    (
        "carry_forward without a reading",
        one_meter(carry_forward="true"),
        one_meter(aggregation="max", carry_forward="true"),
        "meters[0].carry_forward",
        "use max or latest",
    ),
    (
        "per without a reading",
        one_meter(per="resource"),
        one_meter(aggregation="latest", per="resource"),
        "meters[0].per",
        "use max or latest",
    ),
    (
        "per a number",
        one_meter(aggregation="latest", per="quantity"),
        one_meter(aggregation="latest", per="properties.disk"),
        "meters[0].per",
        "not a field to split by",
    ),
    (
        "where of a number",
        one_meter(where="{quantity: 1}"),
        one_meter(where="{properties.kind: 1}"),
        "meters[0].where",
        "not a field that can be compared",
    ),
    (
        "where several values",
        one_meter(where="{provider: [a, b]}"),
        one_meter(where="{provider: a}"),
        "meters[0].where",
        "the one value",
    ),
    (
        "YAML 1.1 boolean",
        one_meter(billable="yes"),
        one_meter(billable="true"),
        "meters[0].billable",
        "write true or false",
    ),
]

PLAN_CASES = [
    ("rank missing", one_plan(rank=""), one_plan(), "plans[0].rank", "add rank: "),
    ("rank not whole", one_plan(rank='"1.5"'), one_plan(rank='"15"'), "plans[0].rank", "whole number"),
    (
        "price a YAML float",
        one_plan(price="9.90"),
        one_plan(price='"9.90"'),
        "plans[0].price",
        'quotes: "9.90"',
    ),
    ("price negative", one_plan(price="-1"), one_plan(price="0"), "plans[0].price", "negative"),
    (
        "price with exponent",
        one_plan(price='"1e3"'),
        one_plan(price='"1000"'),
        "plans[0].price",
        "not a decimal",
    ),
    ("price with a comma", one_plan(price='"9,90"'), one_plan(price='"9.90"'), "plans[0].price", "comma"),
    ("price sexagesimal", one_plan(price="1:30"), one_plan(price="130"), "plans[0].price", "not a decimal"),
    ("price hexadecimal", one_plan(price="0x10"), one_plan(price="010"), "plans[0].price", "not a decimal"),
    ("price not a number", one_plan(price=".nan"), one_plan(price="1"), "plans[0].price", "YAML float"),
    (
        "price beyond the scale",
        one_plan(price='"0.0000000000001"'),
        one_plan(price='"0.000000000001000"'),
        "plans[0].price",
        "12 digits after",
    ),
    (
        "price beyond the type",
        one_plan(price='"' + "1" * 27 + '"'),
        one_plan(price='"' + "1" * 26 + '"'),
        "plans[0].price",
        "26 digits before",
    ),
    ("unknown currency", one_plan(currency="USX"), one_plan(currency="JPY"), "plans[0].currency", "ISO 4217"),
    ("currency in small letters", one_plan(currency="usd"), one_plan(), "plans[0].currency", "write USD"),
    (
        "no such day",
        one_plan(effective_from="2025-02-29"),
        one_plan(effective_from='"2024-02-29"'),
        "plans[0].effective_from",
        "not a day of the calendar",
    ),
    (
        "date the other way round",
        one_plan(effective_from="01.01.2026"),
        one_plan(),
        "plans[0].effective_from",
        "YYYY-MM-DD",
    ),
    (
        "unknown proration",
        one_plan(proration="month"),
        one_plan(proration="none"),
        "plans[0].proration",
        "day, none",
    ),
    ("charges not a list", one_plan("{meter: calls}"), one_plan(), "plans[0].charges", "not a list"),
    (
        "two versions of one day",
        one_plan() + plan(),
        one_plan() + plan(effective_from="2026-01-02"),
        "plans[1].effective_from",
        "plan basic effective from 2026-01-01 is already in line 2",
    ),
    (
        "unknown meter",
        one_plan("[{meter: call}]"),
        one_plan("[{meter: calls}]"),
        "plans[0].charges[0].meter",
        "there is no meter call; did you mean calls?",
    ),
    (
        "two charges for a meter",
        one_plan("[{meter: calls}, {meter: calls}]"),
        one_plan("[{meter: calls}, {meter: seats}]"),
        "plans[0].charges[1].meter",
        "already in line",
    ),
    (
        "included negative",
        charge('included: "-1"'),
        charge('included: "0"'),
        "plans[0].charges[0].included",
        "negat",
    ),
    (
        "included another word",
        charge("included: infinite"),
        charge("included: unlimited"),
        "plans[0].charges[0].included",
        "unlimited",
    ),
    (
        "unknown reset",
        charge("reset: month"),
        charge("reset: calendar_month"),
        "plans[0].charges[0].reset",
        "cycle",
    ),
    (
        "unknown limit",
        charge("limit: none"),
        charge("limit: hard"),
        "plans[0].charges[0].limit",
        "soft, hard",
    ),
    (
        "unknown key of a charge",
        charge("include: 5"),
        charge("included: 5"),
        "plans[0].charges[0].include",
        "did you mean included?",
    ),
    (
        "capacity above unlimited",
        charge("capacity: {unit_amount: 1}"),
        charge("included: 5, capacity: {unit_amount: 1}"),
        "plans[0].charges[0].capacity",
        "unlimited",
    ),
    (
        "overage without a model",
        overage("unit_amount: 1"),
        overage("model: per_unit, unit_amount: 1"),
        "plans[0].charges[0].overage",
        "add model: ",
    ),
    (
        "unknown model",
        overage("model: stairs"),
        overage("model: flat, flat_amount: 1"),
        "plans[0].charges[0].overage",
        "'stairs' is not known here; write one of per_unit, package, graduated",
    ),
    (
        "unit_amount missing",
        overage("model: per_unit"),
        overage("model: per_unit, unit_amount: 0"),
        "plans[0].charges[0].overage.unit_amount",
        'add unit_amount: "0.02"',
    ),
    (
        "unit_amount a YAML float",
        overage("model: per_unit, unit_amount: 0.02"),
        overage('model: per_unit, unit_amount: "0.02"'),
        "plans[0].charges[0].overage.unit_amount",
        '0.02 is a YAML float; write it in quotes: "0.02"',
    ),
    (
        "a key of another model",
        overage("model: per_unit, unit_amount: 1, multiplier: 2"),
        overage("model: per_unit, unit_amount: 1, invoice_zero: true"),
        "plans[0].charges[0].overage.multiplier",
        "known here: invoice_zero, model, unit_amount",
    ),
    (
        "empty packages",
        overage("model: package, package_size: 0, package_amount: 1"),
        overage("model: package, package_size: 1, package_amount: 0"),
        "plans[0].charges[0].overage.package_size",
        "not above 0",
    ),
    ("no tiers", tiers(), tiers("unlimited"), "plans[0].charges[0].overage.tiers", "no tier"),
    (
        "tiers end early",
        tiers("10"),
        tiers("10", "unlimited"),
        "plans[0].charges[0].overage.tiers",
        "end at 10",
    ),
    (
        "tiers overlap",
        tiers("10", "10", "unlimited"),
        tiers("10", '"10.000000000001"', "unlimited"),
        "plans[0].charges[0].overage.tiers",
        "overlap",
    ),
    (
        "tiers fall",
        tiers("10", "5", "unlimited", model="volume"),
        tiers("5", "10", "unlimited", model="volume"),
        "plans[0].charges[0].overage.tiers",
        "rising up_to",
    ),
    (
        "a tier after unlimited",
        tiers("unlimited", "unlimited"),
        tiers("1", "unlimited"),
        "plans[0].charges[0].overage.tiers",
        "never reached",
    ),
    ("a tier up to 0", tiers("0", "unlimited"), tiers("1", "unlimited"), "up_to", "greater than 0"),
    (
        "a gap by hand",
        overage("model: volume, tiers: [{from: 1, up_to: 5}, {from: 7, up_to: unlimited}]"),
        tiers("5", "unlimited"),
        "overage.tiers[0].from",
        "unknown key from",
    ),
    (
        "cost_plus in EUR",
        one_plan("[{meter: calls, included: 0, overage: {model: cost_plus, multiplier: 2}}]", currency="EUR"),
        overage("model: cost_plus, multiplier: 2"),
        "plans[0].charges[0].overage.model",
        "plan in USD",
    ),
    (
        "cost_plus of a level",
        one_plan("[{meter: seats, overage: {model: cost_plus, multiplier: 2}}]"),
        one_plan("[{meter: calls, overage: {model: cost_plus, multiplier: 2}}]"),
        "plans[0].charges[0].overage.model",
        "count or sum",
    ),
]


@pytest.mark.parametrize(
    ("wrong", "right", "path", "words"), [case[1:] for case in METER_CASES], ids=[c[0] for c in METER_CASES]
)
def test_meter(tmp_path, wrong, right, path, words):
    no_plans = {"plans_yml": one_plan()}
    [fault] = faults(tmp_path / "wrong", meters_yml=wrong, **no_plans)
    assert fault.file == "catalog/meters.yml"
    assert path in fault.path
    assert words in str(fault)
    assert faults(tmp_path / "right", meters_yml=right, **no_plans) == []


@pytest.mark.parametrize(
    ("wrong", "right", "path", "words"), [case[1:] for case in PLAN_CASES], ids=[c[0] for c in PLAN_CASES]
)
def test_plan(tmp_path, wrong, right, path, words):
    found = faults(tmp_path / "wrong", plans_yml=wrong)
    assert found
    assert {fault.file for fault in found} == {"catalog/plans.yml"}
    assert any(path in fault.path and words in str(fault) for fault in found), found
    assert faults(tmp_path / "right", plans_yml=right) == []


def test_meter_ids_are_given_once(tmp_path):
    twice = METERS + "  - {id: calls, name: Again, unit: call, event_types: [x], aggregation: count}\n"
    [fault] = faults(tmp_path, meters_yml=twice)
    assert str(fault) == (
        "catalog/meters.yml: meters[2].id (line 5): "
        "meter calls is already in line 3; give every meter its own id"
    )


@pytest.mark.parametrize(
    ("features", "remedy"),
    [
        ("{api_access: false}", None),
        ("{api_acces: true}", "did you mean api_acces?"),
        ("{}", "add it to the features of a plan in plans.yml, or write one of those there"),
    ],
)
def test_a_meter_requires_a_feature_that_some_plan_names(tmp_path, features, remedy):
    plans = one_plan(features="{support: email}", id="small") + plan(features=features)
    meters = one_meter(requires_feature="api_access")
    customers = {"subscriptions_csv": "subscription_id,customer_id,plan_id,started_on\n"}
    found = faults(tmp_path, meters_yml=meters, plans_yml=plans, **customers)
    assert [(fault.file, fault.path, fault.problem, fault.remedy) for fault in found] == [
        (
            "catalog/meters.yml",
            "meters[0].requires_feature (line 7)",
            "no plan names the feature api_access",
            remedy,
        )
    ][: remedy is not None]


def test_features_of_plans_that_cannot_be_read_are_not_judged(tmp_path):
    meters = one_meter(requires_feature="api_access")
    [fault] = faults(tmp_path, meters_yml=meters, plans_yml=one_plan(features="[api_access]"))
    assert fault.file == "catalog/plans.yml"


def test_a_meter_that_is_not_billable_has_no_charge(tmp_path):
    [fault] = faults(tmp_path / "wrong", meters_yml=one_meter(billable="false"))
    assert "billable: false" in str(fault)
    assert faults(tmp_path / "right", meters_yml=one_meter(billable="false"), plans_yml=one_plan()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        ("", "is empty"),
        ("# nothing yet\n", "is empty"),
        ("- a\n", "is not a mapping"),
        ("plan: []\n", "did you mean plans?"),
        ("plans:\n", "write one - per entry"),
        ("plans: []\nplans: []\n", "already in line 1"),
        ("plans:\n\t- id: a\n", "indent with spaces"),
        ("plans: [\n", "correct the YAML"),
        ("plans: []\n---\nplans: []\n", "single document"),
        (b"plans: []  # caf\xe9\n", r"\xE9 is not UTF-8"),
        (b"plans: []\x00", "plain text"),
        ("plans: [basic]\n", "is not a mapping"),
        ("plans: &a [*a]\n", "contains itself"),
        ("plans: !!python/name:os.system []\n", "is not supported"),
    ],
)
def test_documents_that_are_not_what_they_should_be(tmp_path, content, words):
    found = faults(tmp_path, plans_yml=content)
    assert any(words in str(fault) and fault.file == "catalog/plans.yml" for fault in found), found


def laughs(levels: int) -> str:
    """Values that are ten times as many with each line."""
    more = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *more, "plans: []", ""])


def test_yaml_is_bounded_in_bytes_and_in_values_once_aliases_are_resolved(tmp_path, monkeypatch):
    def fault_of(content: str) -> str:
        found = [fault for fault in faults(tmp_path, plans_yml=content) if fault.file == "catalog/plans.yml"]
        return "; ".join(map(str, found))

    assert "more than 100,000 values" in fault_of(laughs(9))
    assert "more than 100,000 values" not in fault_of(laughs(4))
    assert "nested too deeply" in fault_of("plans: " + "[" * 3000)
    (tmp_path / "catalog" / "plans.yml").write_bytes(b"")
    os.truncate(tmp_path / "catalog" / "plans.yml", 10_000_001)
    with pytest.raises(ConfigurationError, match=r"plans\.yml: file: is larger than 10,000,000 bytes"):
        load_configuration(Home(tmp_path))
    # The mapping, its list and one entry per number are values.
    monkeypatch.setattr(documents, "MAX_YAML_VALUES", 12)
    assert "values" not in fault_of("other: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n")
    assert "more than 12 values" in fault_of("other: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n")
    monkeypatch.setattr(documents, "MAX_YAML_VALUES", 100_000)
    monkeypatch.setattr(documents, "MAX_YAML_BYTES", 1000)
    assert fault_of(PLANS.ljust(1000, "\n")) == ""
    assert "is larger than" in fault_of(PLANS.ljust(1001, "\n"))


@pytest.mark.parametrize("name", ["catalog/plans.yml", "catalog/fx_rates.csv", "accounts/customers.csv"])
def test_a_document_that_is_no_regular_file_is_a_fault_and_not_waited_for(tmp_path, name):
    home = write_home(tmp_path, {})
    path = home.root / name
    path.unlink(missing_ok=True)
    for make in (os.mkfifo, Path.mkdir):
        make(path)
        with pytest.raises(ConfigurationError, match=f"{name}: file: is no regular file; put"):
            load_configuration(home)
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "elsewhere").write_text(str(DOCUMENTS.get(name) or "date,base,quote,rate\n"))
    path.symlink_to(tmp_path / "elsewhere")
    load_configuration(home)


def test_a_cell_of_a_document_is_bounded(tmp_path):
    assert faults(tmp_path, customers_csv=f"customer_id,note\nacme,{'x' * 10_000}\n") == []
    [fault] = faults(tmp_path, customers_csv=f"customer_id,note\nacme,{'x' * 10_001}\n")
    assert str(fault).startswith("accounts/customers.csv: row 2: has a value of more than 10,000 characters")


def test_keys_twice_are_named_with_both_lines(tmp_path):
    [fault] = faults(tmp_path, plans_yml=one_plan(price='"1"\n    price: "2"'))
    assert (
        str(fault)
        == "catalog/plans.yml: plans[0].price (line 7): the key price is already in line 6; keep one"
    )


def test_every_fault_of_every_document_is_reported_at_once(tmp_path):
    found = faults(
        tmp_path,
        meters_yml=one_meter(aggregation="avg"),
        plans_yml=one_plan('[{meter: none}, {meter: calls, limit: "?"}]', price="9.5", currency="XXX"),
        alerts_yml="usage_thresholds: [0.8]\n",
        fx_rates_csv="date,base,quote,rate\n2026-01-01,EUR,USD,0\n",
        customers_csv="customer_id,timezone\nacme,Mars/Olympus\n",
        subscriptions_csv="subscription_id,customer_id,plan_id,started_on\ns1,acmee,basic,soon\n",
    )
    assert sorted({fault.file for fault in found}) == [
        "accounts/customers.csv",
        "accounts/subscriptions.csv",
        "catalog/alerts.yml",
        "catalog/fx_rates.csv",
        "catalog/meters.yml",
        "catalog/plans.yml",
    ]
    assert len([fault for fault in found if fault.file == "catalog/plans.yml"]) == 4
    assert len([fault for fault in found if fault.file == "accounts/subscriptions.csv"]) == 2


def test_a_value_that_is_wrong_as_yaml_is_reported_once(tmp_path):
    [fault] = faults(tmp_path, plans_yml=one_plan(price=".nan"))
    assert "YAML float" in fault.problem


def test_every_fault_takes_one_line(tmp_path):
    [fault] = faults(tmp_path, plans_yml=one_plan(**{'"a\\nb"': "1"}))
    assert "\n" not in str(fault)


def test_scalars_stay_as_written(tmp_path):
    meters = one_meter(
        id="no", name="on", unit="007", event_types="[404, ~x]", where="{properties.live: true}"
    )
    meter = load(tmp_path, meters_yml=meters, plans_yml=one_plan()).catalog.meters[0]
    assert (meter.id, meter.name, meter.unit, meter.event_types) == ("no", "on", "007", ("404", "~x"))
    assert meter.where == {"properties.live": "true"}


def test_plain_integers_are_exact_amounts(tmp_path):
    catalog = load(tmp_path, plans_yml=one_plan(price="12345678901234567890123456")).catalog
    assert catalog.plans[0].price == Decimal("12345678901234567890123456")


def test_defaults_are_those_of_the_contract(tmp_path):
    catalog = load(tmp_path, plans_yml=one_plan("[{meter: calls}]")).catalog
    meter, version = catalog.meters[0], catalog.plans[0]
    assert (meter.field, meter.where, meter.carry_forward, meter.per, meter.billable) == (
        "quantity",
        {},
        False,
        None,
        True,
    )
    assert meter.requires_feature is None
    [found] = version.charges
    assert (found.included, found.prorate_included, found.reset, found.limit) == (
        "unlimited",
        False,
        "cycle",
        "soft",
    )
    assert (found.capacity, found.overage, version.features, version.proration) == (None, None, {}, "day")


def test_an_overage_on_an_unlimited_charge_waits_for_an_override(tmp_path):
    charges = '[{meter: calls, overage: {model: per_unit, unit_amount: "0.1"}}]'
    [version] = load(tmp_path, plans_yml=one_plan(charges)).catalog.plans
    assert version.charges[0].overage == PerUnit(model="per_unit", unit_amount=Decimal("0.1"))


PRICES = "provider,model,event_type,unit,usd_per_unit,valid_from,valid_to\n"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("openai,gpt-4,,input_token,0.00003,,\n", None),
        ("openai,gpt-4,,tokens,0.00003,,\n", "row 2, unit: 'tokens' is not known here"),
        (",,,request,1,,\n", "all empty"),
        ("a,,,request,0.000000000000000001,,\n", None),
        ("a,,,request,0.0000000000000000001,,\n", "18 digits"),
        ("a,,,request,-1,,\n", "negative"),
        ("a,,,request,,,\n", "usd_per_unit: it is empty"),
        ("a,,,request,1,2026-01-01,2026-01-01\n", "no day is left"),
        ("a,,,request,1,,2026-02-01\na,,,request,2,2026-02-01,\n", None),
        ("a,,,request,1,,2026-02-02\na,,,request,2,2026-02-01,\n", "row 3, valid_from"),
        ("a,,,request,1,,\na,,call,request,2,,\n", None),
        (
            "a,,,request,1,2026-01-01,2026-12-01\na,,,request,2,2026-02-01,2026-03-01\na,,,request,3,2026-04-01,\n",
            "row 4",
        ),
    ],
)
def test_prices(tmp_path, rows, words):
    found = faults(tmp_path, prices_csv=PRICES + rows)
    assert not found if words is None else any(words in str(fault) for fault in found), found


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("2026-01-01,EUR,USD,1.1\n2026-01-02,EUR,USD,1.1\n", None),
        ("2026-01-01,EUR,USD,1.1\n2026-01-01,EUR,USD,1.2\n", "already in row 2"),
        ("2026-01-01,EUR,EUR,1\n", "both EUR"),
        ("2026-01-01,EUR,USD,0\n", "not above 0"),
        ("2026-01-01,EUR,USX,1\n", "ISO 4217"),
    ],
)
def test_fx_rates(tmp_path, rows, words):
    found = faults(tmp_path, fx_rates_csv="date,base,quote,rate\n" + rows)
    assert not found if words is None else any(words in str(fault) for fault in found), found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('usage_thresholds: ["0.8", "1"]', None),
        ("usage_thresholds: [0.8]", 'write it in quotes: "0.8"'),
        ('usage_thresholds: ["0"]', "not above 0"),
        ('usage_thresholds: ["1", "1.0"]', "listed twice"),
        ("usage_threshold: []", "did you mean usage_thresholds?"),
        ("spike: {lookback_days: 0}", "at least 1"),
        ('recommendations: {upgrade_above: "0.2"}', "downgrade_below"),
        ("recommendations: {meters: [calls]}", None),
        ("recommendations: {meters: [call]}", "did you mean calls"),
        ("recommendations: {meters: []}", "name some"),
        ("models: {allowed: [a], fallback: b}", "not an allowed model"),
        ("models: {allowed: [a, b], fallback: b, substitutes: {c: [a]}}", None),
        ("models: {allowed: [a], substitutes: {c: [b]}}", "not allowed"),
        ("models: {substitutes: {a: [a]}}", "its own substitute"),
        ("models: {allowed: []}", "no model is allowed"),
        ("destinations: [env:SLACK_URL]", None),
        ('destinations: ["https://hooks.example/secret"]', "env:NAME"),
    ],
)
def test_alerts(tmp_path, text, words):
    found = faults(tmp_path, alerts_yml=text + "\n")
    assert not found if words is None else any(words in str(fault) for fault in found), found


def test_alert_settings_have_the_contracts_defaults(tmp_path):
    assert load(tmp_path / "without").catalog.alerts == AlertSettings()
    alerts = load(tmp_path / "with", alerts_yml='spike: {ratio: "3"}\n').catalog.alerts
    assert alerts.usage_thresholds == (Decimal("0.75"), Decimal("0.9"), Decimal(1))
    assert alerts.budget_thresholds == (Decimal("0.5"), Decimal("0.8"), Decimal(1))
    assert (alerts.spike.ratio, alerts.spike.lookback_days, alerts.spike.min_quantity) == (3, 7, 100)
    assert alerts.recommendations.max_cost_per_request == Decimal("0.05")


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (
            "sources:\n  - {name: a, files: '*.csv', feilds: {}}\n",
            "sources[0].feilds",
            "did you mean fields?",
        ),
        ("sources:\n  - {name: a}\n", "sources[0].files", "missing"),
        (
            "sources:\n  - {name: a, files: '*', constants: {quantity: [1]}}\n",
            "sources[0].constants.quantity",
            "is not a single value",
        ),
        ("sources:\n  - {name: a, files: '*', timezone: Nowhere}\n", "sources[0].timezone", "time zone"),
        (
            "sources:\n  - {name: a, files: '*', fields: {custmer_id: c}}\n",
            "custmer_id",
            "not a field of the usage event",
        ),
        (
            "sources:\n  - {name: a, files: '*', fields: {quantity: {field: q, where: {unit: s}, wher: s}}}\n",
            "sources[0].fields.quantity.wher",
            "did you mean where?",
        ),
        (
            "sources:\n  - {name: a, files: '*', units: {quantity: {field: kilo, factor: 0.001}}}\n",
            "sources[0].units.quantity.factor",
            "YAML float",
        ),
    ],
)
def test_sources_are_judged_like_the_rest(tmp_path, text, path, words):
    [fault] = faults(tmp_path, sources_yml=text)
    assert (fault.file, path in fault.path, words in str(fault)) == ("catalog/sources.yml", True, True), fault


def test_minor_units_follow_iso_4217():
    assert [MINOR_UNITS[code] for code in ("JPY", "USD", "EUR", "KWD", "CLF", "ISK", "TND")] == [
        0,
        2,
        2,
        3,
        4,
        0,
        3,
    ]
    assert "XXX" not in MINOR_UNITS
    assert all(len(code) == 3 and code.isupper() for code in MINOR_UNITS)


def test_documents_may_have_a_byte_order_mark(tmp_path):
    assert faults(tmp_path, plans_yml=b"\xef\xbb\xbf" + PLANS.encode()) == []
