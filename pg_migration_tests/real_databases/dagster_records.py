"""Dagster's own records in PostgreSQL, after a few runs."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg


@dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name="pieces"))
def piece(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """A partitioned asset."""
    return dg.MaterializeResult(metadata={"key": context.partition_key, "share": 1 / 3, "none": float("nan")})


@dg.asset_check(asset=piece)
def is_whole() -> dg.AssetCheckResult:
    """A check of it."""
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="„not“ \\ 'whole'")


def main(url: str) -> None:
    with TemporaryDirectory() as home:
        address = url.replace("postgresql://", "postgresql+psycopg2://")
        (Path(home) / "dagster.yaml").write_text(
            f'storage: {{postgres: {{postgres_url: "{address}"}}}}\ntelemetry: {{enabled: false}}\n'
        )
        with dg.DagsterInstance.from_config(home) as instance:
            keys = ["..10", "11..20", "日本"]
            instance.add_dynamic_partitions("pieces", keys)
            for key in keys:
                assert dg.materialize([piece, is_whole], instance=instance, partition_key=key).success
            instance.delete_dynamic_partition("pieces", keys[0])


if __name__ == "__main__":
    main(sys.argv[1])
