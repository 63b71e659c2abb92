"""``meterhouse trace`` and ``meterhouse rebuild`` as people call them: what they show, write and refuse, and exit codes."""

import csv
import io
import json
import sqlite3
from datetime import date
from decimal import Decimal
from functools import partial

import duckdb
import moving_home
import pytest
from moving_home import MovingHome, at_six, changed, without_checks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FEBRUARY = "2026-02"


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """January and February closed in March, March in April; then an event of January was void."""
    with pytest.MonkeyPatch.context() as patch, without_checks():
        patch.delenv("METERHOUSE_LEDGER_URL", raising=False)
        moving = MovingHome(tmp_path_factory.mktemp("proved") / "home")
        moving.events = moving.put(moving.usage(date(2026, 1, 1), date(2026, 2, 28)))
        moving.document(
            "accounts/overrides.csv",
            "subscription_id,meter_id,included,unit_amount,valid_from,valid_to\ns-ada,requests,7,,2026-02-01,\n",
        )
        assert moving.close(date(2026, 2, 28), at_six(3, 4)).closing
        moving.put(moving.usage(date(2026, 3, 2), date(2026, 3, 15)))
        moving.read(at_six(3, 16))
        [void, *_] = [one for one in moving.events if one["customer_id"] == "bo" and one["quantity"] == "14"]
        moving.put([*moving.usage(date(2026, 3, 16), date(2026, 3, 31)), changed(void, is_void=True)])
        assert moving.close(date(2026, 3, 31), at_six(4, 4)).credit_note_numbers == ["CN-000001"]
        yield moving


@pytest.fixture
def meterhouse(moved):
    """``meterhouse("trace", …)``: exit code, output and complaints."""
    return partial(moving_home.meterhouse, moved.home)


def invoice_of(moved, customer: str, period_start: str) -> str:
    [(invoice_id,)] = moved.published(
        f"select invoice_id from invoices where customer_id = '{customer}' and not is_adjustment"
        f" and period_start = '{period_start}'"
    )
    return invoice_id


def ids(line) -> set[str]:
    return {event["event_id"] for event in line["events"] if Decimal(event["contribution"]) != 0}


# Trace


def test_every_way_of_counting_is_traced_to_its_events(moved, meterhouse):
    """Expected is what a person with the file in hand would point at."""
    code, output, _ = meterhouse("trace", "--month", FEBRUARY, "--format", "json")
    assert code == 0
    lines = {(line["customer_id"], line["line_type"], line["meter_id"]): line for line in json.loads(output)}

    def february(customer, kind):
        return [
            event
            for event in moved.events
            if (event["customer_id"], event["event_type"]) == (customer, kind)
            and event["occurred_at"].startswith(FEBRUARY)
        ]

    def quantities(events):
        return sum(int(event["quantity"]) for event in events)

    requests, calls, disk, seats, users = (
        february("ada", kind) for kind in ("request", "call", "disk", "seat", "login")
    )
    first_of = {event["user_id"]: event["event_id"] for event in reversed(users)}
    highest = {}
    for event in seats:
        highest[event["resource"]] = max(highest.get(event["resource"], 0), int(event["quantity"]))
    expected = {
        "requests": (len(requests), 7, {event["event_id"] for event in requests}),
        "calls": (quantities(calls), 100, {event["event_id"] for event in calls}),
        "disk": (int(disk[-1]["quantity"]), 1, {disk[-1]["event_id"]}),
        "users": (len(first_of), 1, set(first_of.values())),
    }
    for meter, (usage, included, events) in expected.items():
        line = lines["ada", "usage", meter]
        assert Decimal(line["usage_quantity"]) == usage, meter
        assert Decimal(line["quantity"]) == usage - included, meter
        assert ids(line) == events, meter
    line = lines["ada", "usage", "seats"]
    assert Decimal(line["usage_quantity"]) == sum(highest.values())
    assert {event["series"]: int(Decimal(event["reading"])) for event in line["events"]} == highest
    assert len(ids(line)) == len(highest)

    # Eight a day are included: each day is a window of its own.
    line = lines["bo", "usage", "calls"]
    assert len(line["windows"]) > 5
    assert sum(Decimal(window["overage_quantity"]) for window in line["windows"]) == Decimal(line["quantity"])
    assert Decimal(lines["cy", "usage", "tokens"]["usage_quantity"]) == quantities(february("cy", "model"))
    assert (
        "x 1.2" in lines["cy", "usage", "tokens"]["rule"] or "1.2" in lines["cy", "usage", "tokens"]["rule"]
    )
    for customer, kind, meter in (("ada", "price", None), ("ada", "capacity", "requests")):
        assert lines[customer, kind, meter]["events"] == []
        assert lines[customer, kind, meter]["rule"]
    for line in lines.values():
        assert Decimal(line["unexplained_quantity"]) == 0
        assert sum(Decimal(event["contribution"]) for event in line["events"]) == Decimal(
            line["usage_quantity"] or 0
        )


