"""What the steps of one run share: settings, clock, configuration, and what there is to tell afterwards.

A step's work does not belong here.
"""

import uuid
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipelines.errors import MeterhouseError
from pipelines.progress import Quiet, Steps
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.catalog import Configuration
    from pipelines.ingest import IngestReport
    from pipelines.serving.publish import Published
    from pipelines.warehouse.scope import BuildSettings


@dataclass
class Session:
    """One run.

    :param starts_over: build the warehouse from nothing instead of from the last good one.
    :param build_id: 32 hex digits; by which the published file names its run.
    :param clock: the run's, where another process of it has read it; by default it is read now.
    """

    settings: Settings
    steps: Steps = field(default_factory=Quiet)
    starts_over: bool = False
    build_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    ingest: "IngestReport | None" = None
    published: "Published | None" = None
    warnings: list[str] = field(default_factory=list)
    failure: MeterhouseError | None = None
    clock: InitVar[datetime | None] = None
    as_of: datetime = field(init=False)
    """The clock of this run, an instant in UTC; it stands still."""
    _is_adopted: bool = field(default=False, init=False)

    def __post_init__(self, clock: datetime | None) -> None:
        self.as_of = clock or self.settings.now()

    @cached_property
    def configuration(self) -> "Configuration":
        """The home's catalog and accounts, validated.

        :raises ConfigurationError: they have faults.
        """
        from pipelines.catalog import load_configuration

        return load_configuration(self.settings.home)

    def adopt(self) -> "Configuration":
        """Take catalog and accounts into use: a build reads the versions that the lake keeps of them.

        :raises ConfigurationError: they have faults, or change what was issued; nothing is kept.
        """
        from pipelines.catalog.adoption import adopt

        if not self._is_adopted:
            self.configuration = adopt(self.settings.home, self.as_of)
            self._is_adopted = True
        return self.configuration

    def dbt_settings(self, rebuild: dict[str, Any]) -> "BuildSettings":
        """What this run tells dbt."""
        from pipelines.costs import current_version
        from pipelines.warehouse.project import code_version
        from pipelines.warehouse.scope import BuildSettings

        return BuildSettings(
            as_of=self.as_of,
            build_id=self.build_id,
            catalog_version=self.configuration.catalog_version,
            accounts_version=self.configuration.accounts_version,
            prices_version=current_version(),
            code_version=code_version(),
            rebuild=rebuild,
        )
