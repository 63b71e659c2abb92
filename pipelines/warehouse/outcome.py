"""What came of a build: finished nodes, what failed and what warned, in words.

Events as Dagster shows them do not belong here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True)
class Trouble:
    """A model or test that did not pass: its name, what dbt says, and the file with the SQL that ran.

    :param found: of a check the first rows, in words: nobody should have to run its SQL to know.
    """

    name: str
    is_test: bool
    message: str
    sql_file: Path | None
    is_warning: bool = False
    found: str | None = None

    def __str__(self) -> str:
        kind = "check" if self.is_test else "model"
        if self.found and self.is_warning:
            return f"{kind} {self.name}: {self.found}"
        return (
            f"{kind} {self.name}: {self.message}"
            + (f"\n    SQL: {self.sql_file}" if self.sql_file else "")
            + (f"\n    Found: {self.found}" if self.found else "")
        )


@dataclass(frozen=True)
class BuildResult:
    """Events of every finished node in order, what failed and what warned."""

    events: Sequence[Event]
    failures: Sequence[Trouble]
    warnings: Sequence[Trouble]


FAILED = {"error", "fail", "runtime error"}


def trouble_of(result: Any, folder: Path) -> Trouble:  # noqa: ANN401
    """What dbt says of a node that failed or warned; its SQL lies in the folder."""
    node = result.node
    compiled = Path(node.compiled_path) if getattr(node, "compiled_path", None) else None
    if compiled and not compiled.is_absolute():
        compiled = folder / compiled
    return Trouble(
        name=node.name,
        is_test=node.resource_type == "test",
        message=" ".join((result.message or "failed").split()),
        sql_file=compiled,
        is_warning=str(result.status) == "warn",
    )