def test_a_trace_is_written_for_people_for_sheets_and_as_a_table(moved, meterhouse, tmp_path):
    invoice = invoice_of(moved, "ada", "2026-02-01")
    code, shown, _ = meterhouse("trace", "--invoice", invoice)
    assert code == 0
    code, written, _ = meterhouse("trace", "--invoice", invoice, "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(written)))
    table = tmp_path / "events.csv"
    code, said, _ = meterhouse("trace", "--invoice", invoice, "--output", str(table))
    assert (code, said) == (0, f"Wrote {len(rows):,} rows to {table}.\n")
    assert len(table.read_text().splitlines()) == len(rows) + 1
    usage = [row for row in rows if row["line_type"] == "usage"]
    assert {row["meter_id"] for row in usage} == {"requests", "calls", "seats", "disk", "users"}
    for row in rows:
        assert row["invoice_id"] == invoice
        assert row["invoice_line_id"] in shown
        assert row["rule"] in shown
    assert all(row["event_id"] in shown for row in usage)
    assert "0 of the line is unexplained" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["line_of_nobody"], "no line with the line id line_of_nobody"),
        (["--invoice", "INV-999999"], "no line with the invoice id INV-999999"),
        (["--month", "2031-01"], "no line in the month 2031-01"),
        (["--month", "2026-13"], "'2026-13' is not a month"),
        ([], "not clear which lines"),
        (["line_a", "--invoice", "INV-000001"], "not clear which lines"),
        (["line_a", "--format", "xml"], "write table, json or csv"),
        (["line_a", "--output", "events.xlsx"], "neither a .parquet nor a .csv"),
        (["line_a", "--output", "/nowhere/at/all/events.csv"], "no folder /nowhere/at/all"),
    ],
)
def test_a_trace_of_nothing_is_a_wrong_argument(meterhouse, arguments, says):
    code, output, complaint = meterhouse("trace", *arguments)
    assert (code, output) == (2, "")
    assert says in complaint
    assert "->" in complaint


# Rebuild


def test_documents_are_proved_one_by_one_and_all_together(moved, meterhouse):
    [(number, content_hash)] = moved.published(
        "select invoice_number, content_hash from invoices where invoice_number = 'INV-000002'"
    )
    code, shown, _ = meterhouse("rebuild", number)
    assert code == 0
    assert shown.count(content_hash) == 2
    assert "equal, in every field" in shown
    code, shown, _ = meterhouse("rebuild", "CN-000001")
    assert (code, "credit note CN-000001" in shown, "equal" in shown) == (0, True, True)

    code, output, _ = meterhouse("rebuild", "--all", "--format", "json")
    assert code == 0
    found = {row["number"]: row for row in json.loads(output)}
    assert all(row["is_equal"] and row["issued_hash"] == row["computed_hash"] for row in found.values())
    issued = moved.published("select invoice_number from invoices where status = 'issued'")
    assert found.keys() == {number for (number,) in issued} | {"CN-000001"}
    code, shown, _ = meterhouse("rebuild", "--month", "2026-01")
    ended = moved.published(
        "select count(*) from invoices where status = 'issued' and strftime(period_end - 1, '%Y-%m') = '2026-01'"
    )[0][0]
    # The credit note is of bo's cycle to 14 January, and closed with March.
    assert code == 0
    assert f"{ended + 1} documents of 2 closings" in shown
    assert f"{ended + 1} equal, 0 different" in shown


def test_a_document_that_somebody_changed_ends_with_1_and_is_named(moved, meterhouse):
    """Past the database's own guards; the last thing that stands between a changed row and a wrong invoice."""
    line = "where invoice_id in (select invoice_id from issued_invoices where invoice_number = 'INV-000001')"
    with sqlite3.connect(moved.home.ledger / "ledger.sqlite") as ledger:
        guards = ledger.execute(
            "select name, sql from sqlite_master where type = 'trigger' and tbl_name = 'issued_lines'"
        ).fetchall()
        for name, _ in guards:
            ledger.execute(f"drop trigger {name}")
        ledger.execute(f"update issued_lines set amount_minor = amount_minor + 1 {line} and line_number = 1")
    try:
        code, shown, _ = meterhouse("rebuild", "INV-000001")
        assert code == 1
        assert "different: line 1, amount_minor: issued " in shown
        code, output, _ = meterhouse("rebuild", "INV-000001", "--format", "csv")
        [row] = csv.DictReader(io.StringIO(output))
        assert (code, row["is_equal"], row["line_number"], row["field"]) == (1, "False", "1", "amount_minor")
        assert int(row["issued"]) == int(row["computed"]) + 1
    finally:
        with sqlite3.connect(moved.home.ledger / "ledger.sqlite") as ledger:
            ledger.execute(
                f"update issued_lines set amount_minor = amount_minor - 1 {line} and line_number = 1"
            )
            for _, guard in guards:
                ledger.execute(guard)


