"""The products that ship with Meterhouse: their names, and starting a home from one.

What a product sells does not belong here; it is data under data/products/.
"""

import os
import shutil
from pathlib import Path

from pipelines import interruption
from pipelines.errors import ConfigurationError, Fault, what_was_meant
from pipelines.files import share
from pipelines.home import Home
from pipelines.shipped import shipped

PRODUCTS = shipped("data/products")


def list_products() -> list[str]:
    """The names that ``copy_product`` takes, in alphabetical order."""
    return sorted(folder.name for folder in PRODUCTS.iterdir() if (folder / "catalog").is_dir())


def copy_product(home: Home, name: str) -> None:
    """Start a home from a product; documents that are already there and equal are left alone.

    :raises ConfigurationError: there is no such product, or the home has other documents; nothing is changed.
    """
    if name not in list_products():
        raise ConfigurationError(
            f"there is no product {name!r}", where="--product", remedy=what_was_meant(name, list_products())
        )
    source = PRODUCTS / name
    files = [
        path.relative_to(source) for part in ("catalog", "accounts") for path in (source / part).iterdir()
    ]
    faults = [
        Fault(
            str(file), "file", f"is there and differs from that of {name}", "keep it in another place first"
        )
        for file in sorted(files)
        if os.path.lexists(home.root / file) and not _is_equal(home.root / file, source / file)
    ]
    if faults:
        raise ConfigurationError(
            "the home already has its own catalog or accounts; nothing was changed",
            faults,
            where=str(home.root),
            remedy="start in an empty folder (--home DIR), or move these documents away",
        )
    with interruption.held():
        home.ensure()
        for file in files:
            if not (home.root / file).exists():
                shutil.copyfile(source / file, home.root / file)
                share(home.root / file)
        interruption.has_done(f"{home.root} has the catalog and accounts of {name}")


def _is_equal(file: Path, other: Path) -> bool:
    return file.is_file() and file.read_bytes() == other.read_bytes()
