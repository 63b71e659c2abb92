"""Issued documents in the ledger, on SQLite and on PostgreSQL: numbered, unchangeable, never credited too much."""

import hashlib
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import servers
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from issued import find_invoice

from pipelines.home import Home
from pipelines.lake.places import export_folder
from pipelines.ledger import LedgerError, open_ledger
from pipelines.ledger.books import (
    Documents,
    Terms,
    all_closings,
    hash_of_closing,
    issue,
    known_batches,
    next_numbers,
)
from pipelines.ledger.books_schema import BOOKS, closings, issued_invoices
from pipelines.ledger.connect import WRITES, find_address, make_engine

ledger_url, postgres_server = servers.ledger_url, servers.postgres_server

NOW = datetime(2026, 4, 4, 6, 30, tzinfo=UTC)
TERMS = Terms(date(2026, 3, 31), NOW, "catalog", "accounts", "prices", "code")
MARCH = {"period_start": date(2026, 3, 1), "period_end": date(2026, 4, 1)}


def invoice(number, total=9900):
    return MARCH | {
        "invoice_id": f"inv_{number}",
        "customer_id": "c-1",
        "customer_name": "Ada",
        "customer_email": None,
        "currency": "USD",
        "minor_units": 2,
        "timezone": "Europe/Berlin",
        "total_minor": total,
        "line_count": 1,
        "content_hash": "0" * 64,
    }


def line(number, amount_minor=9900, **changes):
    return (
        MARCH
        | {
            "invoice_line_id": f"line_{number}",
            "invoice_id": f"inv_{number}",
            "line_number": 1,
            "customer_id": "c-1",
            "subscription_id": "s-1",
            "plan_id": "professional",
            "plan_version": date(2024, 1, 1),
            "line_type": "price",
            "meter_id": None,
            "description": "Professional",
            "quantity": Decimal(1),
            "amount": Decimal("98.999999999999"),
            "amount_minor": amount_minor,
            "currency": "USD",
            "service_start": date(2026, 3, 1),
            "service_end": date(2026, 4, 1),
            "adjusts_line_id": None,
            "adjusts_invoice_id": None,
            "restated_quantity": None,
            "restated_amount_minor": None,
            "causes": None,
        }
        | changes
    )


def period(number, subscription="s-1"):
    return MARCH | {
        "invoice_id": f"inv_{number}",
        "subscription_id": subscription,
        "customer_id": "c-1",
        "plan_id": "professional",
        "plan_version": date(2024, 1, 1),
        "terms_hash": "t",
        "accounts_hash": "a",
        "cycle_days": 31,
        "service_start": date(2026, 3, 1),
        "service_end": date(2026, 4, 1),
    }


def credit(number, amount_minor, note="cn_1", line_number=1):
    return MARCH | {
        "credit_note_line_id": f"{note}-{line_number}",
        "credit_note_id": note,
        "line_number": line_number,
        "invoice_line_id": f"line_{number}",
        "corrects_line_id": f"line_{number}",
        "amount_minor": amount_minor,
        "description": "Professional: put right",
        "quantity": Decimal(0),
        "restated_quantity": Decimal(1),
        "restated_amount_minor": 9900 - amount_minor,
        "causes": "[]",
    }


def note(number, amount_minor, note_id="cn_1"):
    return {
        "credit_note_id": note_id,
        "invoice_id": f"inv_{number}",
        "customer_id": "c-1",
        "currency": "USD",
        "amount_minor": amount_minor,
        "reason": "put right",
        "content_hash": "1" * 64,
    }


def documents(*numbers):
    return Documents(
        [invoice(number) for number in numbers],
        [line(number) for number in numbers],
        periods=[period(number) for number in numbers],
    )


def credits(number, *amounts, note_id="cn_1"):
    return Documents(
        credit_notes=[note(number, sum(amounts), note_id)],
        credit_note_lines=[
            credit(number, amount, note_id, position) for position, amount in enumerate(amounts, 1)
        ],
    )


def close(ledger, documents, batches=(), known=0, terms=TERMS, **options):
    return issue(
        ledger, terms, documents, batches, known_closing=known, closed_at=NOW, closed_by="ada", **options
    )


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def ledger(home, ledger_url):
    with open_ledger(home, ledger_url) as ledger:
        yield ledger


@pytest.fixture
def database(home, ledger, ledger_url):
    """The ledger's database as somebody sees it who goes around the ledger."""
    with make_engine(find_address(home, ledger_url)).connect() as connection:
        yield connection


