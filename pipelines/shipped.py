"""Data that ships with the code: dbt's project and the products. What is in it does not belong here."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """A folder that comes with the code: inside an installed package, and beside it in a checkout."""
    installed = _PACKAGE / "shipped_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
