"""Which files of the inbox are to be read, under which batch id, and what a reading takes the place of.

A file is known by its content and by the mapping that read it. How a file is read does not belong here.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.events import SourceMapping, SourcesDocument
from pipelines.ingest.sources.inbox import InboxFile
from pipelines.lake.commits import Lake, Manifest, content_of, number_of


@dataclass(frozen=True)
class Reading:
    """One reading of a file, to be made.

    :param batch_id: the content's id; of a later reading ``<content>-<number of the reading>``.
    :param mapping: None: the file has the event's own fields.
    :param replaces: the batch that it takes the place of.
    """

    file: InboxFile
    batch_id: str
    mapping: SourceMapping | None
    mapping_hash: str
    replaces: str | None = None

    @property
    def source(self) -> str | None:
        """The name of the source in sources.yml."""
        return self.mapping.name if self.mapping else None


def mapping_hash(mapping: SourceMapping | None) -> str:
    """32 hex digits that stand for how a file is read; name and pattern of the source aside."""
    given = (
        mapping.model_dump(mode="json", exclude={"name", "files"}, exclude_defaults=True) if mapping else {}
    )
    text = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_empty(batch: Manifest) -> bool:
    """Whether a reading gave nothing: no record was accepted or a duplicate."""
    return not (batch["accepted_count"] or batch["duplicate_count"])


def next_id(lake: Lake, content: str, taken: Iterable[str] = ()) -> str:
    """The id of the next reading of a content."""
    numbers = [number_of(batch_id) for batch_id in {*lake.batches, *taken} if content_of(batch_id) == content]
    return f"{content}-{max(numbers) + 1}" if numbers else content


def new_readings(lake: Lake, files: Sequence[InboxFile], sources: SourcesDocument | None) -> list[Reading]:
    """What is to be read without being asked for, in the order of the files.

    New are: a content that no batch has; a content that only files of other mappings gave; and one of which
    its last reading gave nothing, under another mapping than that reading's.
    """
    known: dict[str, list[Manifest]] = defaultdict(list)
    for batch_id, batch in lake.live.items():
        known[content_of(batch_id)].append(batch)
    planned: set[tuple[str, str, str]] = set()
    found: list[Reading] = []
    for file in files:
        mapping = sources.source_for(file.name) if sources is not None else None
        digest = mapping_hash(mapping)
        same = known.get(file.batch_id, [])
        # Where ids are made from rows, a file is known by its path too: a copy is read, and gives duplicates.
        path = file.name if mapping is not None and mapping.ids_from_row else ""
        if path:
            same = [batch for batch in same if batch["source_file"] == path]
        key = file.batch_id, digest, path
        if key in planned or not (reading := _is_new(same, file.name, digest)):
            continue
        taken = [planned_reading.batch_id for planned_reading in found]
        batch_id = next_id(lake, file.batch_id, taken)
        found.append(Reading(file, batch_id, mapping, digest, reading.replaces))
        planned.add(key)
    return found


@dataclass(frozen=True)
class _New:
    replaces: str | None = None


def _is_new(same: Sequence[Manifest], name: str, digest: str) -> _New | None:
    if not same:
        return _New()
    if any(batch["mapping_hash"] == digest for batch in same):
        return None
    # Which mapping read a file was not always kept; such a reading counts as this file's own.
    own = [batch for batch in same if batch["source_file"] == name or batch["mapping_hash"] is None]
    if not own:
        return _New()
    return _New(own[-1]["batch_id"]) if all(map(is_empty, own)) else None


def reading_again(lake: Lake, file: InboxFile, sources: SourcesDocument | None) -> Reading:
    """A reading of a file with today's mapping, in the place of what its content gave from its path.

    Where ids are made from rows, and the path gave another content, in the place of that: it would
    count twice.
    """
    mapping = sources.source_for(file.name) if sources is not None else None
    live = lake.live
    same = [batch for batch_id, batch in live.items() if content_of(batch_id) == file.batch_id]
    own = [batch for batch in same if batch["source_file"] == file.name] or same
    if mapping is not None and mapping.ids_from_row and all(map(is_empty, own)):
        of_path = [batch for batch in live.values() if batch["source_file"] == file.name]
        own = [batch for batch in of_path if not is_empty(batch)] or own
    return Reading(
        file,
        next_id(lake, file.batch_id),
        mapping,
        mapping_hash(mapping),
        own[-1]["batch_id"] if own else None,
    )
