"""Publishing: readers never notice, old clients can open the file, and what fails leaves it as it was."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.serving.publish import Publication, PublishedTable, publish

OLD_CLIENT = "1.3.2"
PUBLICATION = Publication(
    published_at=datetime(2026, 4, 1, 12, tzinfo=UTC),
    as_of=datetime(2026, 4, 1, tzinfo=UTC),
    catalog_version="c" * 32,
    accounts_version="a" * 32,
    code_version="d" * 32,
    build_id="b" * 32,
)
TABLES = [
    PublishedTable("invoices", "One row per invoice.", {"total_minor": "What's due.", "gone": "Not there."})
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home").ensure()
    fill(home, 1)
    return home


def fill(home: Home, invoices: int) -> None:
    """A warehouse with a table and, as dbt makes them, a view that names its database."""
    home.warehouse_file.unlink(missing_ok=True)
    with duckdb.connect(str(home.warehouse_file)) as warehouse:
        warehouse.execute(
            f"create table kept as select range::varchar as invoice_id, 4250::bigint as total_minor,"
            f" 42.5::decimal(38, 12) as amount, date '2026-03-01' as period_start from range({invoices})"
        )
        warehouse.execute("create view invoices as from meterhouse.main.kept")


def count(connection: duckdb.DuckDBPyConnection) -> int:
    return connection.execute("select count(*) from invoices").fetchone()[0]


def test_tables_views_comments_and_what_they_were_made_from(home):
    published = publish(home, TABLES, PUBLICATION)
    assert published.row_counts == {"invoices": 1}
    with duckdb.connect(str(published.file), read_only=True) as reader:
        assert reader.execute("from invoices").fetchall()[0][1] == 4250
        comments = reader.execute(
            "select column_name, comment from duckdb_columns() where comment is not null"
        )
        assert comments.fetchall() == [("total_minor", "What's due.")]
        row = reader.execute("select as_of::varchar, catalog_version, build_id from meterhouse_publication")
        assert row.fetchall() == [("2026-04-01 00:00:00+00", "c" * 32, "b" * 32)]


def test_a_column_that_only_the_warehouse_describes_keeps_its_comment(home):
    with duckdb.connect(str(home.warehouse_file)) as warehouse:
        warehouse.execute("comment on column invoices.amount is 'By the catalog''s word.'")
        warehouse.execute("comment on column invoices.total_minor is 'Not this one.'")
        warehouse.execute("comment on column kept.invoice_id is 'Of another table.'")
    published = publish(home, TABLES, PUBLICATION)
    with duckdb.connect(str(published.file), read_only=True) as reader:
        comments = reader.execute(
            "select column_name, comment from duckdb_columns() where comment is not null"
        )
        assert dict(comments.fetchall()) == {
            "total_minor": "What's due.",
            "amount": "By the catalog's word.",
        }


def test_a_reader_reads_on_while_a_new_file_is_published(home):
    publish(home, TABLES, PUBLICATION)
    with duckdb.connect(str(home.published_file), read_only=True) as reader:
        assert count(reader) == 1
        fill(home, 5)
        publish(home, TABLES, PUBLICATION)
        assert count(reader) == 1
    with duckdb.connect(str(home.published_file), read_only=True) as reader:
        assert count(reader) == 5


def test_a_copy_that_fails_leaves_the_published_file(home):
    publish(home, TABLES, PUBLICATION)
    before = home.published_file.read_bytes()
    with pytest.raises(MeterhouseError, match="missing_mart"):
        publish(home, [*TABLES, PublishedTable("missing_mart")], PUBLICATION)
    assert home.published_file.read_bytes() == before
    assert [file.name for file in home.serving.iterdir()] == ["meterhouse.duckdb"]


def test_what_a_killed_publish_left_goes(home):
    (home.serving / ".meterhouse-0.duckdb").write_bytes(b"half")
    publish(home, TABLES, PUBLICATION)
    assert [file.name for file in home.serving.iterdir()] == ["meterhouse.duckdb"]


@pytest.fixture(scope="session")
def old_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with an older DuckDB, in an environment of its own."""
    folder = tmp_path_factory.mktemp("old-client")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"duckdb=={OLD_CLIENT}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(
            f"duckdb {OLD_CLIENT} cannot be installed here: {installed.stderr.strip().splitlines()[-1]}"
        )
    return python


def test_an_older_client_opens_the_published_file(home, old_client):
    publish(home, TABLES, PUBLICATION)
    code = (
        "import duckdb, sys; print(duckdb.__version__);"
        "print(duckdb.connect(sys.argv[1], read_only=True).execute('select amount from invoices').fetchall())"
    )
    read = subprocess.run(
        [old_client, "-c", code, home.published_file], capture_output=True, text=True, check=True
    )
    assert read.stdout.splitlines() == [OLD_CLIENT, "[(Decimal('42.500000000000'),)]"]
