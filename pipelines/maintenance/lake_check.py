"""Everything that is to be said of a home's lake: damages, files that no commit names, exports of the ledger.

What damage is (``pipelines.lake.proof``) does not belong here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.home import Home
from pipelines.ingest import ensure_lake
from pipelines.lake.commits import LakeError, read_lake
from pipelines.lake.proof import Damage, find_damages, set_aside, strangers
from pipelines.ledger.lake_heads import need_recorded_head
from pipelines.ledger.store import damaged_exports


@dataclass(frozen=True)
class LakeFindings:
    """What was found.

    :param file_count: files that commits name.
    :param strangers: files that none names, below lake/.
    """

    home: Home
    file_count: int
    damages: tuple[Damage, ...]
    strangers: tuple[str, ...]

    def need_whole(self) -> None:
        """:raises LakeError: there is a damage; all are named."""
        if self.damages:
            raise LakeError(
                "\n  ".join(["the lake is damaged", *map(str, self.damages)]),
                where=str(self.home.lake),
                remedy="follow what is said of each; nothing was changed",
            )


def check_lake(home: Home, on_progress: Callable[[int, int, str], None] | None = None) -> LakeFindings:
    """Read every file of the lake once, read-only.

    :param on_progress: called with files done, files in total and the file's name.
    :raises LedgerError: the ledger is out of reach.
    """
    damages = find_damages(home, on_progress)
    try:
        lake = read_lake(home)
        need_recorded_head(home, lake)
    except LakeError as error:
        if not damages:
            where = (error.where or "").removeprefix(f"{home.lake}/")
            damages.append(Damage(where, error.what, error.remedy or ""))
        return LakeFindings(home, 0, tuple(damages), ())
    damages += [
        Damage(
            file.relative_to(home.lake).as_posix(),
            "it does not say what the ledger says",
            "delete it: the next `meterhouse run` writes it again from the ledger",
        )
        for file in damaged_exports(home)
    ]
    return LakeFindings(home, len(lake.files), tuple(damages), tuple(strangers(home)))


def set_strangers_aside(home: Home) -> list[str]:
    """Move files that no commit names to lake/.aside/; their names. The caller holds the home's lock."""
    ensure_lake(home)
    return set_aside(home)
