"""Assets of the lake: configuration versions, and the events, rejects and batches read from the inbox."""

from collections.abc import Iterator, Sequence

import dagster as dg

from pipelines.errors import MeterhouseError, describe_os_error
from pipelines.lake.checks import stale_sources, unbalanced_batches
from pipelines.notify.reports import report
from pipelines.session import Session

INBOX = dg.AssetKey(["home", "inbox"])
CATALOG_FILES = dg.AssetKey(["home", "catalog"])
ACCOUNTS_FILES = dg.AssetKey(["home", "accounts"])
CATALOG = dg.AssetKey(["lake", "catalog"])
ACCOUNTS = dg.AssetKey(["lake", "accounts"])
EVENTS = dg.AssetKey(["lake", "events"])
REJECTS = dg.AssetKey(["lake", "rejects"])
BATCHES = dg.AssetKey(["lake", "batches"])
PRICES = dg.AssetKey(["lake", "prices"])

files = [
    dg.AssetSpec(INBOX, group_name="files", kinds={"file"}, description="Raw usage files, as sent."),
    dg.AssetSpec(
        CATALOG_FILES, group_name="files", kinds={"yaml"}, description="Meters, plans and prices, as written."
    ),
    dg.AssetSpec(
        ACCOUNTS_FILES,
        group_name="files",
        kinds={"csv"},
        description="Customers and subscriptions, as written.",
    ),
]


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            CATALOG, deps=[CATALOG_FILES], kinds={"parquet"}, description="The catalog version in use."
        ),
        dg.AssetSpec(
            ACCOUNTS, deps=[ACCOUNTS_FILES], kinds={"parquet"}, description="The accounts version in use."
        ),
    ],
    group_name="lake",
    required_resource_keys={"session"},
)
def configuration(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """Validate the documents and keep this version of them."""
    session: Session = context.resources.session
    with failing(session):
        loaded = session.adopt()
    yield dg.MaterializeResult(asset_key=CATALOG, metadata={"version": loaded.catalog_version})
    yield dg.MaterializeResult(asset_key=ACCOUNTS, metadata={"version": loaded.accounts_version})


@dg.multi_asset(
    specs=[
        dg.AssetSpec(key, deps=[INBOX, CATALOG], kinds={"parquet"}, description=description)
        for key, description in (
            (EVENTS, "Accepted events, typed, by UTC date."),
            (REJECTS, "Rejected records, whole, with the reason."),
            (BATCHES, "One row per file read."),
        )
    ],
    group_name="lake",
    required_resource_keys={"session"},
)
def usage(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """Read the files of the inbox that are new."""
    from pipelines.ingest import by_reason, ingest_inbox
    from pipelines.lake.proof import need_whole

    session: Session = context.resources.session
    if session.starts_over:
        with session.steps.step("Verifying the lake") as step, failing(session):
            need_whole(session.settings.home, step.update)
    with session.steps.step("Reading usage files") as step, failing(session):
        session.ingest = ingest_inbox(
            session.settings.home,
            session.configuration.sources,
            session.as_of,
            on_progress=lambda source_file, file_number, file_count, rows_read: step.update(
                file_number - 1, file_count, f"{source_file}: {rows_read:,} rows"
            ),
            quiet=session.settings.quiet,
        )
    read = session.ingest
    left = [(file.name, f"{file.reason}; left alone") for file in read.left if file.is_told]
    odd = [(batch.source_file, warning) for batch in read.batches for warning in batch.warnings]
    session.warnings += by_reason([*left, *odd])
    session.warnings += [
        f"{batch.source_file}: {batch.separate_event_count} event ids name events over 35 days apart"
        for batch in read.batches
        if batch.separate_event_count
    ]
    yield dg.MaterializeResult(
        asset_key=EVENTS, metadata={"accepted": read.accepted_count, "duplicates": read.duplicate_count}
    )
    for warning in session.warnings:
        context.log.warning(warning)
    yield dg.MaterializeResult(
        asset_key=REJECTS, metadata={"rejected": read.rejected_count, **read.reject_reasons}
    )
    yield dg.MaterializeResult(
        asset_key=BATCHES,
        metadata={
            "files": len(read.batches),
            "unreadable": len(read.unreadable),
            "left_alone": len(left),
            "rows_read": read.rows_read,
        },
    )


@dg.asset(
    key=PRICES,
    deps=[EVENTS],
    group_name="lake",
    kinds={"parquet"},
    description="The public price list, and the models of events by its names.",
    required_resource_keys={"session"},
)
def prices(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Keep the installed price list and resolve the names that new events brought."""
    from pipelines.costs import refresh_prices, resolve_new_names

    session: Session = context.resources.session
    with session.steps.step("Resolving models and prices"), failing(session):
        version = refresh_prices(session.settings.home, session.as_of)
        substitutes = session.configuration.catalog.alerts.models.substitutes
        names = resolve_new_names(session.settings.home, substitutes)
    unknown = [" ".join(filter(None, name)) for name in names.unknown]
    return dg.MaterializeResult(
        metadata={
            "version": version.version,
            "prices": version.rows,
            "new_names": names.names,
            "unknown": unknown,
        }
    )


@dg.asset_check(asset=BATCHES, blocking=True, required_resource_keys={"session"})
def rows_are_conserved(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Rows read = accepted + duplicates + rejected, in every batch."""
    session: Session = context.resources.session
    faults = unbalanced_batches(session.settings.home)
    if faults:
        session.failure = MeterhouseError(
            "; ".join(faults),
            where=str(session.settings.home.lake / "commits"),
            remedy="a batch lost rows: keep the lake as it is and report this; nothing was published",
        )
    return dg.AssetCheckResult(passed=not faults, metadata={"unbalanced": faults})


@dg.asset_check(asset=EVENTS, required_resource_keys={"session"})
def sources_are_fresh(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Every source that sent files before has sent one lately."""
    session: Session = context.resources.session
    home = session.settings.home
    stale = stale_sources(home, session.configuration.sources, session.as_of)
    for source in stale:
        report("source_stale", str(source), str(home.inbox), "ask whoever sends these files", home=home)
    session.warnings += [str(source) for source in stale]
    return dg.AssetCheckResult(
        passed=not stale,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={source.name: source.last_file_at.isoformat() for source in stale},
    )


class failing:
    """Keeps what went wrong for whoever started the run, and says it in the run's log."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno is not None:
            error = describe_os_error(error)
        if isinstance(error, MeterhouseError):
            self._session.failure = error
            raise dg.Failure(description=str(error), allow_retries=False) from error


assets: Sequence[dg.AssetsDefinition | dg.AssetSpec | dg.AssetChecksDefinition] = [
    *files,
    configuration,
    usage,
    prices,
    rows_are_conserved,
    sources_are_fresh,
]
