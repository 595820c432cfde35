"""The last asset: what was migrated, what was not and why."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dagster as dg

from pg_migration.orchestration.location.names import AFTER_ROWS, SUMMARY
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure, markdown_text, table
from pg_migration.orchestration.reports.write import file_report, report_address
from pg_migration.orchestration.runs.begin import begin, is_whole_run
from pg_migration.orchestration.runs.failures import as_step_failure, fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.orchestration.table_results import NOT_COPIED, TableResult, table_result
from pg_migration.postgres.catalog import Phase, TableName
from pg_migration.postgres.ddl import missing
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import count, counted, listed, size
from pg_migration.postgres.ledger.chunks import LoadedRange
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.structure import return_everything

# Taken from the ready steps last: in the job `migrate` it runs whatever became of the others.
LAST = {"dagster/priority": "-100"}


COLUMNS = ("table", "rows", "bytes", "seconds", "state", "checks")


def build_summary(relations: Relations, after: list[dg.AssetKey]) -> dg.AssetsDefinition:
    """The asset ``summary``, downstream of everything."""

    @dg.asset(
        key=relations.key(SUMMARY),
        group_name=relations.pair.named(AFTER_ROWS),
        required_resource_keys={relations.pair.resource},
        deps=after,
        op_tags=LAST,
        output_required=False,
        description="What the run migrated, what it did not and why. It is materialized only when everything is "
        "there. After a failure it is observed, and tells what became of each table.",
    )
    def summary(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
        migration = migration_of(context, relations.pair)
        failures = migration.outcomes.failures
        if not is_whole_run(context) or not failures:
            with as_step_failure(migration, context):
                begin(context, migration, relations)
                earlier = migration.call(lambda: _copied_before(migration))
            names = sorted(relations.listings.keys() | {migration.target_name(t) for t in migration.catalog.tables})
        else:
            earlier, names = {}, sorted(relations.listings)
        results = [table_result(migration, name, earlier.get(name)) for name in names]
        failed_steps = _failed_steps(context)
        told = len(failures)
        if not is_whole_run(context) or not failures:
            failures += [_left_out(relations, result) for result in results if result.state == NOT_COPIED]
        failures += _left_undone(migration)
        if failures and migration.dropped:
            with as_step_failure(migration, context):
                migration.call(lambda: return_everything(migration))
        page = file_report(context.instance, migration, relations, results, unfinished_step=SUMMARY)
        context.log.info("\n" + _text(results, migration))
        if not failures:
            migration.outcomes.at_the_end = True
            # Nothing waits for an output, which would repeat all of this in the log.
            yield dg.AssetMaterialization(
                context.asset_key, metadata=_metadata(results, migration, _link(relations, page))
            )
            return
        yield dg.AssetObservation(context.asset_key, metadata=_metadata(results, migration, _link(relations, page)))
        if not failed_steps:
            fail_if(failures, "the migration is not complete")
        # The run has failed already, and its steps have told why; a second failure would read like a second cause.
        for failure in failures[told:]:
            context.log.error(failure)
        context.log.info(f"The migration is not complete. Why: {listed(failed_steps)}.")

    return summary


def _failed_steps(context: dg.AssetExecutionContext) -> list[str]:
    failures = context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return sorted({entry.step_key for entry in failures if entry.step_key})


def _left_out(relations: Relations, result: TableResult) -> str:
    return (
        f"{'.'.join(result.name)} is not complete in the target: it was neither copied nor excluded. If it is new in "
        f"the source, {relations.location.renewal} and start again"
    )


def _copied_before(migration: MigrationRun) -> Mapping[TableName, tuple[LoadedRange, ...]]:
    """What the ledger knows of tables that this run did not copy."""
    loaded = migration.outcomes.loaded
    tables = [table for table in migration.catalog.tables if migration.target_name(table) not in loaded]
    if not tables:
        return {}
    complete = migration.complete_in_ledger(tables)
    return {migration.target_name(table): complete[table.key] for table in tables if table.key in complete}


def _left_undone(migration: MigrationRun) -> list[str]:
    """What nobody tried to make, since a step before it failed: in one line, by name."""
    outcomes = migration.outcomes
    if not outcomes.failures or not (outcomes.loaded or outcomes.failed):
        return []
    tried, told = {outcome.object.address for outcome in outcomes.ddl}, "\n".join(outcomes.failures)
    later = [
        item
        for item in migration.catalog.objects
        if item.phase is not Phase.PRE_DATA
        and item.address not in tried
        and item.identity not in told
        and f"foreign key {item.name} of " not in told
    ]
    try:
        absent = migration.call(lambda: missing(migration.catalog, migration.target_catalogs.now()))
    except MigrationError:  # the target is gone, which has been told
        return []
    left = [item.identity for item in later if item in absent]
    return [f"not made, since an earlier step failed: {', '.join(left)}"] if left else []


def _text(results: Sequence[TableResult], migration: MigrationRun) -> str:
    parts = [*migration.cautions, markdown_text([result.row for result in results])]
    if (large_objects := migration.outcomes.large_objects) is not None:
        parts.append(str(large_objects))
    if (snapshot := migration.sides.snapshot) is not None and migration.outcomes.loaded:
        parts.append(
            f"All that is copied or continued is of the source's snapshot of "
            f"{snapshot.taken_at:%Y-%m-%d %H:%M:%S} UTC ({snapshot.name})"
        )
    if migration.outcomes.notes:
        parts += ["Notes", _listed(migration.outcomes.notes)]
    return "\n".join(parts)


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "none"


def _metadata(
    results: Sequence[TableResult], migration: MigrationRun, report: Mapping[str, Figure]
) -> dict[str, Figure]:
    outcomes = migration.outcomes
    snapshot = migration.sides.snapshot
    rows, there = sum(result.rows or 0 for result in results), sum(result.bytes or 0 for result in results)
    return {
        **report,
        "total": f"{count(rows)} rows, {size(there)}, in {counted(len(results), 'table')}",
        # The page has room for these; the report has all columns.
        "tables": table([{name: result.row[name] for name in COLUMNS} for result in results]),
        **({"snapshot": snapshot.name} if snapshot is not None else {}),
        # Of every table, whichever run copied it; as numbers the UI plots them.
        "rows": rows,
        "bytes": there,
        **({"large_objects": str(outcomes.large_objects)} if outcomes.large_objects is not None else {}),
        "notes": dg.MetadataValue.md(_listed([*migration.cautions, *outcomes.notes])),
        "failures": dg.MetadataValue.md(_listed(outcomes.failures)),
    }


def _link(relations: Relations, page: Path | None) -> Mapping[str, Figure]:
    """Where the report is: at an address, if a web server shows the folder, else on this machine's disk."""
    if page is None:
        return {}
    address = report_address(relations.pair, page)
    return {"report": dg.MetadataValue.url(address) if address else dg.MetadataValue.path(str(page))}
