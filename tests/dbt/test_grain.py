"""The check that nearly every model has: its key is unique, and what must be there is; each fault is named."""

import pytest
from rating_lake import RatingHome, connect

MODEL = "stg_accounts__subscriptions"
PLAN = {"plan_id": "basic"}
SUBSCRIPTION = {"customer_id": "c", "plan_id": "basic", "started_on": "2024-01-01"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    home = RatingHome(tmp_path_factory.mktemp("grain"))
    home.documents("catalog", {"plans": [PLAN]})
    home.documents(
        "accounts",
        {
            "customers": [{"customer_id": "c"}],
            "subscriptions": [SUBSCRIPTION | {"subscription_id": name} for name in ("s1", "s2")],
        },
    )
    home.build(select=MODEL)
    return home


@pytest.fixture(scope="module")
def check(home: RatingHome) -> str:
    """The SQL of the model's check, which holds as it is built."""
    home.build(command="test", select=f"{MODEL},test_name:unique_grain")
    [file] = (home.root / "target/compiled").rglob("*.yml/unique_grain_*.sql")
    return file.read_text()


@pytest.mark.parametrize(
    ("sql", "faults"),
    [
        ("select 1", []),
        # A column that may be null.
        (f"update {MODEL} set ended_on = null", []),
        (f"update {MODEL} set subscription_id = 's1'", ["s1: 2 rows share this key"]),
        (f"update {MODEL} set plan_id = null where subscription_id = 's2'", ["s2: without plan_id"]),
        (
            f"update {MODEL} set plan_id = null, customer_id = null where subscription_id = 's2'",
            ["s2: without customer_id plan_id"],
        ),
        (
            f"update {MODEL} set subscription_id = null",
            ["None: 2 rows share this key", *["None: without subscription_id"] * 2],
        ),
    ],
)
def test_faults_are_named(home: RatingHome, check: str, sql: str, faults: list[str]) -> None:
    with connect(str(home.warehouse_file)) as warehouse:
        warehouse.begin()
        warehouse.execute(sql)
        assert sorted(f"{key}: {fault}" for key, fault in warehouse.execute(check).fetchall()) == faults
        warehouse.rollback()


def test_a_fault_fails_the_check(home: RatingHome) -> None:
    with connect(str(home.warehouse_file)) as warehouse:
        warehouse.execute(f"update {MODEL} set plan_id = null")
    with pytest.raises(AssertionError, match=f"unique_grain_{MODEL}.*Got 2 results"):
        home.build(command="test", select=f"{MODEL},test_name:unique_grain")
