"""What concerns all assets alike: who is responsible for them, and how old they may be."""

import dagster as dg

from pg_migration.orchestration.pair import Pair


def attended(assets: dg.AssetsDefinition, pair: Pair) -> dg.AssetsDefinition:
    """The same assets, with the owners and the freshness policy that a pair names, where they have none of their own.

    Raises:
        ConfigurationError: as `Pair.fresh_within`.
    """
    owners, within = list(pair.owners), pair.fresh_within
    if not owners and within is None:
        return assets
    policy = dg.FreshnessPolicy.time_window(fail_window=within) if within is not None else None
    return assets.map_asset_specs(lambda spec: _attended(spec, owners, policy))


def _attended(spec: dg.AssetSpec, owners: list[str], policy: dg.FreshnessPolicy | None) -> dg.AssetSpec:
    return spec.replace_attributes(owners=list(spec.owners) or owners, freshness_policy=spec.freshness_policy or policy)
