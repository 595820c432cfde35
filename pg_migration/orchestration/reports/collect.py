"""From a run and its events to its report."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    DagsterEventType,
    DagsterInstance,
    MetadataValue,
    TableMetadataValue,
)

from pg_migration.orchestration.dagster_internals.running import (
    RunStepKeyStatsSnapshot,
    StepEventStatus,
    build_run_step_stats_from_events,
)
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.storage.reading import check_evaluations, number_of
from pg_migration.orchestration.table_results import TableResult, table_result
from pg_migration.postgres.catalog import Catalog, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.preflight import worst_first
from pg_migration.postgres.transfer.events import TableLoaded, WorkDone
from pg_migration.postgres.verification.row_differences import MAX_ROWS_SHOWN
from pg_migration.reporting.model import (
    CheckReport,
    Database,
    DifferencesReport,
    Figure,
    KindReport,
    Report,
    State,
    StepReport,
    TableReport,
    WorkReport,
)

_STEP_EVENTS = {
    DagsterEventType.STEP_START,
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_SKIPPED,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
    DagsterEventType.STEP_RESTARTED,
}
_STATES = {StepEventStatus.SUCCESS: State.SUCCEEDED, StepEventStatus.SKIPPED: State.SKIPPED}


def gather(
    instance: DagsterInstance,
    migration: MigrationRun,
    relations: Relations,
    results: Sequence[TableResult] | None = None,
    unfinished_step: str | None = None,
) -> Report:
    """The report of a run, as far as it has come.

    Args:
        instance: where its events are.
        migration: its state.
        relations: which asset stands for which table.
        results: what the summary says of each table; without a summary the report is about the tables that the run
            copied.
        unfinished_step: the step that asks, whose end can't be known yet.
    """
    found = instance.get_run_record_by_id(migration.run_id)
    assert found is not None, "a run is recorded before its first step"
    now = datetime.now(timezone.utc)
    steps = [step for step in _steps(instance, migration.run_id, relations.pair) if step.name != unfinished_step]
    checks = _checks(instance, migration.run_id, relations)
    outcomes, catalog = migration.outcomes, migration.known_catalog
    failures = list(
        dict.fromkeys([*outcomes.failures, *_untold(instance, migration.run_id, checks, outcomes.failures)])
    )
    ended = all(step.state is not State.FAILED for step in steps)
    return Report(
        run_id=migration.run_id,
        job=found.dagster_run.job_name,
        platform_version=version("pg_migration"),
        started_at=datetime.fromtimestamp(found.start_time, timezone.utc) if found.start_time else now,
        finished_at=now,
        succeeded=ended and not failures,
        source=_database(migration, relations.pair, Side.SOURCE),
        target=_database(migration, relations.pair, Side.TARGET),
        options=_options(migration.options),
        failures=tuple(failures),
        cautions=tuple(migration.cautions),
        notes=tuple(outcomes.notes),
        left_out=catalog.notices if catalog else (),
        findings=tuple(worst_first(outcomes.findings)),
        plan=outcomes.forecast,
        tables=_tables(migration, relations, results),
        checks=checks,
        checks_planned=number_of(instance, migration.run_id, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED),
        kinds=_kinds(migration, catalog),
        steps=tuple(sorted(steps, key=lambda step: (step.started_at is None, step.started_at))),
        differences=tuple(
            DifferencesReport(".".join(name), tuple(rows), more=len(rows) >= MAX_ROWS_SHOWN)
            for name, rows in sorted(outcomes.differences.items())
            if rows
        ),
        large_objects=str(outcomes.large_objects) if outcomes.large_objects is not None else None,
        work=tuple(_work(done) for done in sorted(outcomes.work, key=lambda done: done.started_at)),
    )


def _untold(
    instance: DagsterInstance, run_id: str, checks: Iterable[CheckReport], told: Sequence[str]
) -> Iterator[str]:
    """What failed although the run's own list of failures is empty: an interrupt, or an error that nobody foresaw."""
    if told:
        return
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE):
        failed = entry.get_dagster_event().step_failure_data
        said = failed.user_failure_data.description if failed.user_failure_data else None
        said = said or (failed.error.message if failed.error else "")
        yield f"step {entry.step_key} failed: {(said or '').strip()}"
    for check in checks:
        if check.outcome == "failed":
            yield f"{check.name} of {check.subject}: {check.verdict}"


def _steps(instance: DagsterInstance, run_id: str, pair: Pair) -> list[StepReport]:
    """How the steps of a run went. Dagster's own statistics read every materialization besides."""
    told = instance.all_logs(run_id, of_type=_STEP_EVENTS)
    return [_step(stats, pair) for stats in build_run_step_stats_from_events(run_id, told)]


def _step(stats: RunStepKeyStatsSnapshot, pair: Pair) -> StepReport:
    state = _STATES.get(stats.status, State.FAILED) if stats.status is not None else State.FAILED
    return StepReport(
        stats.step_key.removeprefix(pair.named("")), state, _moment(stats.start_time), _moment(stats.end_time)
    )


