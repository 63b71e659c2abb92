"""Statements that make a table append-only. Once released, what a revision gets from here must not change."""

from collections.abc import Iterator, Sequence

_FUNCTION = """
create or replace function meterhouse_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end
$$
"""


def append_only(dialect: str, table: str, *key: str) -> Iterator[str]:
    """Triggers that refuse to change or remove a row.

    :param key: the primary key's columns: SQLite's ``insert or replace`` removes rows, firing no trigger.
    """
    if dialect == "sqlite":
        refuse = f"begin select raise(abort, '{table} is append-only'); end"
        yield f"create trigger {table}_no_update before update on {table} {refuse}"
        yield f"create trigger {table}_no_delete before delete on {table} {refuse}"
        same = " and ".join(f"{column} = new.{column}" for column in key)
        yield (
            f"create trigger {table}_no_replace before insert on {table} "
            f"when exists (select 1 from {table} where {same}) {refuse}"
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


def no_replacement(dialect: str, table: str, columns: Sequence[str]) -> Iterator[str]:
    """What ``append_only`` does for the key, for another unique constraint; only SQLite needs it."""
    if dialect == "sqlite":
        same = " and ".join(f"{column} = new.{column}" for column in columns)
        yield (
            f"create trigger {table}_no_replace_{columns[-1]} before insert on {table} "
            f"when exists (select 1 from {table} where {same}) "
            f"begin select raise(abort, '{table} is append-only'); end"
        )


def gapless(dialect: str, table: str, column: str) -> Iterator[str]:
    """A trigger that takes no number but the next one, from 1."""
    if dialect == "sqlite":
        yield (
            f"create trigger {table}_no_gap before insert on {table} "
            f"when new.{column} <> (select coalesce(max({column}), 0) + 1 from {table}) "
            f"begin select raise(abort, '{table} is numbered without gaps'); end"
        )
        return
    yield f"""
create or replace function meterhouse_{table}_no_gap() returns trigger language plpgsql as $$
begin
    if new.{column} <> (select coalesce(max({column}), 0) + 1 from {table}) then
        raise exception '{table} is numbered without gaps';
    end if;
    return new;
end
$$
"""
    yield (
        f"create trigger {table}_no_gap before insert on {table} "
        f"for each row execute function meterhouse_{table}_no_gap()"
    )


def bounded_credit(dialect: str) -> Iterator[str]:
    """A trigger that refuses to credit more of an issued line than is left of it."""
    left = (
        "(select amount_minor from issued_lines where invoice_line_id = new.invoice_line_id)"
        " - (select coalesce(sum(amount_minor), 0) from credit_note_lines"
        " where invoice_line_id = new.invoice_line_id)"
    )
    words = "credit_note_lines credit more than is left of a line"
    if dialect == "sqlite":
        yield (
            "create trigger credit_note_lines_bounded before insert on credit_note_lines "
            f"when new.amount_minor > {left} begin select raise(abort, '{words}'); end"
        )
        return
    yield f"""
create or replace function meterhouse_bounded_credit() returns trigger language plpgsql as $$
begin
    if new.amount_minor > {left} then
        raise exception '{words}';
    end if;
    return new;
end
$$
"""
    yield (
        "create trigger credit_note_lines_bounded before insert on credit_note_lines "
        "for each row execute function meterhouse_bounded_credit()"
    )


def frozen_once_sent(dialect: str) -> Iterator[str]:
    """Triggers of the outbox: what is sent stays, what shall be sent stays the same, nothing leaves."""
    differs = "is not" if dialect == "sqlite" else "is distinct from"
    fixed = (
        "outbox_id",
        "kind",
        "invoice_id",
        "subject_id",
        "revision",
        "amount_minor",
        "currency",
        "content",
    )
    changes = [f"new.{column} {differs} old.{column}" for column in fixed]
    # An operation's identity is given once, by the first attempt.
    changes += [
        f"(old.{column} is not null and new.{column} {differs} old.{column})"
        for column in ("op_id", "account")
    ]
    refused = " or ".join(["old.state = 'SENT'", *changes])
    if dialect == "sqlite":
        refuse = "begin select raise(abort, 'stripe_outbox keeps what was sent'); end"
        yield f"create trigger stripe_outbox_frozen before update on stripe_outbox when {refused} {refuse}"
        yield f"create trigger stripe_outbox_no_delete before delete on stripe_outbox {refuse}"
        yield (
            "create trigger stripe_outbox_no_replace before insert on stripe_outbox "
            f"when exists (select 1 from stripe_outbox where outbox_id = new.outbox_id) {refuse}"
        )
        return
    yield f"""
create or replace function meterhouse_outbox_frozen() returns trigger language plpgsql as $$
begin
    if {refused} then
        raise exception 'stripe_outbox keeps what was sent';
    end if;
    return new;
end
$$
"""
    yield (
        "create trigger stripe_outbox_frozen before update on stripe_outbox "
        "for each row execute function meterhouse_outbox_frozen()"
    )
    yield (
        "create trigger stripe_outbox_no_delete before delete on stripe_outbox "
        "for each row execute function meterhouse_refuse_change()"
    )
    yield (
        "create trigger stripe_outbox_no_truncate before truncate on stripe_outbox "
        "for each statement execute function meterhouse_refuse_change()"
    )
