"""The events behind a line: their contributions are its usage, and nothing of a line is unexplained."""

from decimal import Decimal
from typing import Any

import pytest
from rating_lake import RatingHome
from test_rating_cases import CASES, write
from test_rating_reference import World

SELECT = "+line_proofs +monthly_usage"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> RatingHome:
    home = RatingHome(tmp_path_factory.mktemp("cases"), as_of="2025-01-01T12:00:00+00:00")
    home.batch(write(home))
    home.build(select=SELECT)
    return home


def unexplained(home: RatingHome) -> list[dict[str, Any]]:
    """Lines that their events do not add up to, in quantity or in the usage of the mart."""
    return home.query("""
        select proofs.invoice_line_id, proofs.rule, usage.quantity
        from line_proofs as proofs
        left join monthly_usage as usage
            on
                proofs.subscription_id = usage.subscription_id
                and proofs.meter_id = usage.meter_id
                and proofs.period_start = usage.period_start
        where
            proofs.unexplained_quantity is distinct from 0
            or (proofs.line_type = 'usage' and proofs.usage_quantity is distinct from usage.quantity)
    """)


def of_case(home: RatingHome, name: str, query: str) -> list[dict[str, Any]]:
    [number] = [number for number, case in enumerate(CASES) if case.name == name]
    return home.query(query.format(customer=f"case-{number:02d}"))


EVENTS = """
    select events.* from line_events as events
    inner join line_proofs as proofs on events.invoice_line_id = proofs.invoice_line_id
    where proofs.customer_id = '{customer}'
    order by events.invoice_line_id, events.window_start, events.occurred_at, events.event_id
"""


def test_every_case_of_rating_is_explained(cases: RatingHome) -> None:
    [counted] = cases.query("select count(*) as lines, count(distinct line_type) as types from line_proofs")
    assert counted == {"lines": sum(len(case.lines) for case in CASES), "types": 3}
    assert unexplained(cases) == []


def test_a_carried_level_decides_every_window_until_the_next_reading(cases: RatingHome) -> None:
    """2 read in March, 1 on 3 April, 1 included a day: over by 1 on the 1st, 2nd and 3rd, 3 in all."""
    events = of_case(cases, "a level read every day", EVENTS)
    carried = [row for row in events if row["part"] == "carried reading"]
    assert [row["window_start"].isoformat() for row in carried[:3]] == [
        "2024-04-01",
        "2024-04-02",
        "2024-04-03",
    ]
    assert [row["window_contribution"] for row in carried[:3]] == [Decimal(2)] * 3
    # For the usage of the whole period one reading decides, and it counts once.
    assert [row["contribution"] for row in events if row["contribution"]] == [Decimal(2)]
    windows = of_case(
        cases,
        "a level read every day",
        "select w.* from line_windows w join line_proofs p using (invoice_line_id)"
        " where p.customer_id = '{customer}' and w.overage_quantity > 0 order by w.window_start",
    )
    assert [row["overage_quantity"] for row in windows] == [Decimal(1)] * 3


def test_of_readings_at_the_same_instant_the_higher_event_id_decides(cases: RatingHome) -> None:
    [row] = of_case(cases, "the same instant: the higher event_id", EVENTS)
    assert row["event_id"] == "tie-2"
    assert row["contribution"] == Decimal(3)


def test_a_random_world_is_explained(tmp_path: Any) -> None:
    """Zones, anchors, overlapping add-ons, resets, revisions and voids, in two files."""
    world = World(7, customers=25)
    home = RatingHome(tmp_path, as_of="2024-04-17T20:00:00+00:00")
    world.write(home)
    home.batch(world.new_events(700))
    home.batch(world.new_events(300))
    home.build(select=SELECT)
    [counted] = home.query("select count(*) as lines, count(distinct line_type) as types from line_proofs")
    assert counted["lines"] > 100
    assert counted["types"] == 3
    assert unexplained(home) == []
    superseded = home.query("""
        select events.event_id from line_events as events
        inner join int_event_revisions as later
            on events.event_id = later.event_id and events.revision < later.revision
            and later.occurred_at between events.occurred_at - interval 35 day and events.occurred_at + interval 35 day
    """)
    assert superseded == []
    assert home.query("select count(*) as n from int_event_revisions")[0]["n"] > 20
    home.build(command="test", select="traced_lines line_proofs line_windows line_events")


def test_only_the_lines_asked_for_are_traced(cases: RatingHome, tmp_path: Any) -> None:
    import polars as pl

    [line] = cases.query(
        "select invoice_line_id, usage_quantity from line_proofs where line_type = 'usage' limit 1"
    )
    asked = tmp_path / "asked.parquet"
    pl.DataFrame({"invoice_line_id": [line["invoice_line_id"]]}).write_parquet(asked)
    cases.build(
        select="traced_lines line_events line_windows line_proofs",
        told={"traced_lines": str(asked)},
    )
    assert cases.query("select invoice_line_id, usage_quantity from line_proofs") == [line]
    assert {row["invoice_line_id"] for row in cases.query("select * from line_events")} <= {
        line["invoice_line_id"]
    }
