"""Closing books: documents are computed aside, issued in one transaction of the ledger, then published.

What documents say is computed in SQL (``models/intermediate/books``), in which order they are issued, too.
"""

import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

from pipelines import interruption
from pipelines.books.knowledge import Knowledge
from pipelines.books.messages import tell_of_closing
from pipelines.books.pins import rate_pinned_periods
from pipelines.books.plan import CLOSING_MODELS, MARGINS, ClosingPlan, negative_margins, read_plan
from pipelines.errors import MeterhouseError
from pipelines.home import Home
from pipelines.lake.batches import ensure_lake
from pipelines.lake.commits import Lake, read_lake
from pipelines.lake.documents import commit_documents
from pipelines.ledger import Ledger, LedgerError, open_ledger
from pipelines.ledger.books import (
    AfterIssue,
    Closing,
    Terms,
    all_closings,
    hash_of_closing,
    issue,
    next_numbers,
    numbers_of,
)
from pipelines.ledger.lake_heads import need_recorded_head, record_head
from pipelines.serving.publish import publish_build
from pipelines.session import Session
from pipelines.settings import login_name
from pipelines.warehouse import aside, builds
from pipelines.warehouse.project import Manifest, models_in, readers_of
from pipelines.warehouse.scope import BuildSettings

# What reads the ledger and yet stays as it is when documents are issued: these pin just what it said before.
_UNCHANGED_BY_CLOSING = ("int_customer_timezones", "int_service_periods")
_SHOWN = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PUBLISHES = "do not close again; `meterhouse run` publishes what was issued"


@dataclass(frozen=True)
class ClosingOutcome:
    """What came of closing; no closing: there was nothing to issue, or it was a dry run.

    :param invoice_numbers: in a dry run, those that the documents would get if nothing else is issued before.
    """

    plan: ClosingPlan
    closing: Closing | None
    invoice_numbers: Sequence[str] = ()
    credit_note_numbers: Sequence[str] = ()