def exported(home, name, closing_number):
    return pq.read_table(export_folder(home) / name / f"{closing_number}.parquet").to_pylist()


# Numbers


def test_numbers_follow_each_other_over_closings(ledger):
    first = close(ledger, documents("b", "a"))
    second = close(ledger, documents("c"), known=1)
    assert (first.closing_number, second.closing_number) == (1, 2)
    assert [find_invoice(ledger, f"inv_{name}")["invoice_number"] for name in "bac"] == [
        "INV-000001",
        "INV-000002",
        "INV-000003",
    ]
    assert find_invoice(ledger, "INV-000003")["lines"][0]["amount"] == Decimal("98.999999999999")


def test_a_closing_that_fails_uses_no_number(ledger):
    def broken(connection, closing):
        raise RuntimeError("no outbox")

    with pytest.raises(RuntimeError, match="no outbox"):
        close(ledger, documents("a"), ["batch"], after_issue=[broken])
    assert all_closings(ledger) == []
    assert known_batches(ledger, 1) == []
    close(ledger, documents("b"))
    assert find_invoice(ledger, "inv_b")["sequence_number"] == 1


def test_what_follows_a_closing_is_in_its_transaction(ledger):
    seen = []

    def follow(connection, closing):
        seen.append((closing.closing_number, connection.scalar(sa.select(issued_invoices.c.invoice_number))))

    close(ledger, documents("a"), after_issue=[follow])
    assert seen == [(1, "INV-000001")]


def test_a_closing_computed_from_an_older_ledger_is_refused(ledger):
    close(ledger, documents("a"))
    with pytest.raises(LedgerError, match="closing 1 was made while") as caught:
        close(ledger, documents("b"))
    assert "again" in caught.value.remedy
    assert len(all_closings(ledger)) == 1


def test_the_database_takes_no_number_but_the_next(ledger, database):
    close(ledger, documents("a"))
    row = dict(database.execute(sa.select(issued_invoices)).mappings().one())
    for number in (3, 1, 0):
        other = row | {"invoice_id": "x", "invoice_number": "x", "sequence_number": number}
        with pytest.raises(sa.exc.DBAPIError):
            database.execute(sa.insert(issued_invoices).values(**other))
        database.rollback()
    database.execute(
        sa.insert(issued_invoices).values(
            **row | {"invoice_id": "x", "invoice_number": "x", "sequence_number": 2}
        )
    )
    with pytest.raises(sa.exc.DBAPIError, match="numbered without gaps"):
        database.execute(sa.insert(closings).values(**asdict(replace_closing(ledger, 3))))


def replace_closing(ledger, number):
    return replace(all_closings(ledger)[0], closing_number=number)


def test_an_invoice_is_issued_once(ledger):
    close(ledger, documents("a"))
    with pytest.raises(LedgerError):
        close(ledger, documents("a"), known=1)
    assert len(all_closings(ledger)) == 1


# Watermark


def test_a_batch_belongs_to_the_first_closing_that_knew_it(ledger):
    assert close(ledger, documents("a"), ["one", "two"]).batch_count == 2
    assert close(ledger, documents("b"), ["one", "two", "three"], known=1).batch_count == 1
    assert known_batches(ledger, 1) == ["one", "two"]
    assert known_batches(ledger, 2) == ["one", "three", "two"]


def test_a_closing_comes_back_as_it_was_made(ledger, home):
    """By its own clock in April, by the machine's today."""
    before = datetime.now(UTC)
    made = close(ledger, documents("a"), ["one"], terms=replace(TERMS, corrections_from=Decimal("0.50")))
    assert all_closings(ledger) == [made]
    assert (made.through, made.as_of, made.invoice_count) == (date(2026, 3, 31), NOW, 1)
    assert (made.closed_at, made.closed_by, made.corrections_from) == (NOW, "ada", Decimal("0.5"))
    assert before <= made.recorded_at <= datetime.now(UTC)
    [row] = exported(home, "closings", 1)
    assert {name: row[name] for name in ("closed_by", "recorded_at", "corrections_from")} == {
        "closed_by": "ada",
        "recorded_at": made.recorded_at,
        "corrections_from": Decimal("0.5"),
    }


# Credit


@pytest.mark.parametrize("amounts", [(9900,), (9000, 900), (1,)])
def test_a_line_can_be_credited_up_to_its_amount(ledger, amounts):
    close(ledger, documents("a"))
    assert close(ledger, credits("a", *amounts), known=1).credit_note_count == 1


