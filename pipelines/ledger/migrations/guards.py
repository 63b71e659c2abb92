"""Statements that make a table append-only. Once released, what a revision gets from here must not change."""

from collections.abc import Iterator

_FUNCTION = """
create or replace function meterhouse_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end
$$
"""


def append_only(dialect: str, table: str, key: str) -> Iterator[str]:
    """Triggers that refuse to change or remove a row.

    :param key: the primary key's column: SQLite's ``insert or replace`` removes rows without firing triggers.
    """
    if dialect == "sqlite":
        refuse = f"begin select raise(abort, '{table} is append-only'); end"
        yield f"create trigger {table}_no_update before update on {table} {refuse}"
        yield f"create trigger {table}_no_delete before delete on {table} {refuse}"
        yield (
            f"create trigger {table}_no_replace before insert on {table} "
            f"when exists (select 1 from {table} where {key} = new.{key}) {refuse}"
        )
        return
    yield _FUNCTION
    yield (
        f"create trigger {table}_append_only before update or delete on {table} "
        "for each row execute function meterhouse_refuse_change()"
    )
    yield (
        f"create trigger {table}_no_truncate before truncate on {table} "
        "for each statement execute function meterhouse_refuse_change()"
    )
