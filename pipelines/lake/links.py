"""Links among the lake's files. What the files hold does not belong here."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.files import below
from pipelines.home import Home


@dataclass(frozen=True)
class RefusedLink:
    """A link inside the lake that is not followed.

    :param name: its path inside the home, with slashes.
    :param target: what it leads to, as written in it.
    """

    name: str
    target: str

    def __str__(self) -> str:
        return (
            f"{self.name} is a link to {self.target} and is not taken for the lake's;"
            " put the file itself in its place, or remove the link"
        )


def links_out_of_lake(home: Home) -> list[RefusedLink]:
    """The links inside the lake that lead out of it, or to a folder; that the lake itself is one is fine."""
    return [
        RefusedLink(path.relative_to(home.root).as_posix(), os.readlink(path))
        for path in _links(home.lake)
        if not is_of_lake(home, path)
    ]


def is_of_lake(home: Home, path: Path) -> bool:
    """Whether a path below the lake is a file of it: no link, or one to another file of it."""
    if not path.is_symlink():
        return True
    return path.is_file() and path.resolve().is_relative_to(home.lake.resolve())


def _links(folder: Path) -> Iterator[Path]:
    return (path for path in below(folder) if path.is_symlink())