@pytest.mark.parametrize("amounts", [(9901,), (9000, 901), (0,), (-1,)])
def test_a_line_is_never_credited_beyond_its_amount(ledger, amounts):
    close(ledger, documents("a"))
    with pytest.raises(LedgerError):
        close(ledger, credits("a", *amounts), known=1)
    assert len(all_closings(ledger)) == 1


def test_credits_of_several_closings_count_together(ledger):
    close(ledger, documents("a"))
    close(ledger, credits("a", 9900), known=1)
    with pytest.raises(LedgerError, match="more than is left"):
        close(ledger, credits("a", 1, note_id="cn_2"), known=2)


def test_an_adjustment_names_what_it_adjusts(ledger):
    for change in ({"line_type": "adjustment"}, {"adjusts_line_id": "line_z"}):
        with pytest.raises(LedgerError):
            close(ledger, Documents([invoice("a")], [line("a", **change)]))


# What the database itself refuses


@pytest.fixture
def filled(ledger):
    close(ledger, documents("a"), ["one"])
    close(ledger, credits("a", 100), known=1)
    return ledger


@pytest.mark.parametrize("table", BOOKS, ids=str)
@pytest.mark.parametrize("change", ["update {table} set {column} = {column}", "delete from {table}"])
def test_facts_cannot_be_changed(filled, database, table, change):
    rows = database.scalar(sa.select(sa.func.count()).select_from(table))
    assert rows >= 1
    with pytest.raises(sa.exc.DBAPIError, match=f"{table} is append-only"):
        database.execute(sa.text(change.format(table=table.name, column=table.columns.keys()[1])))
    database.rollback()
    assert database.scalar(sa.select(sa.func.count()).select_from(table)) == rows


@pytest.mark.parametrize("table", BOOKS, ids=str)
def test_facts_cannot_be_replaced_or_truncated(filled, database, table):
    """Replacing by another unique column than the key would remove the row just as well."""
    if database.dialect.name != "sqlite":
        with pytest.raises(sa.exc.DBAPIError, match="is append-only"):
            database.execute(sa.text(f"truncate {table.name} cascade"))
        return
    row = dict(database.execute(sa.select(table)).mappings().first())
    keys = [column.name for column in table.primary_key]
    uniques = [
        [column.name for column in constraint.columns]
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint)
    ]
    named = {name for columns in [keys, *uniques] for name in columns} - {"closing_number"}
    for kept in [keys, *uniques]:
        others = {name: 77 if isinstance(row[name], int) else f"other {name}" for name in named - set(kept)}
        changed = row | others
        with pytest.raises(sa.exc.DBAPIError, match=r"is append-only|without gaps|more than is left"):
            database.execute(sa.insert(table).prefix_with("or replace").values(**changed))
        database.rollback()
        assert row in [dict(found) for found in database.execute(sa.select(table)).mappings()]


# Export


def test_every_closing_is_exported_in_files_of_its_own(filled, home):
    assert [row["invoice_number"] for row in exported(home, "issued_invoices", 1)] == ["INV-000001"]
    assert exported(home, "issued_invoices", 2) == []
    assert exported(home, "issued_lines", 1)[0]["amount"] == Decimal("98.999999999999")
    assert [row["amount_minor"] for row in exported(home, "credit_note_lines", 2)] == [100]
    assert exported(home, "closing_batches", 1) == [{"batch_id": "one", "closing_number": 1}]
    assert exported(home, "closings", 2)[0]["credit_note_count"] == 1


def test_a_closing_that_was_exported_is_not_written_again(filled, home):
    before = (export_folder(home) / "issued_lines/1.parquet").stat().st_ino
    close(filled, documents("b"), known=2)
    assert (export_folder(home) / "issued_lines/1.parquet").stat().st_ino == before
    assert [row["invoice_number"] for row in exported(home, "issued_invoices", 3)] == ["INV-000002"]


def test_an_export_that_was_cut_off_is_completed(filled, home):
    """A closing's own row is written last: without it the other files are not believed."""
    (export_folder(home) / "closings/2.parquet").unlink()
    (export_folder(home) / "credit_notes/2.parquet").write_bytes(b"half")
    filled.export()
    assert [row["credit_note_number"] for row in exported(home, "credit_notes", 2)] == ["CN-000001"]
    assert len(exported(home, "closings", 2)) == 1


