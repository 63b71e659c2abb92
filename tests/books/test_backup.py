"""Backups: whole or refused, of either engine into either, without secrets, and a home that lives on from one."""

import io
import json
import os
import shutil
import signal
import sys
import tarfile
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb
import pytest
import servers
import sqlalchemy as sa
from issued import find_invoice

import pipelines.ledger.dump  # noqa: F401  # all tables are known
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ledger import URL_VARIABLE, Alert, LedgerError, Message, open_ledger
from pipelines.ledger.books import Documents, Terms, all_closings, issue
from pipelines.ledger.schema import metadata
from pipelines.maintenance.backup import _workplace, back_up, restore

ledger_url, postgres_server = servers.ledger_url, servers.postgres_server

AS_OF = "2026-04-01T00:00:00Z"
NOW = datetime(2026, 4, 4, 6, 30, 0, 123456, tzinfo=UTC)
TERMS = Terms(date(2026, 3, 31), NOW, "catalog", "accounts", "prices", "code")
CYCLE = {"period_start": date(2026, 3, 1), "period_end": date(2026, 4, 1)}
ALERT = Alert(
    "a-1", "c", "usage_threshold", "warning", date(2026, 3, 3), 'über "80 %"\n', threshold=Decimal("0.80")
)


def invoice(name):
    head = CYCLE | {
        "invoice_id": name,
        "customer_id": "c",
        "customer_name": "Ada",
        "customer_email": None,
        "currency": "USD",
        "minor_units": 2,
        "timezone": "UTC",
        "total_minor": 1250,
        "line_count": 1,
        "content_hash": "0" * 64,
    }
    line = CYCLE | {
        "invoice_line_id": f"line-{name}",
        "invoice_id": name,
        "line_number": 1,
        "customer_id": "c",
        "subscription_id": "s",
        "plan_id": "p",
        "plan_version": date(2024, 1, 1),
        "line_type": "usage",
        "meter_id": "m",
        "description": "calls",
        "quantity": Decimal("0.000000000001"),
        "amount": Decimal("12.499999999999"),
        "amount_minor": 1250,
        "currency": "USD",
        "service_start": date(2026, 3, 1),
        "service_end": date(2026, 4, 1),
        "adjusts_line_id": None,
        "adjusts_invoice_id": None,
        "restated_quantity": None,
        "restated_amount_minor": None,
        "causes": None,
    }
    return head, line


def documents(*names):
    pairs = [invoice(name) for name in names]
    return Documents([head for head, _ in pairs], [line for _, line in pairs])


@pytest.fixture
def home(tmp_path, ledger_url, monkeypatch):
    """A home with something of everything, its ledger on the engine under test."""
    monkeypatch.setenv(URL_VARIABLE, ledger_url)
    home = Home(tmp_path / "home").ensure()
    for name, content in {
        "catalog/plans.yml": "plans: []",
        "accounts/customers.csv": "customer_id,name,email\n",
        "lake/prices/1/rows.parquet": "b1",
        "lake/events/event_date=2026-03-01/b1.parquet": "\x00\x01",
        "lake/.staging/half/x.parquet": "no",
        "inbox/big.jsonl": "no",
        "warehouse/meterhouse.duckdb": "no",
    }.items():
        path = home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    with open_ledger(home) as ledger:
        ledger.raise_alerts(
            [ALERT], NOW, "b", lambda new: [Message("k", "x", "y", "z", "w", new[0].alert_id)], ["d"]
        )
        for decision in ("dismissed", "accepted"):
            ledger.decide("rec", decision, NOW, "since\tthen")
        # Their ids are not in the order of their numbers.
        issue(ledger, TERMS, documents("z", "a"), ["b1"], known_closing=0, closed_at=NOW, closed_by="ada")
    return home


