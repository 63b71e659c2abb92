"""Files read again with today's mapping: what the former reading gave is taken out, differs, or stays."""

import polars as pl
import pytest
from ingest_homes import AS_OF, event, events, ingest, lines, listed, put, reasons

from models.events import SourcesDocument
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ingest import pending_files, reread_files
from pipelines.ingest.readings import mapping_hash
from pipelines.lake.commits import read_lake
from pipelines.lake.proof import find_damages, strangers

UNITS = [{"name": "s", "files": "a.jsonl", "fields": {"quantity": "units"}}]


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home").ensure()


def reread(home: Home, *paths: str, sources: list[dict[str, object]] | None = None):
    document = SourcesDocument.model_validate({"sources": sources or []})
    return reread_files(home, paths, document, AS_OF)


def quantities(home: Home) -> dict[str, str]:
    return {str(row["event_id"]): f"{row['quantity'].normalize():f}" for row in events(home)}


def counts(result):
    return result.rows_read, result.accepted_count, result.duplicate_count, result.rejected_count


def test_what_differs_replaces_and_what_is_said_no_more_is_taken_out(home):
    put(home, "a.jsonl", lines(event("e1", quantity="4", units="40"), event("e2", quantity="6", units="-1")))
    ingest(home)
    [first] = read_lake(home).batches
    [result] = reread(home, "a.jsonl", sources=UNITS)
    assert counts(result) == (2, 1, 0, 1)
    assert (result.batch_id, result.replaces, result.taken_out_count) == (f"{first}-2", first, 1)
    assert quantities(home) == {"e1": "40"}
    assert reasons(home) == ["negative_quantity"]
    assert not find_damages(home)
    assert ingest(home, UNITS).batches == ()


def test_reading_again_with_the_same_mapping_changes_nothing(home):
    put(home, "a.jsonl", lines(event("e1"), event("e1"), event("e2", quantity="-1")))
    ingest(home)
    before = events(home)
    [result] = reread(home, "a.jsonl")
    assert (counts(result), result.taken_out_count) == ((3, 1, 1, 1), 0)
    assert [row | {"batch_id": None} for row in events(home)] == [row | {"batch_id": None} for row in before]


def test_what_another_delivery_also_says_stays(home):
    shared = event("e2", quantity="6", units="-1")
    put(home, "a.jsonl", lines(event("e1", quantity="4", units="40"), shared))
    put(home, "b.jsonl", lines(event("f1"), shared, "broken", shared))
    put(home, "c.jsonl", lines(shared))
    ingest(home)
    [result] = reread(home, "a.jsonl", sources=UNITS)
    assert result.taken_out_count == 1
    assert quantities(home) == {"e1": "40", "e2": "6", "f1": "1"}
    by_file = {str(row["source_file"]): row for row in read_lake(home).live.values()}
    assert by_file["b.jsonl"]["accepted_count"] == 2
    assert by_file["b.jsonl"]["duplicate_count"] == by_file["c.jsonl"]["duplicate_count"] == 1
    [heir] = [row for row in events(home) if row["event_id"] == "e2"]
    assert (heir["source_file"], heir["source_row"]) == ("b.jsonl", 2)
    # Its own rejects stay with it.
    assert sorted(reasons(home)) == ["malformed_record", "negative_quantity"]
    assert len(listed(home)) == 2
    assert not find_damages(home)
    assert strangers(home) == []


def test_a_new_reading_that_says_the_same_keeps_what_others_say_again(home):
    put(home, "a.jsonl", lines(event("e1"), event("e2")))
    put(home, "b.jsonl", lines(event("e2")))
    ingest(home)
    [result] = reread(home, "a.jsonl")
    assert counts(result) == (2, 2, 0, 0)
    assert len(read_lake(home).live) == 2
    assert [row["source_file"] for row in events(home)] == ["a.jsonl", "a.jsonl"]


