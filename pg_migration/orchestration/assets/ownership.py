"""What concerns all assets alike: who is responsible for them, and how old they may be."""

import dagster as dg

from pg_migration.orchestration.pair import Pair


def attended(assets: dg.AssetsDefinition, pair: Pair) -> dg.AssetsDefinition:
    """The same assets, with the owners and the freshness policy that a pair names, if any.

    Raises:
        ConfigurationError: as `Pair.fresh_within`.
    """
    owners, within = list(pair.owners), pair.fresh_within
    if not owners and within is None:
        return assets
    policy = dg.FreshnessPolicy.time_window(fail_window=within) if within is not None else None
    return assets.map_asset_specs(lambda spec: spec.replace_attributes(owners=owners, freshness_policy=policy))
