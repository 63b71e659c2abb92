"""Reading, validating and keeping catalog and accounts documents. What they may contain is in ``models``."""

from pipelines.catalog.configuration import Configuration, load_alert_settings, load_configuration
from pipelines.catalog.products import copy_product, list_products
from pipelines.catalog.uses import Versions, record_use, versions_at
from pipelines.catalog.versions import save_versions

__all__ = [
    "Configuration",
    "Versions",
    "copy_product",
    "list_products",
    "load_alert_settings",
    "load_configuration",
    "record_use",
    "save_versions",
    "versions_at",
]