def test_where_another_delivery_holds_the_record_a_different_one_conflicts(home):
    put(home, "a.jsonl", lines(event("e1", quantity="4", units="40")))
    put(home, "b.jsonl", lines(event("e1", quantity="4", units="40"), event("f1")))
    ingest(home)
    [result] = reread(home, "a.jsonl", sources=UNITS)
    assert counts(result) == (1, 0, 0, 1)
    assert reasons(home) == ["conflicting_duplicate"]
    assert quantities(home) == {"e1": "4", "f1": "1"}


def test_what_was_refused_as_conflicting_stays_refused_and_is_told(home):
    put(home, "a.jsonl", lines(event("e1", quantity="4", units="-1")))
    put(home, "b.jsonl", lines(event("e1", quantity="5"), event("f")))
    ingest(home)
    [result] = reread(home, "a.jsonl", sources=UNITS)
    assert result.freed == (("b.jsonl", 1),)
    assert quantities(home) == {"f": "1"}
    [freed] = reread(home, "b.jsonl")
    assert counts(freed) == (2, 2, 0, 0)
    assert quantities(home) == {"e1": "5", "f": "1"}


def test_readings_follow_one_another(home):
    put(home, "a.jsonl", lines(event("e1", quantity="1", units="10", other="100")))
    ingest(home)
    other = [{"name": "s", "files": "a.jsonl", "fields": {"quantity": "other"}}]
    for sources, quantity in ((UNITS, "10"), (other, "100"), (None, "1"), (UNITS, "10")):
        reread(home, "a.jsonl", sources=sources)
        assert quantities(home) == {"e1": quantity}
    assert [batch_id.partition("-")[2] for batch_id in read_lake(home).batches] == ["", "2", "3", "4", "5"]


def test_content_that_returns_under_a_name_is_known(home):
    for content in (event("e1"), event("e2"), event("e1")):
        put(home, "a.jsonl", lines(content))
        ingest(home)
    assert quantities(home) == {"e1": "1", "e2": "1"}
    assert len(read_lake(home).batches) == 2


def test_a_mended_mapping_reads_what_gave_nothing(home):
    put(home, "a.jsonl", lines(event("e1", occurred_at=..., at="2025-05-01T10:00:00")))
    ingest(home)
    assert reasons(home) == ["missing_occurred_at"]
    wrong = [{"name": "s", "files": "a*", "fields": {"occurred_at": "at"}}]
    right = [{**wrong[0], "timezone": "UTC"}]
    assert len(ingest(home, wrong).batches) == 1
    # The same mapping under another name does not read it again; one that may help does.
    assert ingest(home, [{**wrong[0], "name": "t", "files": "*"}]).batches == ()
    assert [
        file.name for file in pending_files(home, SourcesDocument.model_validate({"sources": right}))
    ] == ["a.jsonl"]
    assert counts(ingest(home, right).batches[0]) == (1, 1, 0, 0)
    assert reasons(home) == []
    assert ingest(home, wrong).batches == ()


def test_a_file_that_gave_something_is_not_read_again_by_itself(home):
    put(home, "a.jsonl", lines(event("e1", units="3")))
    ingest(home)
    assert ingest(home, UNITS).batches == ()


def test_one_content_of_two_mappings_is_two_deliveries(home):
    sources = [
        {"name": tenant, "files": f"{tenant}/*", "event_id": "id", "constants": {"resource": tenant}}
        for tenant in ("x", "y")
    ]
    for tenant in ("x", "y"):
        put(home, f"{tenant}/u.jsonl", lines(event(..., id="e1")))
    report = ingest(home, sources)
    assert [counts(batch) for batch in report.batches] == [(1, 1, 0, 0), (1, 0, 0, 1)]
    assert reasons(home) == ["conflicting_duplicate"]
    assert ingest(home, sources).batches == ()


