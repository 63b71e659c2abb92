"""What providers charge: the public price list in the lake, and the names of events resolved to it.

Costs themselves are computed by dbt (``dbt_project/macros/costs.sql``).
"""

from pipelines.costs.names import ResolvedNames, resolve_new_names
from pipelines.costs.price_list import PriceListVersion, current_version, refresh_prices

__all__ = ["PriceListVersion", "ResolvedNames", "current_version", "refresh_prices", "resolve_new_names"]
