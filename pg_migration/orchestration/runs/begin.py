"""How a step begins: with everything that may not go ahead refused before the target is touched."""

import dagster as dg

from pg_migration.orchestration.dagster_internals.running import BACKFILL_ID_TAG
from pg_migration.orchestration.location.names import TARGET_DDL
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.runs.fan_out import check_queue
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.figures import listed, sentence
from pg_migration.postgres.migration.run import MigrationRun, Scope


def is_whole_run(context: dg.AssetExecutionContext) -> bool:
    """Whether this run migrates everything, rather than a selection made in the UI."""
    return not context.run.asset_selection


def begin(context: dg.AssetExecutionContext, migration: MigrationRun, relations: Relations) -> None:
    """Connect, check that the run may go ahead, and take the snapshot, once in a run.

    Raises:
        MigrationError: for everything that a user can mend; the target was not touched.
    """
    _check_nothing_left_out(context)
    check_every_step(context, relations)
    if migration.options.refresh == "swap" and migration.sides.snapshot is None and not migration.swaps:
        raise ConfigurationError(
            "refresh 'swap' loads everything: start the job migrate, or set refresh to 'in_place' for this run, which "
            "then empties and fills the live tables that it is about. Nothing was changed."
        )
    if migration.options.follow and migration.sides.snapshot is None and not migration.live.follows:
        raise ConfigurationError(
            "follow copies everything: start the job migrate, or set follow to false for this run. Nothing was changed."
        )
    if migration.options.spread_over:
        check_queue(context)
    migration.begin(is_whole_run(context), _scope(context, relations))


def _scope(context: dg.AssetExecutionContext, relations: Relations) -> Scope:
    """What a run may empty: all, or of a selection made in the UI the tables in it."""
    selected = context.run.asset_selection
    if not selected:
        return Scope()
    tables = frozenset(table for table, key in relations.keys.items() if key in selected)
    return Scope(tables, structure=relations.key(TARGET_DDL) in selected)


def check_every_step(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, relations: Relations) -> None:
    """Refuse to work for a run that was launched by a code location which knew less of the source than this process.

    Whoever launches a run plans it from the definitions that the code location made when it was loaded, while the
    process of the run makes them anew. A kind of step that there was no reason for then (no table was known, or none
    with foreign keys) is not executed, and the run would end green without it. A table that is new to a step that was
    planned is in it.

    Raises:
        ConfigurationError: naming what there are steps for now.
    """
    run = context.run
    identifier = run.execution_plan_snapshot_id
    if identifier is None or run.asset_selection or run.asset_check_selection:  # whoever selects leaves out on purpose
        return
    planned = _steps(context.instance, identifier)
    unplanned = sorted({node.name for node in context.job_def.nodes} - planned)
    if unplanned:
        known = relations.location.tables
        raise ConfigurationError(
            f"the code location knew less of the source when it launched this run than there is: the run has no step "
            f"{', '.join(unplanned)}, without which it would leave out rows or keys, or not compare them. The source "
            f"has {len(known):,} tables now: {listed(f'{table.schema}.{table.name}' for table in known)}. It was empty "
            f"or could not be reached when the code location was loaded, or has got its first table or foreign key "
            f"since. {sentence(relations.location.renewal)} and start the run again; nothing was changed."
        )


def _steps(instance: dg.DagsterInstance, plan: str) -> frozenset[str]:
    """The steps of a plan, which is known by a hash of all it says: large, as it names every asset, and read once."""
    if plan not in _known_plans:
        _known_plans.clear()
        _known_plans[plan] = frozenset(step.key for step in instance.get_execution_plan_snapshot(plan).steps)
    return _known_plans[plan]


_known_plans: dict[str, frozenset[str]] = {}


def _check_nothing_left_out(context: dg.AssetExecutionContext) -> None:
    """Refuse to work for a backfill that includes tables without any range.

    Dagster fixes what a backfill does when it is launched. A table whose ranges were not registered then counts as done
    with none of its rows copied, and the backfill would end green.

    Raises:
        ConfigurationError: naming these tables.
    """
    launched = context.run.tags.get(BACKFILL_ID_TAG)
    backfill = context.instance.get_backfill(launched) if launched else None
    if backfill is None or backfill.asset_selection is None or backfill.asset_backfill_data is None:
        return
    empty = set(backfill.asset_selection) - backfill.asset_backfill_data.target_subset.asset_keys
    if empty:
        names = ", ".join(sorted(key.to_user_string() for key in empty))
        raise ConfigurationError(
            f"this backfill would copy nothing of {names}: no key ranges were registered when it was launched. The "
            f"sensor planned_ranges registers them within a minute, where the daemon runs, the sensor is on and the "
            f"source answers. Launch the backfill again once these assets have partitions, or start the job migrate, "
            f"which needs none."
        )