def test_a_grown_file_with_ids_from_rows_takes_the_place_of_what_its_path_gave(home):
    sources = [{"name": "s", "files": "g.csv", "event_id": "from_row"}]
    header = "customer_id,occurred_at,event_type,quantity\n"
    rows = [f"acme,2025-05-{day}T09:48:00Z,grown,{quantity}\n" for day, quantity in ((10, 5), (11, 7))]
    put(home, "g.csv", header + rows[0])
    ingest(home, sources)
    put(home, "g.csv", header + "".join(rows))
    [result] = reread(home, "g.csv", sources=sources)
    assert counts(result) == (2, 2, 0, 0)
    assert sorted(quantities(home).values()) == ["5", "7"]
    assert ingest(home, sources).batches == ()


def test_where_ids_are_made_from_rows_a_copy_is_duplicates(home):
    sources = [{"name": "s", "files": "*.csv", "event_id": "from_row"}]
    content = "customer_id,occurred_at,event_type\nacme,2025-05-10T09:48:00Z,use\n"
    put(home, "a.csv", content)
    ingest(home, sources)
    put(home, "b.csv", content)
    [copy] = ingest(home, sources).batches
    assert counts(copy) == (1, 0, 1, 0)
    assert ingest(home, sources).batches == ()


def test_a_file_that_cannot_be_read_again_keeps_what_it_gave(home):
    path = put(home, "a.csv", "event_id,customer_id,event_type,occurred_at\ne1,c,t,2025-05-01T10:00:00Z\n")
    ingest(home)
    with pytest.raises(ConfigurationError, match="no usage file"):
        reread(home, "a.jsonl")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"event_type", b"event_id"))
    [unreadable] = reread(home, "a.csv")
    assert unreadable.status == "unreadable"
    assert quantities(home) == {"e1": "1"}


def test_duplicates_of_before_are_looked_up_in_the_inbox(home):
    """Of files read by a version before, it is not kept which records they said again."""
    shared = event("e2", quantity="6", units="-1")
    put(home, "a.jsonl", lines(event("e1", quantity="4", units="40"), shared))
    other = put(home, "b.jsonl", lines(event("f1"), shared))
    ingest(home)
    lake = read_lake(home)
    [index] = [file for file in lake.files.values() if file.kind == "duplicates"]
    commit = home.lake / "commits/2.parquet"
    frame = pl.read_parquet(commit)
    files = [file for file in frame["files"].to_list()[0] if file["path"] != index.path]
    frame.with_columns(files=pl.Series([files], dtype=frame.schema["files"])).write_parquet(commit)
    content = other.read_bytes()
    other.unlink()
    with pytest.raises(MeterhouseError, match=r"b\.jsonl"):
        reread(home, "a.jsonl", sources=UNITS)
    assert quantities(home) == {"e1": "4", "e2": "6", "f1": "1"}
    put(home, "moved/b.jsonl", content)
    reread(home, "a.jsonl", sources=UNITS)
    assert quantities(home) == {"e1": "40", "e2": "6", "f1": "1"}


def test_folders_and_paths_below_the_inbox_name_files(home):
    for name in ("in/a.jsonl", "in/b.jsonl", "inn.jsonl"):
        put(home, name, lines(event(name)))
    ingest(home)
    assert [result.source_file for result in reread(home, "in")] == ["in/a.jsonl", "in/b.jsonl"]
    assert [result.source_file for result in reread(home, "inbox/inn.jsonl")] == ["inn.jsonl"]
    with pytest.raises(ConfigurationError, match="no usage file gone"):
        reread(home, "gone", "in")


def test_a_mapping_is_known_by_what_it_does():
    def digest(**keys: object) -> str:
        [source] = SourcesDocument.model_validate({"sources": [{"name": "n", "files": "f", **keys}]}).sources
        return mapping_hash(source)

    assert digest() == mapping_hash(None)
    assert digest(timezone="UTC") != digest()
    assert digest(units={"quantity": {"field": "u", "factor": "1.0"}}) != digest(
        units={"quantity": {"field": "v", "factor": "1.0"}}
    )
