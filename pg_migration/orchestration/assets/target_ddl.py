"""The asset ``target_ddl``: everything in the target that rows need."""

import dagster as dg

from pg_migration.orchestration.assets.source_schema import _extension_rows, left_alone
from pg_migration.orchestration.location.names import BEFORE_ROWS
from pg_migration.orchestration.metadata import sql_block
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import tell, told_plainly
from pg_migration.postgres.catalog import Phase
from pg_migration.postgres.ddl import reconcile
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.structure import _drop, lost_with, make
from pg_migration.postgres.transfer.extension_rows import ExtensionRows


def build_target_ddl() -> dg.AssetsDefinition:
    """The asset of schemas, types, functions, sequences and empty tables in the target."""

    @dg.asset(
        group_name=BEFORE_ROWS,
        kinds={"postgres"},
        deps=["source_schema"],
        description="Schemas, types, functions, sequences and tables in the target. A table that is there is kept when "
        "its columns are the same; when they differ, the run stops before it changes anything.",
    )
    def target_ddl(
        context: dg.AssetExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> dg.MaterializeResult[None]:
        with told_plainly(migration.outcomes.failures):
            begin(context, migration)
            target = migration.call(migration.target_catalog)
            plan = reconcile(migration.catalog, target, migration.options.drop_existing_tables)
            lost = [*lost_with(plan), *migration.call(lambda: _drop(migration, plan))]
            taken_back = plan.surplus.taken_back
            migration.dropped = tuple(item for item in plan.dropped if item.address not in taken_back)
            wanted = [item for item in plan.create if item.phase is Phase.PRE_DATA]
            statements = [*plan.drop, *migration.call(lambda: make(context, migration, wanted))]
            of_extensions = migration.call(lambda: list(_extension_rows(migration)))
        notices = (f"{n.kind} {n.name}: {n.reason}" for n in plan.notices)
        migration.outcomes.notes += [*lost, *left_alone(plan.surplus), *notices]
        for done in of_extensions:
            if isinstance(done, ExtensionRows):
                migration.outcomes.notes.append(str(done))
            else:
                tell(context, migration, str(done))
        return dg.MaterializeResult(
            metadata={
                "ddl": sql_block(statements),
                "dropped": len(plan.dropped),
                "created": len(wanted),
                "kept": len(plan.keep),
                "extension_rows": sum(done.rows for done in of_extensions if isinstance(done, ExtensionRows)),
            }
        )

    return target_ddl
