"""Everything in some definitions that people, their configuration and their records call by a name."""

from typing import Any

import dagster as dg

from pg_migration.postgres.catalog import ListedColumn, TableListing

ID = ListedColumn("id", "bigint", True)
TABLES = (
    TableListing("public", "orders", "r", "What was bought", (ID,), (("sales", "log"),)),
    TableListing("sales", "log", "r", None, (ID, ListedColumn("told", "text", False)), ()),
    TableListing("sales", "odd name", "p", None, (ID,), ()),
)
SCHEMAS = {"public": "public", "sales": "archive"}


def described(definitions: dg.Definitions) -> dict[str, Any]:
    """As values that JSON has."""
    graph, repository = definitions.resolve_asset_graph(), definitions.get_repository_def()
    return {
        "assets": {
            node.key.to_user_string(): {
                "group": node.group_name,
                "parents": sorted(key.to_user_string() for key in node.parent_keys),
                "partitions": getattr(node.partitions_def, "name", None),
                "kinds": sorted(node.kinds),
                "checks": sorted(key.name for key in node.check_keys),
            }
            for node in graph.asset_nodes
        },
        "jobs": {
            job.name: {
                "steps": sorted(node.name for node in job.graph.nodes),
                "tags": sorted(job.tags),
                "executor": job.executor_def.name,
                "resources": sorted(set(job.resource_defs) - {"io_manager"}),
                "pools": sorted(
                    {op.pool for node in job.graph.nodes for op in node.definition.iterate_op_defs() if op.pool}
                ),
            }
            for job in repository.get_all_jobs()
        },
        "schedules": {
            schedule.name: [schedule.job_name, schedule.cron_schedule, schedule.default_status.value]
            for schedule in repository.schedule_defs
        },
        "sensors": {
            sensor.name: [sorted(target.job_name for target in sensor.targets), sensor.default_status.value]
            for sensor in repository.sensor_defs
        },
        "resources": {
            name: sorted(getattr(resource.config_schema.config_type, "fields", {}))
            for name, resource in repository.get_top_level_resources().items()
        },
    }
