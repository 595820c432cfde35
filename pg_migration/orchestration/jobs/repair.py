"""The job ``repair``: compare, reload the key ranges that differ, refresh what reads them, and compare again."""

from collections.abc import Collection, Iterator

import dagster as dg
from pydantic import Field

from pg_migration.orchestration.assets.validation import validation_metadata
from pg_migration.orchestration.checks.large_objects import evaluations
from pg_migration.orchestration.checks.tables import compare_again
from pg_migration.orchestration.location.names import REPAIR, VALIDATION
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import materializations
from pg_migration.orchestration.runs.concurrency import run_tags
from pg_migration.orchestration.runs.failures import as_step_failure, fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.migration.steps.damage import repair_tables
from pg_migration.postgres.transfer.events import TableLoaded

# Graphs and ops share one name space.
STEP = "repair_tables"


Told = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.Output[None]


class RepairConfig(dg.Config):
    """What the step looks at."""

    tables: list[str] = Field(
        default=["*"], description="Patterns (fnmatch) of tables to compare and repair, as 'table' or 'schema.table'."
    )


def build_repair(relations: Relations, checks: Collection[dg.AssetCheckKey]) -> dg.JobDefinition:
    """One step over all tables, or those that its configuration names.

    Args:
        checks: all of the pair, of which the asset `validation` tells.
    """

    pair = relations.pair

    @dg.op(
        name=pair.named(STEP),
        description="Compares tables and reloads the key ranges that differ.",
        required_resource_keys={pair.resource},
    )
    def repair(context: dg.OpExecutionContext, config: RepairConfig) -> Iterator[Told]:
        migration = migration_of(context, pair)
        with as_step_failure(migration, context):
            known = {name: (listing.schema, listing.name) for name, listing in relations.listings.items()}
            for event in repair_tables(migration, config.tables, known):
                if isinstance(event, TableLoaded):
                    yield from materializations(relations.keys[migration.target_name(event.plan.table)], event)
            if (large_objects := migration.outcomes.large_objects) is not None:
                yield from evaluations(relations, large_objects)
            yield from compare_again(migration, relations, [*migration.outcomes.loaded, *migration.outcomes.failed])
        yield dg.AssetMaterialization(
            relations.key(VALIDATION), metadata=validation_metadata(context, relations, checks)
        )
        fail_if(migration.outcomes.failures, "the target is not repaired")
        yield dg.Output(None)

    # Not called after the job: Dagster refuses a code location with a graph and an op of one name.
    @dg.graph(name=pair.named("repair_graph"))
    def graph() -> None:
        repair()

    return graph.to_job(
        name=pair.named(REPAIR),
        tags=run_tags(pair),
        description="Compares the rows of source and target, reloads the key ranges that differ (a table that was not "
        "loaded in ranges as a whole), refreshes the materialized views over them, and compares them again. Tables "
        "that are the same are not touched.",
        executor_def=dg.in_process_executor,
    )
