"""Reading, validating and keeping catalog and accounts documents. What they may contain is in ``models``."""

from pipelines.catalog.configuration import Configuration, load_configuration
from pipelines.catalog.products import copy_product, list_products
from pipelines.catalog.versions import save_versions

__all__ = ["Configuration", "copy_product", "list_products", "load_configuration", "save_versions"]