def test_a_ledger_older_than_the_lake_is_refused(filled, home, tmp_path):
    with open_ledger(Home(tmp_path / "other"), "") as empty:
        empty.home = home
        with pytest.raises(LedgerError, match="closing 1 is in the lake") as caught:
            empty.export()
        assert "backup" in caught.value.remedy


# Migration


CLOSING_OF_0004 = {
    "through": date(2026, 3, 31),
    "as_of": NOW,
    "closed_at": NOW,
    "catalog_version": "catalog",
    "accounts_version": "accounts",
    "prices_version": "prices",
    "code_version": "code",
    "batch_count": 0,
    "invoice_count": 1,
    "credit_note_count": 0,
}


def insert(connection, *rows):
    """Rows with the columns that their tables had then."""
    kinds = {column.name: column.type for table in BOOKS for column in table.columns}
    for name, row in rows:
        table = sa.table(name, *(sa.column(column, kinds.get(column)) for column in row))
        connection.execute(sa.insert(table).values(row))


def make_ledger(home, url, revision, fill):
    """A ledger as a version left it whose newest revision was this one."""
    home.ledger.mkdir(parents=True)
    config = Config()
    config.set_main_option("script_location", "pipelines.ledger:migrations")
    writes = make_engine(find_address(home, url)).connect().execution_options(**{WRITES: True})
    with writes as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        fill(connection)


def insert_as_of_0003(connection):
    """January with a line of s-1, which February adjusts; an adjustment of January for s-2, which had no line."""
    issued = {"closing_number": 1, "issued_at": NOW}
    pins = {"billing_anchor_day": 1, "terms_hash": "as issued"}
    adjustment = {
        "line_type": "adjustment",
        "adjusts_invoice_id": "inv_a",
        "invoice_id": "inv_b",
        "terms_hash": "later",
    }
    insert(
        connection,
        ("closings", CLOSING_OF_0004 | {"closing_number": 1}),
        ("closings", CLOSING_OF_0004 | {"closing_number": 2}),
        ("issued_invoices", invoice("a") | issued | {"sequence_number": 1, "invoice_number": "INV-000001"}),
        (
            "issued_invoices",
            invoice("b")
            | issued
            | {"closing_number": 2, "sequence_number": 2, "invoice_number": "INV-000002"},
        ),
        ("issued_lines", line("a") | pins),
        ("issued_lines", line("b") | pins | adjustment | {"adjusts_line_id": "line_a"}),
        (
            "issued_lines",
            line("c")
            | pins
            | adjustment
            | {"adjusts_line_id": "line_x", "subscription_id": "s-2", "line_number": 2},
        ),
    )


def test_a_ledger_from_before_periods_were_kept_gets_them_from_its_lines(home, ledger_url):
    make_ledger(home, ledger_url, "0003", insert_as_of_0003)
    for name in ("closings", "issued_lines"):  # As the older version left the lake.
        (export_folder(home) / name).mkdir(parents=True)
        (export_folder(home) / name / "1.parquet").touch()
    with open_ledger(home, ledger_url) as ledger:
        close(ledger, documents("d"), known=2)
    pinned = {
        (row["invoice_id"], row["subscription_id"]): (row["terms_hash"], row["accounts_hash"])
        for number in (1, 2, 3)
        for row in exported(home, "issued_periods", number)
    }
    assert pinned == {
        ("inv_a", "s-1"): ("as issued", None),
        ("inv_a", "s-2"): ("later", None),
        ("inv_d", "s-1"): ("t", "a"),
    }
    assert [row["subscription_id"] for row in exported(home, "issued_periods", 2)] == ["s-2"]
    assert [row["invoice_line_id"] for row in exported(home, "issued_lines", 1)] == ["line_a"]


