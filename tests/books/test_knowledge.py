"""What was known when: the history of versions in use, and the batches and closings of an instant."""

from datetime import UTC, date, datetime, timedelta

import pytest

from pipelines.books.knowledge import Knowledge
from pipelines.books.recompute import recompute
from pipelines.catalog import Versions, record_use, versions_at
from pipelines.catalog.uses import recorded_uses
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.ingest import ingest_inbox
from pipelines.ledger import open_ledger
from pipelines.ledger.books import Documents, Terms, issue

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
FIRST = Versions("catalog-1", "accounts-1", "prices-1")
SECOND = Versions("catalog-2", "accounts-1", "prices-1")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home").ensure()


def test_a_version_that_returns_is_in_use_again(home):
    assert record_use(home, FIRST, MARCH)
    assert not record_use(home, FIRST, MARCH + timedelta(days=1))
    assert record_use(home, SECOND, APRIL)
    assert record_use(home, FIRST, MAY)
    assert [use.use_number for use in recorded_uses(home)] == [1, 2, 3]
    moments = (
        MARCH,
        APRIL - timedelta(microseconds=1),
        APRIL,
        MAY - timedelta(days=1),
        MAY,
        MAY + timedelta(9),
    )
    assert [versions_at(home, moment) for moment in moments] == [FIRST, FIRST, SECOND, SECOND, FIRST, FIRST]


def test_before_the_first_use_nothing_is_known(home):
    record_use(home, FIRST, MARCH)
    assert versions_at(home, MARCH - timedelta(microseconds=1)) is None
    with open_ledger(home) as ledger, pytest.raises(MeterhouseError, match="history begins at 2026-03-01"):
        Knowledge.at(home, ledger, MARCH - timedelta(days=1))


def test_a_home_that_is_older_than_the_history_says_so(home):
    with open_ledger(home) as ledger, pytest.raises(MeterhouseError, match="not recorded") as caught:
        Knowledge.at(home, ledger, MARCH)
    assert "meterhouse run" in str(caught.value)


def test_what_was_recorded_last_counts_where_the_clock_was_set_back(home):
    record_use(home, FIRST, APRIL)
    record_use(home, SECOND, MARCH)
    assert versions_at(home, MAY) == SECOND


def put_usage(home, name, at):
    event = '{{"event_id": "{0}", "customer_id": "c", "event_type": "call", "occurred_at": "2026-02-01T00:00:00Z"}}'
    (home.inbox / f"{name}.jsonl").write_text(event.format(name) + "\n")
    [batch] = ingest_inbox(home, None, at).batches
    return batch.batch_id


def close(ledger, number, at, batches):
    terms = Terms(date(2026, 2, 28), at, f"catalog-{number}", "accounts-1", "prices-1", f"code-{number}")
    return issue(ledger, terms, Documents(), batches, known_closing=number - 1, closed_at=at, closed_by="ada")


def test_knowledge_is_of_batches_versions_and_closings(home):
    early, late = put_usage(home, "early", MARCH), put_usage(home, "late", APRIL)
    record_use(home, FIRST, MARCH)
    record_use(home, SECOND, APRIL)
    with open_ledger(home) as ledger:
        close(ledger, 1, MARCH, [early])
        close(ledger, 2, APRIL, [early, late])
        then = Knowledge.at(home, ledger, APRIL - timedelta(microseconds=1))
        now = Knowledge.at(home, ledger, APRIL)
        first, second = (Knowledge.of_closing(ledger, number) for number in (1, 2))
        with pytest.raises(MeterhouseError, match="no closing 3"):
            Knowledge.of_closing(ledger, 3)
    assert (then.batches, then.catalog_version, then.closing_number) == ({early}, "catalog-1", 1)
    assert (now.batches, now.catalog_version, now.closing_number) == ({early, late}, "catalog-2", 2)
    # A closing knew the closings before it, and the batches of all up to it.
    assert (first.batches, first.closing_number, first.code_version) == ({early}, 0, "code-1")
    assert (second.batches, second.closing_number, second.as_of) == ({early, late}, 1, APRIL)


def test_what_the_lake_lacks_is_named_before_anything_is_computed(home, tmp_path):
    early = put_usage(home, "early", MARCH)
    knowledge = Knowledge(MARCH, "catalog-1", "accounts-1", "", frozenset({early, "gone"}))
    with pytest.raises(MeterhouseError) as caught:
        recompute(home, knowledge, models=["invoices"], folder=tmp_path / "aside")
    assert "catalog/catalog-1" in caught.value.what
    assert "lacks 1 of 2 batches, gone among them" in caught.value.what
    assert not (tmp_path / "aside").exists()
