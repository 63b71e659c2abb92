"""Dagster's instance of a home, and the names that runs are known by. Running does not belong here."""

from pathlib import Path

from pipelines.files import make_private_folder
from pipelines.home import Home

MAIN_JOB, CLOSE_JOB, SEND_JOB = "run", "close", "send"


STARTED_BY = "meterhouse/started_by"


COMMAND_LINE = "command line"
"""Value of STARTED_BY on runs whose failure the command line tells by itself."""


_INSTANCE = """\
telemetry:
  enabled: false
# No invitation to a newsletter before the first look at the lineage.
nux:
  enabled: false
# Runs of one home write one warehouse: one after the other.
concurrency:
  runs:
    max_concurrent_runs: 1
run_monitoring:
  enabled: true
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days: 7
"""


def instance_dir(home: Home) -> Path:
    """Dagster's own folder in the home: settings, run history, logs. It may be deleted."""
    folder = home.root / ".dagster"
    make_private_folder(folder)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        settings.write_text(_INSTANCE, encoding="utf-8")
    return folder
