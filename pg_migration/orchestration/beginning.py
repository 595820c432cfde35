"""How a step begins: with everything that may not go ahead refused before the target is touched."""

import dagster as dg

from pg_migration.orchestration.run import MigrationRun
from pg_migration.orchestration.spreading import demand_queue
from pg_migration.postgres.errors import ConfigurationError

BACKFILL_TAG = "dagster/backfill"


def is_whole_run(context: dg.AssetExecutionContext) -> bool:
    """Whether this run migrates everything, rather than a selection made in the UI."""
    return not context.run.asset_selection


def begin(context: dg.AssetExecutionContext, migration: MigrationRun) -> None:
    """Connect, look before the leap, and take the snapshot, once in a run.

    Raises:
        MigrationError: for everything that a user can mend; the target was not touched.
    """
    _demand_nothing_left_out(context)
    if migration.options.spread_over:
        demand_queue(context)
    migration.begin(exclusive=is_whole_run(context))


def _demand_nothing_left_out(context: dg.AssetExecutionContext) -> None:
    """Refuse to work for a backfill that includes tables without any range.

    Dagster fixes what a backfill does when it is launched. A table whose ranges were not registered then counts as done
    with none of its rows copied, and the backfill would end green.

    Raises:
        ConfigurationError: naming these tables.
    """
    launched = context.run.tags.get(BACKFILL_TAG)
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