def close_books(
    session: Session,
    through: date,
    *,
    corrections_from: Decimal = Decimal(0),
    expected_hash: str | None = None,
    closed_by: str | None = None,
    is_dry_run: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> ClosingOutcome:
    """Issue the invoices and corrections of every cycle whose last day lies on or before a day.

    Closing again without news issues nothing; if an earlier closing was cut off before the marts showed it,
    they do then. A dry run only writes what a build aside needs, and removes it.

    :param corrections_from: what the corrections of an issued invoice must come to together, in units of its
        currency, 0 or more; smaller ones wait for a later closing.
    :param expected_hash: issue just documents of this ``Documents.hash``, or none; a dry run does not look.
    :param closed_by: a person or schedule, by name; None: whoever runs this process.
    :raises ConfigurationError: catalog or accounts have faults.
    :raises MeterhouseError: files wait unread, a cycle is not over, or a check failed; nothing was issued. Or
        what was issued could not be shown in the marts; the message says so.
    """
    home = session.settings.home
    session.adopt()
    settings = session.dbt_settings({})
    lake = ensure_lake(home)
    commit_documents(lake)
    _need_read_files(session)
    _need_past(session, through)
    with open_ledger(home, environment=environment) as ledger:
        ledger.export()
        need_recorded_head(home, lake)
        closings = all_closings(ledger)
        manifest = builds.load_manifest(home)
        try:
            _build_aside(session, settings, manifest, len(closings))
            plan = _plan(session, settings, through, corrections_from, len(closings))
            closing = None
            numbers = next_numbers(ledger, plan.documents) if is_dry_run else ([], [])
            if expected_hash is not None and not is_dry_run:
                need_expected(plan, expected_hash, ledger)
            if plan.documents and not is_dry_run:
                with session.steps.step("Issuing documents"), interruption.held():
                    closing = issue(
                        ledger,
                        plan.terms,
                        plan.documents,
                        plan.batch_ids,
                        known_closing=plan.known_closing,
                        closed_at=session.as_of,
                        closed_by=closed_by or login_name(),
                        after_issue=_what_follows(session, plan, environment),
                    )
                    interruption.has_done(f"{_is_issued(closing)}; {_PUBLISHES}")
        except BaseException:
            _forget_build(home)
            raise
        if closing is None:
            if not is_dry_run and closings and _is_behind(home, len(closings)):
                _show(session, settings, manifest, closings[-1])
            _forget_build(home)
        else:
            _remember(ledger, lake, session)
            _show(session, settings, manifest, closing)
            invoice_numbers, credit_note_numbers = numbers_of(ledger, closing.closing_number)
            return ClosingOutcome(plan, closing, invoice_numbers, credit_note_numbers)
        return ClosingOutcome(plan, None, *numbers)


def _remember(ledger: Ledger, lake: Lake, session: Session) -> None:
    """In the ledger, which commit the documents were issued from; what was issued does not hang on it."""
    try:
        record_head(ledger, lake)
    except LedgerError as error:
        session.warnings.append(f"the ledger does not know the last commit; the next run tells it: {error}")


def need_expected(plan: ClosingPlan, expected_hash: str, ledger: Ledger | None = None) -> None:
    """Go on only if the documents are those that somebody saw before.

    :param ledger: if nothing is left to issue, its last closing may have issued what was expected.
    :raises MeterhouseError: they are not; nothing was issued.
    """
    found = plan.documents.hash()
    if found == expected_hash:
        return
    is_issued = (
        ledger is not None
        and plan.known_closing > 0
        and hash_of_closing(ledger, plan.known_closing) == expected_hash
    )
    if is_issued and not plan.documents:
        return
    now = "; ".join(
        f"{row['currency']}: {row['invoice_count']:,} invoices of {row['invoiced_text']},"
        f" {row['credit_note_count']:,} credit notes of {row['credited_text']}"
        for row in plan.totals
    )
    since = f"closing {plan.known_closing} issued that, and now there is more: " if is_issued else ""
    raise MeterhouseError(
        f"what would be issued is something else: {since}{now or 'nothing'}; its hash is {found}",
        where=f"--expect {expected_hash}",
        remedy="nothing was issued. `meterhouse close --dry-run` lists it, with the same last day and"
        " --corrections-from; if it is right, close with its hash",
    )


def _what_follows(
    session: Session, plan: ClosingPlan, environment: Mapping[str, str]
) -> Sequence[AfterIssue]:
    """What belongs to issuing: rows that wait to be sent to Stripe, and to the people who are told."""
    from pipelines.notify import destinations_in_use
    from pipelines.payments.outbox import enqueue_closing

    entries = session.configuration.catalog.alerts.destinations
    destinations = [destination.name for destination in destinations_in_use(entries, environment)]
    return enqueue_closing, tell_of_closing(plan.totals, plan.words, destinations)


def _plan(
    session: Session,
    settings: BuildSettings,
    through: date,
    corrections_from: Decimal,
    known_closing: int,
) -> ClosingPlan:
    home = session.settings.home
    building = aside.building_file(home)
    _need_over(building, through)
    with session.steps.step("Rating what earlier terms hold"):
        pinned = rate_pinned_periods(home, Knowledge.current(session), building)
    with session.steps.step("Computing documents"):
        scope = replace(
            settings.scope, pinned_folder=pinned, close_through=through, corrections_from=corrections_from
        )
        builds.rebuild_models(home, replace(settings, scope=scope), [*CLOSING_MODELS, MARGINS])
        terms = Terms(
            through,
            session.as_of,
            settings.catalog_version,
            settings.accounts_version,
            settings.prices_version,
            settings.code_version,
            corrections_from=corrections_from,
        )
        plan = read_plan(building, terms, known_closing)
    return replace(plan, warnings=[*plan.warnings, *negative_margins(building)])


def _build_aside(session: Session, settings: BuildSettings, manifest: Manifest, closing_count: int) -> None:
    """The warehouse of what is known now in the building file; if the last good one is that, a copy of it."""
    home = session.settings.home
    is_current = _is_current(home, settings, closing_count)
    aside.begin_build(home, from_nothing=aside.built_with(home) != settings.code_version)
    if is_current:
        return
    with session.steps.step("Building and checking the warehouse") as step:
        result = builds.build(home, settings, manifest, on_progress=step.update)
    session.warnings += [str(warning) for warning in result.warnings]
    if result.failures:
        kept = aside.keep_failed_build(home)
        raise MeterhouseError(
            "\n  ".join(["checks failed; nothing was issued", *map(str, result.failures)]),
            where=str(kept),
            remedy="open this file with duckdb and run the SQL named above; close once a run ends well",
        )


def _is_behind(home: Home, closing_count: int) -> bool:
    """Whether an earlier closing was cut off after it issued, so that the marts do not show it."""
    try:
        with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
            [(shown,)] = connection.execute("select count(*) from stg_ledger__closings").fetchall()
    except duckdb.Error:
        return True
    return bool(shown < closing_count)


def _is_current(home: Home, settings: BuildSettings, closing_count: int) -> bool:
    """Whether the last good warehouse is what a build would give."""
    try:
        with duckdb.connect(str(home.warehouse_file), read_only=True) as connection:
            built = connection.execute(
                "select epoch_us(as_of), catalog_version, accounts_version, price_list_version, code_version,"
                " (select count(*) from stg_lake__batches), (select count(*) from stg_ledger__closings)"
                " from int_build_scope"
            ).fetchone()
    except duckdb.Error:
        return False
    since_epoch = (settings.as_of - _EPOCH) // timedelta(microseconds=1)
    batches = len(read_lake(home).batches)
    versions = (
        settings.catalog_version,
        settings.accounts_version,
        settings.prices_version,
        settings.code_version,
    )
    return built == (since_epoch, *versions, batches, closing_count)


def _need_read_files(session: Session) -> None:
    from pipelines.ingest import by_reason, pending

    home = session.settings.home
    found = pending(home, session.configuration.sources, session.settings.quiet)
    closed = [(file.name, file.reason) for file in found.left if file.may_count]
    if found.files or closed:
        waiting = [*(file.name for file in found.files), *(name for name, _ in closed)]
        why = by_reason([*((file.name, file.waits) for file in found.files if file.waits), *closed])
        or_else = "; make readable what cannot be opened, or take it out of the inbox" if closed else ""
        raise MeterhouseError(
            f"{_some(waiting, 'usage file')} in the inbox {'waits' if len(waiting) == 1 else 'wait'} unread"
            + "".join(f"; {reason}" for reason in why),
            where=str(home.inbox),
            remedy=f"`meterhouse run` reads them{or_else}; close after that. Nothing was issued",
        )
    refused = [(file.name, f"{file.reason}; not read") for file in found.left if file.is_told]
    session.warnings += by_reason(refused)


def _need_past(session: Session, through: date) -> None:
    if through >= session.as_of.date():
        raise MeterhouseError(
            f"{through} is not over: it is {session.as_of.date()} (UTC)",
            where=f"closing through {through}",
            remedy="close cycles that have ended; nothing was issued",
        )


def _need_over(warehouse: Path, through: date) -> None:
    """Cycles end by the customer's own calendar, which may lag behind UTC."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        open_cycles = connection.execute(
            "select customer_id || ' (to ' || cast(period_end - 1 as date) || ')' from int_unissued_invoices"
            " where status = 'draft' and period_end <= $day_after order by customer_id, period_end",
            {"day_after": through + timedelta(days=1)},
        ).fetchall()
    if open_cycles:
        named = [words for (words,) in open_cycles]
        raise MeterhouseError(
            f"{_some(named, 'cycle')} not over by the customer's calendar",
            where=f"closing through {through}",
            remedy="wait until that day has ended there, or close an earlier day; nothing was issued",
        )


def _show(session: Session, settings: BuildSettings, manifest: Manifest, closing: Closing) -> None:
    """Bring the marts up to the ledger and publish them; what was issued stays issued whatever happens."""
    home = session.settings.home
    # A build of its own: what the one before it read is not new to it.
    session.build_id = uuid.uuid4().hex
    try:
        with session.steps.step("Bringing the marts up to date") as step:
            result = builds.build(
                home,
                replace(settings, build_id=session.build_id),
                manifest,
                on_progress=lambda done, _, name: step.update(done, None, name),
                select=_changed_by_closing(manifest),
            )
        if result.failures:
            kept = aside.keep_failed_build(home)
            raise MeterhouseError("\n  ".join(map(str, result.failures)), where=str(kept))
        aside.promote_build(home)
        with session.steps.step("Publishing"):
            shown = replace(settings, build_id=session.build_id)
            session.published = publish_build(home, shown, manifest, session.settings.now())
        interruption.has_done(f"{_is_issued(closing)}, and it is published")
    except MeterhouseError as error:
        raise MeterhouseError(
            f"{_is_issued(closing)}, but the marts could not follow: {error.what}",
            where=error.where,
            remedy=_PUBLISHES,
        ) from error


def _changed_by_closing(manifest: Manifest) -> Sequence[str]:
    """The ledger's tables and all that reads them, but for rating."""
    books = [
        model["name"]
        for model in models_in(manifest, ["staging"])
        if model["name"].startswith("stg_ledger__")
    ]
    return readers_of(manifest, books, without=_UNCHANGED_BY_CLOSING)


def _is_issued(closing: Closing) -> str:
    return f"closing {closing.closing_number} is issued and in the ledger"


def _forget_build(home: Home) -> None:
    shutil.rmtree(aside.building_file(home).parent, ignore_errors=True)


def _some(names: Sequence[str], noun: str) -> str:
    """'2 cycles, a and b'; of many the first few."""
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{len(names)} {noun}{'s' if len(names) > 1 else ''} ({shown})"
