"""Where things are in a Meterhouse home. What is inside the files does not belong here."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """A home folder and the places in it (contracts: section 1)."""

    root: Path

    @property
    def catalog(self) -> Path:
        return self.root / "catalog"

    @property
    def accounts(self) -> Path:
        return self.root / "accounts"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    @property
    def serving(self) -> Path:
        return self.root / "serving"

    @property
    def warehouse_file(self) -> Path:
        """The last warehouse whose blocking checks all held."""
        return self.warehouse / "meterhouse.duckdb"

    @property
    def building_file(self) -> Path:
        """The copy that the current build writes; it replaces ``warehouse_file`` when the audit passes."""
        return self.warehouse / "building.duckdb"

    @property
    def published_file(self) -> Path:
        return self.serving / "meterhouse.duckdb"

    @property
    def lock_file(self) -> Path:
        return self.root / ".lock"

    @property
    def cache(self) -> Path:
        """What only saves time and may be deleted at any moment."""
        return self.root / ".cache"

    def ensure(self) -> "Home":
        """Make the folders that are missing; existing content stays as it is."""
        for folder in (
            self.catalog,
            self.accounts,
            self.inbox,
            self.lake,
            self.warehouse,
            self.ledger,
            self.serving,
            self.cache,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        return self