def _moment(timestamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(timestamp, timezone.utc) if timestamp else None


def _database(migration: MigrationRun, pair: Pair, side: Side) -> Database:
    configured = pair.known_endpoint(side)  # where there is none, the failures tell of it
    where = migration.outcomes.addresses.get(side, configured.description if configured is not None else None)
    schemas = migration.known_schemas
    names = tuple(schemas if side is Side.SOURCE else schemas.values())
    return Database(where, migration.outcomes.servers.get(side), names)


def _options(options: Options) -> dict[str, int | float | bool | str | list[str] | dict[str, Any] | None]:
    """The run configuration, by the names that it has there."""
    return options.model_dump()


def _tables(
    migration: MigrationRun, relations: Relations, results: Sequence[TableResult] | None
) -> tuple[TableReport, ...]:
    outcomes = migration.outcomes
    work: dict[TableName, list[WorkDone]] = {}
    for done in outcomes.work:
        work.setdefault(done.table, []).append(done)
    if results is None:
        results = [table_result(migration, name) for name in {*outcomes.loaded, *outcomes.failed}]
    found = [_table(result, migration, relations, work.get(result.name, ())) for result in results]
    return tuple(sorted(found, key=_failures_then_size))


def _failures_then_size(table: TableReport) -> tuple[bool, int, int, str]:
    return not table.failed, -(table.source_bytes or table.bytes or 0), -(table.rows or 0), table.title


def _state_of(loaded: TableLoaded) -> str:
    if loaded.continued is None:
        return "copied"
    return "carried" if loaded.continued.carried else "continued"


def _table(result: TableResult, migration: MigrationRun, relations: Relations, work: Sequence[WorkDone]) -> TableReport:
    name, outcomes = result.name, migration.outcomes
    loaded, failed = outcomes.loaded.get(name), outcomes.failed.get(name)
    plan = loaded.plan if loaded else failed.plan if failed else None
    listing = relations.listings.get(name)
    source = plan.table.key if plan else (listing.schema, listing.name) if listing else name
    state = _state_of(loaded) if loaded else result.state
    return TableReport(
        schema=name[0],
        name=name[1],
        source=".".join(source),
        state=state,
        remark=failed.error if failed else result.state if result.state != state else None,
        rows=result.rows,
        moved_rows=sum(done.rows for done in work) if work else None,
        bytes=result.bytes,
        moved_bytes=sum(done.bytes for done in work) if work else None,
        source_bytes=plan.bytes if plan else None,
        copy_seconds=result.seconds,
        build_seconds=loaded.build_seconds if loaded else None,
        ranges=result.ranges,
        chunks=plan.chunk_count if plan else None,
        wire_format=plan.wire_format if plan else None,
        started_at=min((done.started_at for done in work), default=None),
        finished_at=max((done.finished_at for done in work), default=None),
        workers=tuple(sorted({done.worker for done in work})),
    )


def _kinds(migration: MigrationRun, catalog: Catalog | None) -> tuple[KindReport, ...]:
    counts = dict(catalog.counts) if catalog else {}
    # An index and the constraint that takes it over are two pieces of work on one object.
    built: dict[tuple[str, TableName, str], bool] = {}
    for done in migration.outcomes.work:
        if done.activity in counts:
            key = (done.activity, done.table, done.detail)
            built[key] = built.get(key, True) and done.succeeded
    results = [(kind, made) for (kind, _, _), made in built.items()]
    results += [(outcome.object.kind, outcome.made) for outcome in migration.outcomes.ddl]
    tally = Counter(results)
    kinds = sorted(set(counts) | {kind for kind, _ in results})
    return tuple(KindReport(k, counts.get(k, 0), tally[k, True], tally[k, False]) for k in kinds)


def _checks(instance: DagsterInstance, run_id: str, relations: Relations) -> tuple[CheckReport, ...]:
    """The checks of the run, those that failed first."""
    entries = check_evaluations(instance, run_id)
    found = [_check(entry.asset_check_evaluation, relations) for entry in entries if entry.asset_check_evaluation]
    rank = {"failed": 0, "warning": 1, "passed": 2}
    return tuple(sorted(found, key=lambda check: (rank[check.outcome], check.subject, check.name)))


def _check(evaluation: AssetCheckEvaluation, relations: Relations) -> CheckReport:
    table = relations.tables_by_key.get(evaluation.asset_key)
    figures = {name: value for name, entry in evaluation.metadata.items() if (value := _figure(entry)) is not None}
    return CheckReport(
        subject=".".join(table) if table else evaluation.asset_key.path[-1],
        name=evaluation.check_name,
        passed=evaluation.passed,
        warning=evaluation.severity == AssetCheckSeverity.WARN,
        verdict=evaluation.description or "",
        figures=figures,
        findings=tuple(_findings(evaluation)),
    )


def _findings(evaluation: AssetCheckEvaluation) -> Iterator[dict[str, str]]:
    """The table of a check; there is at most one."""
    for entry in evaluation.metadata.values():
        if isinstance(entry, TableMetadataValue):
            names = [column.name for column in entry.schema.columns]  # records that were stored have lost their order
            yield from ({name: str(record.data[name]) for name in names} for record in entry.records)


def _figure(entry: MetadataValue[Any]) -> Figure | None:
    """What of a check's metadata is a number or a text."""
    return entry.value if isinstance(entry.value, int | float | str) else None


def _work(done: WorkDone) -> WorkReport:
    return WorkReport(
        done.worker,
        done.activity,
        ".".join(done.table),
        done.detail,
        done.started_at,
        done.finished_at,
        done.succeeded,
        done.rows,
        done.bytes,
        done.run,
    )
