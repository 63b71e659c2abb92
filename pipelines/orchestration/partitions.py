"""The days and months that a person can rebuild. What a rebuild does does not belong here."""

from datetime import UTC, date, datetime

import dagster as dg

from pipelines.home import Home
from pipelines.lake.places import days_of_events
from pipelines.warehouse.measure import Grain

_EARLIEST = date(2000, 1, 1)


def first_day(home: Home, today: date) -> date:
    """First day of the month of the oldest event in the lake; at least all of last year is on offer."""
    oldest = min([date(today.year - 1, 1, 1), *days_of_events(home)])
    return max(oldest.replace(day=1), _EARLIEST)


def partitions_for(home: Home) -> dict[Grain, dg.PartitionsDefinition[str]]:
    """Days by customers' local date, and months by the last day of cycles.

    Both reach past today: a local day may be ahead of UTC, and an open cycle ends next month.
    """
    start = datetime.combine(first_day(home, datetime.now(UTC).date()), datetime.min.time(), UTC)
    return {
        "day": dg.DailyPartitionsDefinition(start_date=start, end_offset=3),
        "month": dg.MonthlyPartitionsDefinition(start_date=start, end_offset=2),
    }


def selected_partitions(context: dg.AssetExecutionContext, grain: Grain) -> dict[str, list[str]]:
    """What the run's partitions ask dbt to rebuild: {"days": ["2026-03-01"]} or {"months": ["2026-03"]}."""
    keys = sorted(context.partition_keys)
    return {"days": keys} if grain == "day" else {"months": [key[:7] for key in keys]}
