"""What a person sees of recommendations, and how one is dismissed: at once in the ledger, in the marts with the next run."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipelines.cli.show.recommendations import dismiss_recommendation, show_recommendations
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ledger import open_ledger
from pipelines.settings import Settings

NOW = datetime(2026, 9, 6, 7, 30, tzinfo=UTC)
LATER = datetime(2026, 9, 7, 7, 30, tzinfo=UTC)
COLUMNS = """recommendation_id varchar, customer_id varchar, subscription_id varchar, meter_id varchar, type varchar,
    rule varchar, priority varchar, title varchar, description varchar, impact varchar, implementation varchar,
    evidence varchar, currency varchar, status varchar, potential_savings decimal(38, 12), decided_at timestamptz,
    as_of timestamptz"""
SWITCH = (
    "rec_0123456789abcdef01234567", "tundra", None, None, "MODEL_SWITCH", "cheaper_model", "MEDIUM",
    "Use small in place of large", "2 requests to large [beta] cost 1.20 USD.", "Saves 0.70 USD.", "Send work to small.",
    '{"rows":[],"figures":{"cost_usd":"1.2"}}', "USD", "open", "0.70", None, NOW,
)  # fmt: skip
UPGRADE = (
    "rec_b", "kestrel", "sub_kestrel", "units", "PLAN_UPGRADE", "allowance_nearly_used", "HIGH", "Upgrade from basic to pro",
    "units: 95 % used.", "Costs 90.00 USD more.", "End it.", '{"rows":[],"figures":{}}', "USD", "open", "0", None, NOW,
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("COLUMNS", "80")
    made = Home(tmp_path / "home").ensure()
    publish(made, SWITCH, UPGRADE)
    return made


def publish(home: Home, *rows: tuple[object, ...]) -> None:
    home.serving.mkdir(exist_ok=True)
    home.published_file.unlink(missing_ok=True)
    with duckdb.connect(str(home.published_file)) as connection:
        connection.execute(f"create table recommendations ({COLUMNS})")
        connection.execute("create table customers (customer_id varchar)")
        connection.executemany("insert into customers values (?)", [["quiet"], *([row[1]] for row in rows)])
        if rows:
            marks = ", ".join(["?"] * len(rows[0]))
            connection.executemany(f"insert into recommendations values ({marks})", rows)


def shown(home: Home, output_format: str = "table", customer: str | None = None, **options: bool) -> str:
    output = io.StringIO()
    show_recommendations(Settings(home, NOW), output, output_format, customer, **options)
    return output.getvalue()


def test_the_most_urgent_comes_first_in_its_own_words(home: Home) -> None:
    text = shown(home)
    assert text.index("Upgrade from basic") < text.index("Use small")
    assert "large [beta] cost" in text
    assert "rec_0123456789abcdef01234567" in text, "an id stays in one piece on a narrow terminal"
    assert "2 recommendations, 2 open." in text


def test_one_customer_only(home: Home) -> None:
    assert "1 recommendation, 1 open." in shown(home, customer="kestrel")


def test_a_customer_without_any_is_told_from_one_that_nobody_knows(home: Home) -> None:
    assert shown(home, customer="quiet").strip() == "No recommendations."
    with pytest.raises(
        ConfigurationError, match=r"no customer has the id 'kestrl'[\s\S]*did you mean kestrel\?"
    ):
        shown(home, customer="kestrl")


def test_without_any_it_says_so(home: Home) -> None:
    publish(home)
    assert shown(home).strip() == "No recommendations."
    assert json.loads(shown(home, "json")) == []
    assert len(shown(home, "csv").splitlines()) == 1


def test_json_is_exact_and_complete(home: Home) -> None:
    assert json.loads(shown(home, "json", "tundra")) == [
        {
            "recommendation_id": "rec_0123456789abcdef01234567",
            "customer_id": "tundra",
            "subscription_id": None,
            "meter_id": None,
            "type": "MODEL_SWITCH",
            "rule": "cheaper_model",
            "priority": "MEDIUM",
            "title": "Use small in place of large",
            "description": "2 requests to large [beta] cost 1.20 USD.",
            "impact": "Saves 0.70 USD.",
            "implementation": "Send work to small.",
            "evidence": {"rows": [], "figures": {"cost_usd": "1.2"}},
            "potential_savings": "0.7",
            "currency": "USD",
            "status": "open",
            "decided_at": None,
            "as_of": "2026-09-06T07:30:00+00:00",
        }
    ]


def test_csv_has_the_same_columns(home: Home) -> None:
    rows = list(csv.DictReader(io.StringIO(shown(home, "csv"))))
    assert list(rows[0]) == list(json.loads(shown(home, "json"))[0])
    assert [row["customer_id"] for row in rows] == ["kestrel", "tundra"]


def test_dismissed_is_gone_at_once_and_stays_so(home: Home) -> None:
    assert dismiss_recommendation(Settings(home, NOW), "rec_b", "not this year") == (
        "Dismissed: Upgrade from basic to pro (kestrel)."
    )
    assert "before" in dismiss_recommendation(Settings(home, LATER), "rec_b")
    with open_ledger(home) as ledger:
        [decision] = ledger.decisions()
    assert (decision.recommendation_id, decision.note, decision.decided_at) == ("rec_b", "not this year", NOW)
    assert "1 recommendation, 1 open." in shown(home)
    everything = json.loads(shown(home, "json", is_open_only=False))
    assert [(row["recommendation_id"], row["status"]) for row in everything] == [
        ("rec_b", "dismissed"),
        ("rec_0123456789abcdef01234567", "open"),
    ]
    assert everything[0]["decided_at"] == NOW.isoformat()


def test_an_unknown_id_changes_nothing_and_says_what_to_do(home: Home) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no recommendation has the id rec_x[\s\S]*meterhouse recommendations"
    ):
        dismiss_recommendation(Settings(home, NOW), "rec_x")
    with open_ledger(home) as ledger:
        assert not ledger.decisions()


def test_before_the_first_run_it_says_to_run(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()
    for act in (lambda: shown(home), lambda: dismiss_recommendation(Settings(home, NOW), "rec_b")):
        with pytest.raises(MeterhouseError, match=r"nothing has been published yet[\s\S]*meterhouse run"):
            act()


def test_another_format_is_a_wrong_argument(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="--format"):
        shown(home, "xml")
