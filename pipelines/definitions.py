"""Dagster's entry: ``-m pipelines.definitions`` loads all of it over the home of the environment.

Importing this module does nothing yet; what there is, ``pipelines.orchestration.assembly`` puts together.
"""

import dagster as dg

from pipelines.files import keep_private
from pipelines.orchestration.assembly import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors."""
    keep_private()
    return build_definitions()
