"""Errors that a person is meant to read: what happened, where, and what to do next.

Faults of single usage records do not belong here; those are reject reasons and live in the lake.
"""

import difflib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass


class MeterhouseError(Exception):
    """A step failed. ``exit_code`` is what the command line returns.

    :param what: what happened, one sentence.
    :param where: the file, table or step, if there is one.
    :param remedy: what the reader can do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.remedy:
            parts.append(f"  -> {self.remedy}")
        return "\n".join(parts)


def describe_os_error(error: OSError) -> MeterhouseError:
    """What the system refused, in words for people: a full disk, a missing right, a file for a folder."""
    return MeterhouseError(
        error.strerror or str(error) or type(error).__name__,
        where=None if error.filename is None else os.fsdecode(error.filename),
        remedy="see that it is the file or folder that it should be, that it may be read and written, and"
        " that the disk has room; then run the command again: what was published before is untouched",
    )


def any_of(names: Iterable[str]) -> str:
    """Names in a sentence: table, json or csv."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def what_was_meant(name: str, known: Collection[str], otherwise: str | None = None) -> str:
    """The remedy for a name that is not known: the closest ones, else all there are.

    :param otherwise: what to say where none is close; needed where there may be none.
    """
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"did you mean {any_of(near)}?"
    return otherwise or f"write {any_of(sorted(known))}"


@dataclass(frozen=True, order=True)
class Fault:
    """One thing wrong with a document: file, path inside it, what is wrong, what would be right."""

    file: str
    path: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.path}: {self.problem}; {self.remedy}"


class ConfigurationError(MeterhouseError):
    """Arguments, catalog or accounts are wrong; nothing was changed."""

    exit_code = 2

    def __init__(
        self, what: str, faults: Sequence[Fault] = (), *, where: str | None = None, remedy: str | None = None
    ) -> None:
        self.faults = tuple(faults)
        super().__init__(what, where=where, remedy=remedy)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(str(fault) for fault in self.faults)])