def all_rows(home):
    with open_ledger(home) as ledger, ledger.reading() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
            for table in metadata.sorted_tables
        }


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_either_engine_restores_into_either(home, target, tmp_path, monkeypatch, request):
    before = all_rows(home)
    made = back_up(home, tmp_path / "b.tar", NOW)
    assert made.rows["issued_lines"] == 2
    assert made.rows["decisions"] == 2
    url = "" if target == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    monkeypatch.setenv(URL_VARIABLE, url)
    other = Home(tmp_path / "other")
    assert restore(other, tmp_path / "b.tar") == made
    assert all_rows(other) == before
    files = {path.relative_to(other.root).as_posix() for path in other.root.rglob("*") if path.is_file()}
    assert {"catalog/plans.yml", "lake/events/event_date=2026-03-01/b1.parquet"} <= files
    assert "lake/ledger/issued_invoices/1.parquet" in files
    assert not {file for file in files if "staging" in file or file.startswith(("inbox", "warehouse"))}
    with open_ledger(other) as ledger:
        # It is a ledger to go on with: numbers follow, and facts stay facts.
        assert ledger.decide("rec", "dismissed", NOW, None)
        assert [decision.decision_number for decision in ledger.decisions()] == [1, 2, 3]
        issue(ledger, TERMS, documents("m"), ["b1"], known_closing=1, closed_at=NOW, closed_by="ada")
        assert find_invoice(ledger, "INV-000003")["invoice_id"] == "m"
        assert len(all_closings(ledger)) == 2
        with pytest.raises(LedgerError, match="append-only"), ledger.writing() as connection:
            connection.execute(sa.text("update issued_lines set amount_minor = 1"))


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A small home's backup, on SQLite."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    home = Home(tmp_path / "source").ensure()
    (home.catalog / "plans.yml").write_text("plans: []" * 1000)
    (home.lake / "x.parquet").write_bytes(b"x" * 5000)
    file = tmp_path / "b.tar"
    back_up(home, file, NOW)
    return file


def refused(file, tmp_path):
    home = Home(tmp_path / "empty")
    with pytest.raises(MeterhouseError) as caught:
        restore(home, file)
    assert not any(path.is_file() for path in home.root.rglob("*"))
    return str(caught.value)


@pytest.mark.parametrize(
    "member", ["catalog/plans.yml", "lake/x.parquet", "ledger/alerts.jsonl", "backup.json"]
)
def test_a_changed_member_is_refused(archive, member, tmp_path):
    changed = tmp_path / "changed.tar"
    with tarfile.open(archive) as source, tarfile.open(changed, "w") as target:
        for entry in source:
            content = source.extractfile(entry).read()
            if entry.name == member:
                content = content.replace(b"plans", b"plane") if b"plans" in content else content + b"\n{}"
                entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    assert "not a whole one" in (told := refused(changed, tmp_path)) or "not whole" in told


@pytest.mark.parametrize("share", [0, 0.3, 0.7])
def test_a_backup_that_was_cut_off_is_refused(archive, share, tmp_path):
    cut = tmp_path / "cut.tar"
    cut.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    refused(cut, tmp_path)


