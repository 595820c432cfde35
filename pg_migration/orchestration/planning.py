"""Job ``plan``: how `migrate` would copy every table, without writing anything."""

import dagster as dg

from pg_migration.orchestration import settings
from pg_migration.orchestration.failing import told_plainly
from pg_migration.orchestration.metadata import Figure, markdown, markdown_text
from pg_migration.orchestration.run import MigrationRun
from pg_migration.postgres.forecast import Forecast, forecast, usual_speed
from pg_migration.reporting import figures

PLAN = "plan"


@dg.op(name="copy_plan", description="Per table, in the order of the copy: rows, bytes, format, ranges, chunks, time.")
def _copy_plan(context: dg.OpExecutionContext, migration: dg.ResourceParam[MigrationRun]) -> dg.Output[None]:
    with told_plainly(migration.outcomes.failures):
        migration.options.check()
        found = migration.call(lambda: look_ahead(migration))
        migration.outcomes.forecast = found
    lines = [*migration.cautions, markdown_text(_rows(found)), figures.forecast(found)]
    context.log.info("\n" + "\n".join(lines))
    return dg.Output(None, metadata=plan_metadata(found))


@dg.job(
    name=PLAN,
    tags={settings.PAIR_TAG: settings.pair()},
    description="Shows how `migrate` would copy every table: in which order, format, ranges and chunks, and about how "
    "long that takes. Writes nothing.",
    executor_def=dg.in_process_executor,
)
def plan_job() -> None:
    """The job."""
    _copy_plan()


def look_ahead(run: MigrationRun) -> Forecast:
    """What `migrate` would do with the tables, at the speed of earlier runs to this target."""
    return forecast(run.plan(run.catalog.tables), run.workers(), usual_speed(run.target_connection))


def plan_metadata(found: Forecast) -> dict[str, Figure]:
    """The plan as asset metadata."""
    return {
        "plan": markdown(_rows(found)),
        "planned_rows": found.rows,
        "planned_bytes": found.bytes,
        "planned_chunks": found.chunks,
        "planned_workers": found.workers,
        "estimated_seconds": round(found.seconds, 1),
    }


def _rows(found: Forecast) -> list[dict[str, object]]:
    return [
        {
            "order": number,
            "table": table.table,
            "rows": table.rows,
            "bytes": table.bytes,
            "format": table.wire_format,
            "cut by": table.cut_by,
            "ranges": len(table.ranges),
            "chunks": table.chunks,
            "frozen": table.frozen,
            "seconds": table.seconds,
        }
        for number, table in enumerate(found.tables, 1)
    ]
