"""Publishing, issuing, backing up and restoring: whole or as before, whichever file operation fails.

Guards against a published file without rows, documents issued twice or in part, a backup that passes for whole, and a
restore that leaves half a home.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from test_backup import all_rows
from test_ingest_faults import fill
from test_publish import fill as fill_warehouse

from faults import injection
from faults.injection import KINDS, Faulty, numbers
from pipelines.home import Home
from pipelines.lake.proof import find_damages
from pipelines.ledger import open_ledger
from pipelines.ledger.books import all_closings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

tried = injection.tried
DOES = "keeping"

# Of so many operations one is tried in a run of the suite.
STEP = 31


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A home with a lake, a warehouse and a ledger without documents."""
    from ingest_homes import ingest

    home = fill(Home(tmp_path_factory.mktemp("start") / "home"))
    ingest(home)
    fill_warehouse(home, 3)
    (home.catalog / "plans.yml").write_text("plans: []")
    with open_ledger(home, ""):
        pass
    return home.root


def try_all(
    tried: Faulty, kind: str, start: Path, check: Callable[..., None], tmp_path: Path, **order: object
) -> dict[str, int]:
    """Every operation in turn fails; what is there after that passes the check, and so it does after a repetition."""
    folder = tmp_path / "tried"
    order |= {"home": str(folder / "home")}
    place = folder / "home"

    def begin() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if start.exists():
            shutil.copytree(start, place)

    begin()
    first = tried.do(folder, **order)
    assert first.error is None
    assert first.count > 10
    figures = {"operations": first.count, "tried": 0, "stopped": 0}
    for at in numbers(first.count, STEP, list(KINDS).index(kind) * 7):
        begin()
        outcome = tried.do(folder, at, kind, **order)
        assert "died" not in (outcome.error or ""), f"operation {at}: {outcome}"
        figures["tried"] += 1
        figures["stopped"] += outcome.error is not None
        try:
            check(is_done=outcome.error is None, is_repeated=False)
            again = tried.do(folder, **order)
            may_exist = order["what"] == "backup" or order["what"] == "restore"
            assert again.error is None or (may_exist and "ConfigurationError" in again.error), again
            check(is_done=True, is_repeated=True)
        except AssertionError as error:
            raise AssertionError(f"operation {at}: {outcome}") from error
    print(order["what"], kind, figures)
    return figures


@pytest.mark.parametrize("kind", KINDS)
def test_published_is_the_old_file_or_the_new(kind, tried, start, tmp_path):
    begun = Path(shutil.copytree(start, tmp_path / "begun"))
    assert tried.do(begun, home=str(begun), what="publish").error is None
    fill_warehouse(Home(begun), 5)

    def check(*, is_done: bool, is_repeated: bool) -> None:
        home = Home(tmp_path / "tried/home")
        assert not list(home.serving.glob("*.wal"))
        with duckdb.connect(str(home.published_file), read_only=True) as published:
            [(rows,)] = published.execute("select count(*) from invoices").fetchall()
            [(publications,)] = published.execute("select count(*) from meterhouse_publication").fetchall()
        assert (rows, publications) in {(5, 1)} if is_done else {(3, 1), (5, 1)}

    try_all(tried, kind, begun, check, tmp_path, what="publish")


@pytest.mark.parametrize("kind", KINDS)
def test_documents_are_issued_whole_and_once(kind, tried, start, tmp_path):
    def check(*, is_done: bool, is_repeated: bool) -> None:
        home = Home(tmp_path / "tried/home")
        with open_ledger(home, "") as ledger:
            count = len(all_closings(ledger))
            rows = all_rows(home)
        assert count in ({1} if is_done else {0, 1})
        assert len(rows["issued_lines"]) == len(rows["issued_invoices"]) == 2 * count
        # An invoice and its line each wait to be sent.
        assert len(rows["stripe_outbox"]) == 4 * count

    try_all(tried, kind, start, check, tmp_path, what="issue", documents=["z", "a"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_is_whole_or_not_there_and_so_is_what_it_restores(kind, tried, start, tmp_path):
    kept = tmp_path / "kept.tar"
    file = tmp_path / "tried/b.tar"
    wanted = all_rows(Home(start))

    def backup_is_whole(*, is_done: bool, is_repeated: bool) -> None:
        assert file.exists() or not is_done
        if file.exists():
            other = Home(tmp_path / "other")
            assert tried.do(other.root, home=str(other.root), what="restore", file=str(file)).error is None
            assert all_rows(other) == wanted
            shutil.rmtree(other.root)
        if is_repeated:
            # What could not be removed, the next backup removes.
            home = tmp_path / "tried/home"
            next_one = file.with_name("c.tar")
            assert tried.do(home, home=str(home), what="backup", file=str(next_one)).error is None
            assert {path.name for path in file.parent.iterdir()} == {"home", "b.tar", "c.tar"}

    try_all(tried, kind, start, backup_is_whole, tmp_path, what="backup", file=str(file))
    assert tried.do(start, home=str(start), what="backup", file=str(kept)).error is None

    def home_is_whole(*, is_done: bool, is_repeated: bool) -> None:
        home = Home(tmp_path / "tried/home")
        # The catalog comes last: without one, no command takes the folder for a home.
        if is_done or (home.catalog / "plans.yml").exists():
            assert all_rows(home) == wanted
            assert not find_damages(home)
            assert (home.catalog / "plans.yml").read_text() == "plans: []"
        if is_repeated:
            assert not {".restoring", ".restored"} & {path.name for path in home.root.iterdir()}

    try_all(tried, kind, tmp_path / "nothing", home_is_whole, tmp_path, what="restore", file=str(kept))
