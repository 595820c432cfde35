"""What the code location offers, for one small schema: a change here is a change of what users see and call."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from pg_migration_tests.orchestration.harness import Platform

MORE = """
CREATE TABLE lines (
    order_id bigint REFERENCES orders,
    number smallint,
    replaces smallint,
    amount numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, number),
    FOREIGN KEY (order_id, replaces) REFERENCES lines
);
CREATE TABLE readings (taken date, value double precision) PARTITION BY RANGE (taken);
CREATE TABLE readings_2024 PARTITION OF readings FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE VIEW totals AS SELECT order_id, sum(amount) FROM lines GROUP BY order_id;
"""

GRAPH = {
    # asset: (group, what it depends on)
    "source_schema": ("before_rows", set()),
    "target_ddl": ("before_rows", {"source_schema"}),
    "public/customers": ("public", {"target_ddl"}),
    "public/lines": ("public", {"target_ddl"}),
    "public/orders": ("public", {"target_ddl"}),
    "public/readings": ("public", {"target_ddl"}),
    "public/readings_2024": ("public", {"target_ddl"}),
    "public/foreign_keys": ("public", {"public/lines", "public/orders", "public/customers"}),
    "post_data": (
        "after_rows",
        {"target_ddl", "public/customers", "public/lines", "public/orders", "public/readings", "public/readings_2024"},
    ),
    "live": ("after_rows", {"post_data", "public/foreign_keys"}),
    "replication": ("after_rows", {"live"}),
    "summary": ("after_rows", {"live", "post_data", "public/foreign_keys"}),
    "validation": ("after_rows", {"public/foreign_keys"}),
}
TABLES = {asset for asset in GRAPH if asset.startswith("public/") and asset != "public/foreign_keys"}


@pytest.fixture(scope="module")
def definitions(shop_once: Callable[..., Platform]) -> dg.Definitions:
    return shop_once(MORE).definitions


def test_assets_groups_and_dependencies(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {
        node.key.to_user_string(): (node.group_name, {parent.to_user_string() for parent in node.parent_keys})
        for node in graph.asset_nodes
    }
    assert found == GRAPH


def test_every_asset_tells_what_it_is(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for node in graph.asset_nodes:
        assert node.description
        assert node.kinds or node.key.path in (["summary"], ["validation"])
    for name, side in (("source_schema", "source"), ("target_ddl", "target")):
        (place,) = (value for key, value in graph.get(dg.AssetKey(name)).metadata.items() if key == side)
        assert place.startswith("127.0.0.1:")
    customers = graph.get(dg.AssetKey(["public", "customers"]))
    assert customers.description.startswith("Who buys")
    assert {"postgres", "table"} <= customers.kinds
    schema = customers.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert [(c.name, c.type, c.constraints.nullable) for c in schema.columns] == [
        ("id", "integer", False),
        ("name", "character varying(40)", False),
        ("balance", "numeric(12,2)", True),
        ("initial", "text", True),
    ]


def test_each_table_has_its_own_ranges_and_nothing_else_has(definitions: dg.Definitions) -> None:
    found = {
        node.key.to_user_string(): node.partitions_def.name
        for node in definitions.resolve_asset_graph().asset_nodes
        if isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
    }
    assert found == {asset: f"pk_ranges/{asset.replace('/', '.')}" for asset in TABLES}


def test_each_table_has_a_blocking_row_count(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in graph.asset_check_keys if key.name == "row_count"]
    assert {spec.asset_key.to_user_string() for spec in specs} == TABLES
    assert all(spec.blocking and spec.partitions_def is None for spec in specs)


def test_tables_are_one_step_and_foreign_keys_another(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    steps: dict[str, set[str]] = {}
    for node in graph.asset_nodes:
        if not node.is_materializable:  # no step makes it
            assert node.key == dg.AssetKey("replication")
            continue
        steps.setdefault(node.assets_def.op.name, set()).add(node.key.to_user_string())
        assert node.assets_def.can_subset == (len(node.key.path) > 1)
    assert steps["tables"] == TABLES
    assert steps["foreign_keys"] == {"public/foreign_keys"}


def test_resources_and_their_defaults(definitions: dg.Definitions) -> None:
    assert set(definitions.resources or {}) >= {"source", "target", "migration"}
    defaults = {
        "chunk_size": 100_000,
        "exclude_tables": [],
        "use_unlogged_tables": False,
        "drop_existing_tables": False,
        "partition_threshold": 1_000_000,
        "max_partitions": 8,
    }
    found = _config(definitions, {})
    assert {name: found.get(name) for name in defaults} == defaults
    assert _config(definitions, {"workers": 3})["workers"] == 3


def test_unknown_configuration_is_refused(definitions: dg.Definitions) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="chunk_sise"):
        _config(definitions, {"chunk_sise": 5})


def _config(definitions: dg.Definitions, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the resource `migration` as a run of `migrate` gets it."""
    job = definitions.resolve_job_def("migrate")
    resolved = dg.validate_run_config(job, {"resources": {"migration": {"config": config}}})
    found: dict[str, Any] = resolved["resources"]["migration"]["config"]
    return found


def test_a_code_server_loads_everything(definitions: dg.Definitions) -> None:
    """It looks closer than whoever resolves one job: a graph and an op of one name are an error."""
    definitions.get_repository_def().load_all_definitions()