def test_a_period_is_shown_as_it_was_known_issued_or_not(moved, meterhouse):
    """The cycle of bo from 15 March is open still; ada's March was, half-way through."""
    draft = invoice_of(moved, "bo", "2026-03-15")
    code, output, _ = meterhouse(
        "rebuild", draft, "--as-known-at", "2026-03-16T06:00:00Z", "--format", "json"
    )
    assert code == 0
    then = json.loads(output)
    assert {(line["status"], line["line_type"]) for line in then} == {("draft", "price")}
    now = moved.published(f"select line_type from invoice_lines where invoice_id = '{draft}'")
    assert ("usage",) in now

    march = invoice_of(moved, "ada", "2026-03-01")
    known = {}
    for instant in ("2026-03-16T06:00:00Z", "2026-04-04T06:00:00Z"):
        code, output, _ = meterhouse("rebuild", march, "--as-known-at", instant, "--format", "csv")
        assert code == 0
        known[instant] = list(csv.DictReader(io.StringIO(output)))
    [early, late] = known.values()
    assert ({line["status"] for line in early}, {line["status"] for line in late}) == ({"draft"}, {"issued"})
    [(total,)] = moved.published(f"select total_minor from invoices where invoice_id = '{march}'")
    assert int(early[0]["invoice_total_minor"]) < int(late[0]["invoice_total_minor"]) == total
    code, shown, _ = meterhouse("rebuild", march, "--as-known-at", "2026-04-04T06:00:00Z")
    assert code == 0
    assert f"Total {total // 100:,}.{total % 100:02} USD" in shown
    assert "cycle 2026-03-01 to 2026-03-31: issued" in shown


def test_before_there_was_a_line_there_is_none_to_show(moved, meterhouse):
    """Recorded is what was in use then, but the cycle had not begun: not a wrong argument, and no line either."""
    march = invoice_of(moved, "ada", "2026-04-01")
    code, output, complaint = meterhouse("rebuild", march, "--as-known-at", "2026-03-04T06:00:00Z")
    assert (code, output) == (1, "")
    assert "nothing of invoice" in complaint


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["INV-999999"], "INV-999999 is not issued"),
        (["--month", "2031-01"], "no cycle of 2031-01 was issued"),
        (["--month", "2026-13"], "'2026-13' is not a month"),
        ([], "not clear what to compute"),
        (["INV-000001", "--all"], "not clear what to compute"),
        (["--all", "--as-known-at", "2026-03-04"], "not clear what to compute"),
        (["INV-999999", "--as-known-at", "2026-03-04T06:00:00Z"], "there is no invoice INV-999999"),
        (
            ["INV-000001", "--as-known-at", "2026-03-04T05:59:59Z"],
            "the history begins at 2026-03-04T06:00:00",
        ),
        (["INV-000001", "--as-known-at", "yesterday"], "--as-known-at: 'yesterday' is not an instant"),
        (["INV-000001", "--format", "xml"], "write table, json or csv"),
    ],
)
def test_a_rebuild_of_nothing_is_a_wrong_argument(meterhouse, arguments, says):
    code, output, complaint = meterhouse("rebuild", *arguments)
    assert (code, output) == (2, "")
    assert says in complaint
    assert "->" in complaint


def test_nothing_of_the_home_is_left_changed(moved, meterhouse):
    """What was computed aside goes when all is read."""
    before = moved.published_rows()
    assert meterhouse("trace", "--invoice", "INV-000001", "--format", "csv")[0] == 0
    assert meterhouse("rebuild", "INV-000001")[0] == 0
    assert moved.published_rows() == before
    with duckdb.connect(str(moved.home.warehouse_file), read_only=True) as warehouse:
        assert warehouse.execute("select count(*) from int_build_scope").fetchall() == [(1,)]
    computed = moved.home.cache / "computed"
    assert [folder.name for folder in computed.glob("*") if folder.name.startswith(("trace-", "closing-"))
            and folder.is_dir()] == []  # fmt: skip
