"""Reads files of the inbox again, with today's mapping, in the place of what they gave before.

What becomes of single records does not belong here.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from models.events import SourcesDocument
from pipelines.errors import ConfigurationError, MeterhouseError
from pipelines.home import Home
from pipelines.ingest.batches import BatchResult, ChangedError, ingest_file
from pipelines.ingest.formats.reader import UnopenedError
from pipelines.ingest.identity import KeyCache
from pipelines.ingest.readings import reading_again
from pipelines.ingest.restate import NoIndexError
from pipelines.ingest.sources import inbox
from pipelines.ingest.sources.inbox import InboxFile
from pipelines.lake.batches import ensure_lake
from pipelines.lake.commits import Lake, content_of
from pipelines.settings import QuietTime


def reread_files(
    home: Home,
    paths: Sequence[str],
    sources: SourcesDocument | None,
    as_of: datetime,
    on_progress: Callable[[int, int, str], None] | None = None,
    *,
    quiet: QuietTime | None = None,
) -> list[BatchResult]:
    """Read files again, one commit each, in the order of their names. The caller holds the home's lock.

    :param paths: of files or folders, below inbox/.
    :param on_progress: called with files done, files in total and the file's name.
    :raises ConfigurationError: there is no such file; nothing is changed.
    :raises MeterhouseError: one cannot be read, or it is not known what another said; those before count.
    """
    clock = as_of.astimezone(UTC)
    files = _named(inbox.look_when_quiet(home, (), quiet).files, paths)
    lake = ensure_lake(home)
    done: list[BatchResult] = []
    for number, file in enumerate(files):
        if on_progress:
            on_progress(number, len(files), file.name)
        try:
            result = _read(lake, file, sources, clock)
        except NoIndexError as unknown:
            # What a batch said again was not always kept. Reading its file once more makes it known.
            for batch_id in unknown.batch_ids:
                done.append(_read(lake, _file_of(home, lake, batch_id), sources, clock))
            result = _read(lake, file, sources, clock)
        done.append(result)
    return done


def _read(lake: Lake, file: InboxFile, sources: SourcesDocument | None, as_of: datetime) -> BatchResult:
    if file.waits is not None:
        raise MeterhouseError(
            f"{file.waits}; what it gave before still counts",
            where=f"inbox/{file.name}",
            remedy="`meterhouse reread` it again then",
        )
    reading = reading_again(lake, file, sources)
    try:
        return ingest_file(lake, reading, as_of, cache=KeyCache(), report=lambda _: None)
    except (ChangedError, UnopenedError):
        raise MeterhouseError(
            "the file changed while it was read, or cannot be opened; what it gave before still counts",
            where=f"inbox/{file.name}",
            remedy="wait until it is whole and readable, then `meterhouse reread` it again",
        ) from None


def _named(files: Sequence[InboxFile], paths: Sequence[str]) -> list[InboxFile]:
    found: dict[str, InboxFile] = {}
    for given in paths:
        path = given.removeprefix("inbox/").rstrip("/")
        inside = [file for file in files if file.name == path or file.name.startswith(f"{path}/")]
        if not inside:
            raise ConfigurationError(
                f"there is no usage file {path} in the inbox; nothing was changed",
                where="reread",
                remedy="give paths below inbox/, as `meterhouse run` and the mart ingest_batches name them",
            )
        found |= {file.name: file for file in inside}
    return [found[name] for name in sorted(found)]


def _file_of(home: Home, lake: Lake, batch_id: str) -> InboxFile:
    name = lake.batches[batch_id]["source_file"]
    files = [file for file in inbox.look(home).files if file.batch_id == content_of(batch_id)]
    if not files:
        raise MeterhouseError(
            f"which records {name} said again is not kept: it was read by an earlier version, and is gone",
            where=f"inbox/{name}",
            remedy="put it back into the inbox, unchanged, and reread again; nothing was taken out",
        )
    return next((file for file in files if file.name == name), files[0])
