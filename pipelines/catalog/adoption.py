"""Taking catalog and accounts into use: judged, kept in the lake, and noted since when.

Judging documents belongs to ``configuration``, what was issued with them to ``issued_plans``.
"""

from datetime import datetime

from pipelines.catalog.configuration import Configuration, load_configuration
from pipelines.catalog.issued_plans import need_issued_plans
from pipelines.catalog.uses import Versions, record_use
from pipelines.catalog.versions import save_versions
from pipelines.costs import current_version
from pipelines.home import Home


def adopt(home: Home, as_of: datetime) -> Configuration:
    """Keep the home's documents as the version in use from ``as_of`` on. The caller holds the home's lock.

    :raises ConfigurationError: they have faults, or change what was issued; nothing is kept.
    """
    configuration = load_configuration(home)
    need_issued_plans(home, configuration)
    save_versions(home, configuration)
    versions = Versions(configuration.catalog_version, configuration.accounts_version, current_version())
    record_use(home, versions, as_of)
    return configuration