def test_periods_kept_before_corrections_pinned_terms_stay_and_may_be_pinned_again(home, ledger_url):
    address = find_address(home, ledger_url)
    home.ledger.mkdir(parents=True)
    config = Config()
    config.set_main_option("script_location", "pipelines.ledger:migrations")
    rows = sa.text("select * from issued_periods order by invoice_id, subscription_id, closing_number")
    writes = make_engine(address).connect().execution_options(**{WRITES: True})
    with writes as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        insert_as_of_0003(connection)
        command.upgrade(config, "0004")
        before = [dict(row) for row in connection.execute(rows).mappings()]
    with open_ledger(home, ledger_url) as ledger:
        with ledger.reading() as connection:
            assert [dict(row) for row in connection.execute(rows).mappings()] == before
        again = period("a") | {"plan_id": "starter"}
        close(ledger, replace(documents("d"), periods=[period("d"), again]), known=2)
        with ledger.reading() as connection:
            pinned = connection.execute(rows).mappings()
            assert [
                (row["subscription_id"], row["closing_number"], row["plan_id"])
                for row in pinned
                if row["invoice_id"] == "inv_a"
            ] == [("s-1", 1, "professional"), ("s-1", 3, "starter"), ("s-2", 2, "professional")]
    assert len(before) == 2
    with make_engine(address).connect().execution_options(**{WRITES: True}) as connection:
        for change in (
            "update issued_periods set plan_id = 'x'",
            "delete from issued_periods",
            f"insert {'or replace ' if connection.dialect.name == 'sqlite' else ''}into issued_periods"
            " select * from issued_periods where closing_number = 3",
        ):
            with pytest.raises(sa.exc.DBAPIError, match=r"append-only|issued_periods_pkey"):
                connection.execute(sa.text(change))
            connection.rollback()


def test_of_closings_from_before_it_was_kept_nobody_knows_who_made_them(home, ledger_url):
    """They issued every correction. The lake's files of them, without these columns, are written again."""
    two = [("closings", CLOSING_OF_0004 | {"closing_number": number}) for number in (1, 2)]
    make_ledger(home, ledger_url, "0004", lambda connection: insert(connection, *two))
    (export_folder(home) / "closings").mkdir(parents=True)
    for number, (_, row) in enumerate(two, 1):
        pq.write_table(pa.Table.from_pylist([row]), export_folder(home) / f"closings/{number}.parquet")
    with open_ledger(home, ledger_url) as ledger:
        made = close(ledger, documents("a"), known=2)
        assert [(one.closed_by, one.recorded_at, one.corrections_from) for one in all_closings(ledger)] == [
            (None, None, Decimal(0)),
            (None, None, Decimal(0)),
            ("ada", made.recorded_at, Decimal(0)),
        ]
    with make_engine(find_address(home, ledger_url)).connect() as connection:
        for change in ("closed_by = 'eve'", "corrections_from = '5'"):
            with pytest.raises(sa.exc.DBAPIError, match="closings is append-only"):
                connection.execute(sa.text(f"update closings set {change} where closing_number = 1"))
            connection.rollback()
    kept = [exported(home, "closings", number)[0] for number in (1, 2, 3)]
    assert [row["closed_by"] for row in kept] == [None, None, "ada"]
    assert [row["corrections_from"] for row in kept] == [Decimal(0)] * 3


@pytest.mark.parametrize("outdated", [(1, 2), (1,)], ids=["all", "cut off"])
def test_files_that_lack_a_column_are_written_again(filled, home, outdated):
    """Newest first: as long as the oldest lacks the column, the others are looked at."""
    folder = export_folder(home) / "closings"
    for number in outdated:
        file = folder / f"{number}.parquet"
        pq.write_table(pq.read_table(file).drop_columns(["closed_by"]), file)
    filled.export()
    assert [exported(home, "closings", number)[0]["closed_by"] for number in (1, 2)] == ["ada", "ada"]
    before = (folder / "2.parquet").stat().st_ino
    filled.export()
    assert (folder / "2.parquet").stat().st_ino == before


# What is seen before


def test_the_hash_of_documents_is_that_of_what_was_issued(ledger):
    """Of every content hash in the order of the numbers; of nothing else."""

    def hashed(*content_hashes):
        return hashlib.sha256("".join(f"{one}\n" for one in content_hashes).encode()).hexdigest()

    both = documents("a", "b")
    both.invoices[1]["content_hash"] = "2" * 64
    assert both.hash() == hashed("0" * 64, "2" * 64)
    assert Documents(list(reversed(both.invoices))).hash() == hashed("2" * 64, "0" * 64)
    close(ledger, both)
    given_back = credits("a", 100)
    with_note = replace(
        documents("c"), credit_notes=given_back.credit_notes, credit_note_lines=given_back.credit_note_lines
    )
    assert with_note.hash() == hashed("0" * 64, "1" * 64)
    assert next_numbers(ledger, with_note) == (["INV-000003"], ["CN-000001"])
    close(ledger, with_note, known=1)
    assert hash_of_closing(ledger, 1) == both.hash()
    assert hash_of_closing(ledger, 2) == with_note.hash()
    assert next_numbers(ledger, Documents()) == ([], [])
