"""Commits that list the versions of documents and prices in the lake, so that they are proven like events.

Writing the versions does not belong here.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from models.frames import BATCHES, empty_frame
from pipelines.files import matching
from pipelines.lake.commits import Lake, Staging

VERSIONED = ("catalog", "accounts")
KINDS = (*VERSIONED, "prices", "versions")
"""Folders of the lake that hold documents and prices; also the kinds of their files."""


def commit_documents(lake: Lake) -> None:
    """Make a commit of the versions that no commit lists yet, if there are any.

    The caller holds the home's lock. What was added to the folder of a listed version is no part of it, and
    stays unlisted.
    """
    new = sorted(_new_files(lake))
    if not new:
        return
    with Staging(lake.home) as staging:
        for kind, path in new:
            staging.add_shown(path, kind, pq.read_metadata(path).num_rows)
        staging.commit(lake, empty_frame(BATCHES))


def _new_files(lake: Lake) -> Iterator[tuple[str, Path]]:
    listed = {path.rpartition("/")[0] for path in lake.files}
    root = lake.home.lake
    for kind in VERSIONED:
        for folder in _folders(root / kind):
            if f"{kind}/{folder.name}" not in listed:
                yield from ((kind, path) for path in matching(folder, "*.parquet"))
    for folder in _folders(root / "prices"):
        if f"prices/{folder.name}" not in listed:
            yield from (("prices", folder / f"{name}.parquet") for name in ("rows", "list"))
        for path in matching(folder / "names", "*.parquet"):
            is_ours = re.fullmatch(r"[0-9a-f]{32}\.parquet", path.name)
            if is_ours and path.relative_to(root).as_posix() not in lake.files:
                yield "prices", path
    for path in matching(root / "versions", "[0-9]*.parquet"):
        if path.relative_to(root).as_posix() not in lake.files:
            yield "versions", path


def _folders(folder: Path) -> list[Path]:
    return [path for path in matching(folder, "*") if path.is_dir()]
