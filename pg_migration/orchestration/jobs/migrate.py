"""Jobs ``migrate`` and ``validate``.

``define_asset_job`` refuses assets with different partitions definitions, while the implicit job of all assets takes
them. So ``migrate`` is the implicit job's graph under a name of its own, with two changes to what a step waits for:

- A step downstream of the tables waits for the step of the tables and for its checks, but no table has to have an
  output. A step is skipped when everything that it waits for has none, so it waits for `target_ddl`, too.
- ``validation`` and ``summary`` wait for nothing; their priority makes them the last ones. So they run, and tell, also
  when others failed.

This leans on how Dagster builds that job; pg_migration_tests/orchestration/jobs/test_jobs.py fails when that changes.
"""

from collections.abc import Mapping

import dagster as dg
from dagster import DependencyDefinition, MultiDependencyDefinition, NodeInvocation

from pg_migration.orchestration.dagster_internals.running import IDependencyDefinition
from pg_migration.orchestration.location.names import MIGRATE, SUMMARY, TABLES, TARGET_DDL, VALIDATION
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.runs.concurrency import run_tags

# Dagster shows no tab for the Launchpad of a job whose assets have different partitions, but the page is there. The
# link is relative to the job's page, as the name of the code location is part of both.
DESCRIPTION = """Copies everything from the source to the target in one run, from one snapshot, and proves it.

To start it, open the [Launchpad]({job}/playground) and press *Launch Run*. "Materialize all" is another thing: it
starts one run for each table, each from a snapshot of its own.

All tables are one step, `{tables}`. While it goes on, the asset [summary](../../../assets/{summary}) shows what each
worker does and how much is left."""

Inputs = Mapping[str, IDependencyDefinition]


def build_migrate(base: dg.Definitions, relations: Relations) -> dg.JobDefinition:
    """One job over every asset and check, whatever their partitions, in one process."""
    pair, summary = relations.pair, relations.key(SUMMARY)
    name, tables = pair.named(MIGRATE), pair.named(TABLES)
    last = {key.to_python_identifier() for key in (summary, relations.key(VALIDATION))}
    target_ddl = relations.key(TARGET_DDL).to_python_identifier()
    implicit = base.resolve_implicit_global_asset_job_def()
    graph = dg.GraphDefinition(
        name=name,
        node_defs=list(implicit.graph.node_defs),
        dependencies={
            node: {} if _name_of(node) in last else _inputs(wanted, tables, target_ddl)
            for node, wanted in implicit.graph.dependencies.items()
        },
    )
    return graph.to_job(
        name=name,
        description=DESCRIPTION.format(job=name, tables=tables, summary="/".join(summary.path)),
        asset_layer=implicit.asset_layer,
        tags=run_tags(pair),
        resource_defs=dict(implicit.resource_defs),
        executor_def=dg.in_process_executor,
    )


def _name_of(node: str | NodeInvocation) -> str:
    return node.name if isinstance(node, NodeInvocation) else node


def _inputs(inputs: Inputs, tables: str, target_ddl: str) -> Inputs:
    every = [source for wanted in inputs.values() for source in wanted.get_node_dependencies()]
    if any(source.node == tables for source in every):
        every.append(DependencyDefinition(target_ddl))
    # A step waits for steps: one input is enough to wait with, and one output of each of them. What Dagster writes down
    # of a run's plan would else name every table several times over.
    steps = {source.node: source for source in reversed(every)}
    return {next(iter(inputs)): MultiDependencyDefinition(list(reversed(steps.values())))} if every else inputs
