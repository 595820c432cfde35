"""What concerns all assets alike: who is responsible for them, how old they may be, how many steps read the source."""

import dagster as dg

from pg_migration.orchestration import settings
from pg_migration.orchestration.naming import legal
from pg_migration.postgres.endpoint import Side


def attended(assets: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The same assets, with the owners and the freshness policy that the environment names, if any.

    Raises:
        ConfigurationError: as `settings.fresh_within`.
    """
    owners, within = settings.owners(), settings.fresh_within()
    if not owners and within is None:
        return assets
    policy = dg.FreshnessPolicy.time_window(fail_window=within) if within is not None else None
    made = assets.map_asset_specs(lambda spec: spec.replace_attributes(owners=owners, freshness_policy=policy))
    made.__class__ = assets.__class__  # Dagster makes an object of the base class
    return made


def source_pool() -> str:
    """The pool of steps that open a connection to the source for each worker: one for each source database.

    dagster.yaml limits how many runs with such steps go on at once; that runs on one target queue up is another matter,
    see `pg_migration.orchestration.jobs.run_tags`.
    """
    return f"source_{legal(settings.place(Side.SOURCE))}"