def test_a_lost_member_is_refused(archive, tmp_path):
    changed = tmp_path / "changed.tar"
    with tarfile.open(archive) as source, tarfile.open(changed, "w") as target:
        for entry in source:
            if entry.name != "lake/x.parquet":
                target.addfile(entry, source.extractfile(entry))
    assert "lake/x.parquet is not what it was" in refused(changed, tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/outside", "lake/../../outside", "inbox/x", "lake"])
def test_a_member_that_leads_elsewhere_is_refused(archive, name, tmp_path):
    with tarfile.open(archive) as source:
        members = [(entry, source.extractfile(entry).read()) for entry in source]
    changed = tmp_path / "changed.tar"
    with tarfile.open(changed, "w") as target:
        target.addfile(tarfile.TarInfo(name))
        for entry, content in members:
            target.addfile(entry, io.BytesIO(content))
    assert "does not belong into a backup" in refused(changed, tmp_path)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_file_is_refused(archive, kind, tmp_path):
    """A link to another member would be read as that member."""
    changed = tmp_path / "changed.tar"
    with tarfile.open(archive) as source, tarfile.open(changed, "w") as target:
        for entry in source:
            if entry.name == "backup.json":
                odd = tarfile.TarInfo("lake/odd")
                odd.type, odd.linkname = kind, "lake/x.parquet"
                target.addfile(odd)
            target.addfile(entry, source.extractfile(entry))
    assert "lake/odd does not belong into a backup" in refused(changed, tmp_path)


def test_another_revision_of_the_ledger_is_refused(archive, tmp_path):
    changed = tmp_path / "changed.tar"
    with tarfile.open(archive) as source, tarfile.open(changed, "w") as target:
        for entry in source:
            content = source.extractfile(entry).read()
            if entry.name == "backup.json":
                content = json.dumps(json.loads(content) | {"ledger_revision": "0000"}).encode()
                entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    assert "another version of Meterhouse" in refused(changed, tmp_path)


@pytest.mark.parametrize("place", ["lake/batches/b.parquet", "ledger/ledger.sqlite", "catalog/plans.yml"])
def test_nothing_is_restored_over_a_home(archive, place, tmp_path):
    home = Home(tmp_path / "used")
    (home.root / place).parent.mkdir(parents=True)
    (home.root / place).write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty"):
        restore(home, archive)
    assert [path.name for path in home.root.rglob("*") if path.is_file()] == [Path(place).name]


def test_nothing_is_restored_into_a_ledger_with_rows(home, archive, tmp_path, ledger_url, monkeypatch):
    if not ledger_url:
        pytest.skip("a SQLite ledger is in the home, which is refused already")
    monkeypatch.setenv(URL_VARIABLE, ledger_url)
    assert "is not empty" in refused(archive, tmp_path)
    assert len(all_rows(home)["issued_lines"]) == 2


DEADLY = ("open", "os.rename", "os.rmdir", "sqlite3.connect", "socket.connect")


def dying(work, at, of):
    """Do work in a process of its own that kills itself before its ``at``-th change; what it ended with.

    :param of: only changes that concern this folder count.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    left = at

    def watch(event, arguments):
        nonlocal left
        if event in DEADLY and str(of) in str(arguments[:2]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("folder", "step", "least"), [("", 29, 3), (".restored", 1, 5)])
def test_a_restore_that_is_killed_leaves_all_or_nothing_and_the_next_one_succeeds(
    home, tmp_path, monkeypatch, ledger_url, request, folder, step, least
):
    """kill -9 before every 29th file, rename and connection, and before every step of the last few."""
    before = all_rows(home)
    made = back_up(home, tmp_path / "b.tar", NOW)
    at, killed, code = 1, 0, -9
    while code == -9:
        url = request.getfixturevalue("postgres_server").new_database() if ledger_url else ""
        monkeypatch.setenv(URL_VARIABLE, url)
        target = Home(tmp_path / f"restored-{at}")
        code = dying(partial(restore, target, tmp_path / "b.tar"), at, target.root / folder if folder else "")
        assert code in {0, -9}
        killed += code == -9
        is_home = (target.catalog / "plans.yml").exists()
        if not is_home:
            if not (target.root / ".restored").exists():
                places = (target.catalog, target.accounts, target.lake, target.ledger)
                assert not [path for place in places for path in place.rglob("*") if path.is_file()]
            assert restore(target, tmp_path / "b.tar") == made
        assert all_rows(target) == before
        assert (target.catalog / "plans.yml").read_text() == "plans: []"
        at += step
    assert killed >= least


def test_a_restore_that_was_decided_is_finished_by_its_own_backup_only(home, archive, tmp_path, monkeypatch):
    monkeypatch.setenv(URL_VARIABLE, "")
    target = Home(tmp_path / "cut")
    restore(target, archive)
    decided = target.root / ".restored"
    decided.mkdir()
    shutil.move(target.catalog, decided / "catalog")
    with tarfile.open(archive) as members:
        made = json.load(members.extractfile("backup.json"))
    (decided / "backup.json").write_text(json.dumps(made | {"made_at": "2026-01-01T00:00:00+00:00"}))
    with pytest.raises(ConfigurationError, match="made at 2026-01-01"):
        restore(target, archive)
    assert (decided / "catalog" / "plans.yml").exists()
    with tarfile.open(archive) as members:
        (decided / "backup.json").write_bytes(members.extractfile("backup.json").read())
    restore(target, archive)
    assert (target.catalog / "plans.yml").exists()
    assert not decided.exists()


def test_no_backup_replaces_another(archive):
    before = archive.read_bytes()
    with pytest.raises(ConfigurationError, match="exists"):
        back_up(Home(archive.parent / "source"), archive, NOW)
    assert archive.read_bytes() == before


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_a_backup_and_what_is_restored_are_their_owners_whatever_the_umask(tmp_path, monkeypatch, umask):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    before = os.umask(umask)
    try:
        home = Home(tmp_path / "source")
        os.umask(umask & 0o077)
        home.ensure()
        (home.catalog / "plans.yml").write_text("plans: []")
        (home.lake / "x.parquet").write_bytes(b"x")
        back_up(home, tmp_path / "b.tar", NOW)
        other = Home(tmp_path / "other")
        restore(other, tmp_path / "b.tar")
    finally:
        os.umask(before)
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    for folder in (other.lake, other.ledger, home.lake, home.ledger):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (other.catalog / "plans.yml").stat().st_mode & 0o777 == 0o666 & ~(umask & 0o077)


def test_what_killed_backups_left_is_removed_and_what_others_make_is_not(archive, tmp_path):
    """kill -9 before every file that a backup opens or renames; the next one leaves nothing but itself."""
    home, folder = Home(archive.parent / "source"), tmp_path / "backups"
    folder.mkdir()
    killed, code = 0, -9
    while code == -9:
        code = dying(lambda: back_up(home, folder / "new.tar", NOW), killed + 1, folder)
        killed += code == -9
        (folder / "new.tar").unlink(missing_ok=True)
    assert code == 0
    assert killed >= 5
    assert list(folder.iterdir()) == []
    with _workplace(folder) as others:
        back_up(home, folder / "new.tar", NOW)
        assert others.is_dir()
    assert [path.name for path in folder.iterdir()] == ["new.tar"]


def test_links_out_of_the_lake_are_left_out_and_told_and_the_rest_is_backed_up(tmp_path, monkeypatch):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    home = Home(tmp_path / "source").ensure()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (home.lake / "real").write_text("real")
    (home.lake / "inside").symlink_to(home.lake / "real")
    (home.lake / "file").symlink_to(tmp_path / "outside" / "secret")
    (home.lake / "folder").symlink_to(tmp_path / "outside")
    (home.lake / "gone").symlink_to(tmp_path / "nowhere")
    (home.accounts / "customers.csv").symlink_to(tmp_path / "outside" / "secret")
    made = back_up(home, tmp_path / "b.tar", NOW)
    assert [link.name for link in made.refused] == ["lake/file", "lake/folder", "lake/gone"]
    with tarfile.open(tmp_path / "b.tar") as members:
        names = [name for name in members.getnames() if name.startswith(("lake/", "accounts/"))]
        assert names == ["accounts/customers.csv", "lake/inside", "lake/real"]
        assert all(member.isreg() for member in members)


def test_secrets_are_not_in_it(home, tmp_path, monkeypatch):
    secrets = {"STRIPE_API_KEY": "sk_test_51secret", "STRIPE_WEBHOOK_SECRET": "whsec_secret"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    back_up(home, tmp_path / "b.tar", NOW)
    content = (tmp_path / "b.tar").read_bytes()
    for secret in (*secrets.values(), servers.POSTGRES_PASSWORD):
        assert secret.encode() not in content


def published(home):
    with duckdb.connect(str(home / "serving/meterhouse.duckdb"), read_only=True) as tables:
        names = [row[0] for row in tables.execute("show tables").fetchall()]
        return {
            name: tables.execute(f'from "{name}" order by all').fetchall()
            for name in names
            if name != "meterhouse_publication"
        }


@pytest.mark.slow
@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_restored_home_gives_the_same_marts(cli, finished_home, target, tmp_path, monkeypatch, request):
    """The drill: books are closed, the machine is lost, and a backup is put on an empty one."""
    closed = cli("close", "2026-02", "--home", finished_home, "--as-of", AS_OF)
    assert closed.returncode == 0, closed.stderr
    backed_up = cli("backup", tmp_path / "b.tar", "--home", finished_home, "--as-of", AS_OF)
    assert backed_up.returncode == 0, backed_up.stderr
    before = published(finished_home)
    assert before["invoices"]
    shutil.rmtree(finished_home)
    url = "" if target == "sqlite" else request.getfixturevalue("postgres_server").new_database()
    elsewhere = tmp_path / "elsewhere"
    for command in (["restore", tmp_path / "b.tar"], ["run", "--full"]):
        done = cli(*command, "--home", elsewhere, "--as-of", AS_OF, settings={URL_VARIABLE: url})
        assert done.returncode == 0, done.stderr
    assert published(elsewhere) == before
