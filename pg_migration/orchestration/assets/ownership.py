"""What concerns all assets alike: who is responsible for them, and how old they may be."""

import dagster as dg

from pg_migration.orchestration import environment


def attended(assets: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The same assets, with the owners and the freshness policy that the environment names, if any.

    Raises:
        ConfigurationError: as `environment.fresh_within`.
    """
    owners, within = environment.owners(), environment.fresh_within()
    if not owners and within is None:
        return assets
    policy = dg.FreshnessPolicy.time_window(fail_window=within) if within is not None else None
    made = assets.map_asset_specs(lambda spec: spec.replace_attributes(owners=owners, freshness_policy=policy))
    made.__class__ = assets.__class__  # Dagster makes an object of the base class
    return made
