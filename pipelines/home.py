"""Where things are in a Meterhouse home. What is inside the files does not belong here."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.files import make_private_folder, make_shared_folder


@dataclass(frozen=True)
class Home:
    """A home folder and the places in it (contracts: section 1)."""

    root: Path

    @property
    def catalog(self) -> Path:
        """Meters, plans and prices, as written."""
        return self.root / "catalog"

    @property
    def accounts(self) -> Path:
        """Customers and subscriptions, as written."""
        return self.root / "accounts"

    @property
    def inbox(self) -> Path:
        """Raw usage files; never changed or removed by Meterhouse."""
        return self.root / "inbox"

    @property
    def lake(self) -> Path:
        """What was accepted, rejected and read, and every version of the documents; append-only."""
        return self.root / "lake"

    @property
    def warehouse(self) -> Path:
        """What dbt builds."""
        return self.root / "warehouse"

    @property
    def ledger(self) -> Path:
        """What was issued, sent and raised."""
        return self.root / "ledger"

    @property
    def serving(self) -> Path:
        """What people and BI tools open."""
        return self.root / "serving"

    @property
    def warehouse_file(self) -> Path:
        """The last warehouse whose blocking checks all held."""
        return self.warehouse / "meterhouse.duckdb"

    @property
    def published_file(self) -> Path:
        """The audited marts, replaced in one rename."""
        return self.serving / "meterhouse.duckdb"

    @property
    def lock_file(self) -> Path:
        """Held by whatever writes this home."""
        return self.root / ".lock"

    @property
    def cache(self) -> Path:
        """What only saves time and may be deleted at any moment."""
        return self.root / ".cache"

    @property
    def private_folders(self) -> list[Path]:
        """The folders that are for the home's owner only, as far as they are there."""
        folders = (
            self.lake,
            self.ledger,
            self.warehouse,
            self.cache,
            self.root / ".dagster",
            self.root / "gate",
        )
        return [folder for folder in folders if folder.is_dir()]

    def ensure(self) -> "Home":
        """Make the folders that are missing; existing content stays as it is."""
        for folder in (self.catalog, self.accounts, self.inbox, self.serving):
            make_shared_folder(folder)
        for folder in (self.lake, self.warehouse, self.ledger, self.cache):
            make_private_folder(folder)
        return self
