"""Loading a home's catalog and accounts: everything is read and judged before the first fault is raised.

What the documents may contain is in ``models``; how versions of them are kept is in ``versions``.
"""

from dataclasses import dataclass
from functools import cached_property

from models.accounts import Accounts, Budget, Customer, Override, Subscription
from models.catalog import AlertSettings, Catalog, Charge, FxRate, Issuer, Meter, PlanVersion, Price
from models.events import SourcesDocument
from pipelines.catalog.documents import Document, M, Read, Reader, Spot, YamlDocument
from pipelines.catalog.tables import accounts_tables, catalog_tables, version_of
from pipelines.catalog.validate import PlanRead, accounts_faults, alert_faults, catalog_faults
from pipelines.errors import ConfigurationError
from pipelines.home import Home


@dataclass(frozen=True)
class Configuration:
    """A catalog and accounts without faults, and the documents they were read from."""

    catalog: Catalog
    accounts: Accounts
    sources: SourcesDocument | None
    documents: tuple[Document, ...]

    @cached_property
    def catalog_version(self) -> str:
        """32 hex digits that change when a fact of the catalog does, and not with its formatting."""
        return version_of(catalog_tables(self.catalog, self.sources))

    @cached_property
    def accounts_version(self) -> str:
        """32 hex digits that change when a fact of the accounts does, and not with its formatting."""
        return version_of(accounts_tables(self.accounts))


def load_alert_settings(home: Home) -> AlertSettings:
    """What alerts.yml alone says; the defaults where it has faults or is not there."""
    reader = Reader(home.root)
    settings = _whole(reader, AlertSettings, reader.yaml("catalog/alerts.yml", required=False))
    return settings or AlertSettings()


def load_configuration(home: Home) -> Configuration:
    """Read and validate the documents of a home; nothing is written.

    :raises ConfigurationError: exit code 2, with every fault of every document.
    """
    reader = Reader(home.root)

    meters_document = reader.yaml("catalog/meters.yml", required=True)
    plans_document = reader.yaml("catalog/plans.yml", required=True)
    meters = [reader.entry(Meter, item, spot) for item, spot in reader.items(meters_document, "meters")]
    plans = [_plan(reader, item, spot) for item, spot in reader.items(plans_document, "plans")]
    sources = _whole(reader, SourcesDocument, reader.yaml("catalog/sources.yml", required=False))
    alerts_document = reader.yaml("catalog/alerts.yml", required=False)
    alerts = (
        reader.entry(AlertSettings, alerts_document.data, alerts_document.spot) if alerts_document else None
    )
    issuer = _whole(reader, Issuer, reader.yaml("catalog/issuer.yml", required=False))
    prices = reader.entries(Price, reader.csv("catalog/prices.csv", Price, required=False))
    fx_rates = reader.entries(FxRate, reader.csv("catalog/fx_rates.csv", FxRate, required=False))

    customers_table = reader.csv("accounts/customers.csv", Customer, required=True)
    subscriptions_table = reader.csv("accounts/subscriptions.csv", Subscription, required=True)
    customers = reader.entries(Customer, customers_table)
    subscriptions = reader.entries(Subscription, subscriptions_table)
    overrides = reader.entries(Override, reader.csv("accounts/overrides.csv", Override, required=False))
    budgets = reader.entries(Budget, reader.csv("accounts/budgets.csv", Budget, required=False))

    faults = [
        *reader.faults,
        *catalog_faults(meters if meters_document else None, plans, prices, fx_rates),
        *alert_faults(alerts, meters if meters_document else None),
        *accounts_faults(
            customers if customers_table else None,
            subscriptions if subscriptions_table else None,
            overrides,
            budgets,
            plans if plans_document else None,
        ),
    ]
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise ConfigurationError(
            f"{count} in the catalog and accounts; nothing was changed",
            faults,
            where=str(home.root),
            remedy="correct the documents and run the command again",
        )
    catalog = Catalog(
        meters=_values(meters),
        plans=_values([entry.plan for entry in plans]),
        prices=_values(prices),
        fx_rates=_values(fx_rates),
        alerts=(alerts and alerts.value) or AlertSettings(),
        issuer=issuer or Issuer(),
    )
    accounts = Accounts(
        customers=_values(customers),
        subscriptions=_values(subscriptions),
        overrides=_values(overrides),
        budgets=_values(budgets),
    )
    return Configuration(catalog, accounts, sources, tuple(reader.documents))


def _plan(reader: Reader, item: object, spot: Spot) -> PlanRead:
    """A plan version whose charges are judged one by one, so that a fault in one hides none in another."""
    listed = item.get("charges") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(listed, list):
        return PlanRead(reader.entry(PlanVersion, item, spot), ())
    head = reader.entry(PlanVersion, {key: value for key, value in item.items() if key != "charges"}, spot)
    charges = [
        reader.entry(Charge, charge, spot.below("charges", index)) for index, charge in enumerate(listed)
    ]
    whole = head.value and head.value.model_copy(update={"charges": _values(charges)})
    return PlanRead(Read(item, spot, whole), charges)


def _whole(reader: Reader, model: type[M], document: YamlDocument | None) -> M | None:
    return reader.entry(model, document.data, document.spot).value if document else None


def _values(reads: list[Read[M]]) -> tuple[M, ...]:
    return tuple(read.value for read in reads if read.value is not None)
