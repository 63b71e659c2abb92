"""What a model finds at lint time where dbt would give it a macro: a name in its place. Not in any build.

The linter then sees each model's own text, without a warehouse and without running anything.
"""

import re
from collections.abc import Callable
from pathlib import Path

# Macros that stand for something else than an expression.
LISTS = {
    "meters_with",
    "event_columns",
    "rebuild_request",
    "column_values",
    "lake_files",
    "new_commit_files",
    "snapshot_columns",
    "charge_terms",
    "charge_term_columns",
}
CLAUSES = {
    "where_touched",
    "where_uncovered",
    "delete_touched",
    "delete_replaced",
    "delete_uncounted",
    "delete_uncovered",
    "where_checked",
}
SELECTS = {"effective_events", "priced_events", "checked_events", "serving_charges"}

# Selects from the relations that their second argument names.
READERS = {"account_facts"}


def _stand_in(name: str) -> Callable[..., object]:
    if name in LISTS:
        return lambda *_, **__: []
    if name in CLAUSES:
        return lambda *_, **__: ""
    if name in READERS:
        return lambda _, relations, *__: " union all ".join(
            f"select * from {read}" for read in relations.values()
        )
    text = f"select * from {name}" if name in SELECTS else name
    return lambda *_, **__: text


class _Adapter:
    def get_relation(self, *_: object, **__: object) -> None:
        return None


class _Flags:
    FULL_REFRESH = False


adapter = _Adapter()
flags = _Flags()
execute = False

for _file in sorted((Path(__file__).parent.parent / "macros").rglob("*.sql")):
    for _name in re.findall(r"{%-?\s*macro\s+(\w+)", _file.read_text(encoding="utf-8")):
        globals()[_name] = _stand_in(_name)
