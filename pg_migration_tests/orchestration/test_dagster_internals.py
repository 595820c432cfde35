"""What we take from Dagster beyond its public API: for each name what it is for, and what to do when it changes.

A test that fails here after an update of Dagster names the place; nothing else has to be searched.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import psutil
import pytest
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.sql import get_alembic_config
from dagster._daemon.auto_run_reexecution import auto_run_reexecution
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage

from pg_migration.orchestration.dagster_internals import commands, components, launching, running, storing


def has(owner: object, *names: str) -> bool:
    missing = [name for name in names if not hasattr(owner, name)]
    assert not missing, f"{owner} lacks {missing}"
    return True


def takes(function: Callable[..., Any], *parameters: str) -> bool:
    known = inspect.signature(function).parameters
    missing = [name for name in parameters if name not in known]
    assert not missing, f"{function} does not take {missing}: {[*known]}"
    return True


@dg.asset(pool="p")
def thing() -> None:
    """An asset to make a plan of."""


def plan_without_pools() -> bool:
    job = dg.Definitions([thing]).resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection=frozenset({thing.key}), asset_check_selection=frozenset())
    plan = running.create_execution_plan(subset, run_config={}, instance_ref=None, tags={})
    assert plan.step_keys_to_execute == ["thing"]
    found = running.snapshot_from_execution_plan(plan, subset.get_job_snapshot_id())
    assert isinstance(found, running.ExecutionPlanSnapshot)
    assert [step.pool for step in found.steps] == ["p"]
    return [step.pool for step in found._replace(steps=[s._replace(pool=None) for s in found.steps]).steps] == [None]


@dataclass(frozen=True)
class Use:
    """``why`` we need it, and what to do ``otherwise``: where it is gone or does not hold any more."""

    why: str
    otherwise: str
    holds: Callable[[], object] = lambda: True


def tag(name: str, value: str, why: str) -> tuple[str, Use]:
    otherwise = "Dagster's documentation lists the tags of runs: take the new name, and read both for runs of before."
    return name, Use(why, otherwise, lambda: getattr(running, name) == value)


RUNNING = dict(
    [
        tag("ASSET_PARTITION_RANGE_START_TAG", "dagster/asset_partition_range_start", "the first partition of a run"),
        tag("ASSET_PARTITION_RANGE_END_TAG", "dagster/asset_partition_range_end", "the last partition of a run"),
        tag("PARTITION_NAME_TAG", "dagster/partition", "the only partition of a run"),
        tag("BACKFILL_ID_TAG", "dagster/backfill", "runs that the UI started together wait for each other"),
        tag("REPOSITORY_LABEL_TAG", ".dagster/repository", "pruning leaves runs of other code locations alone"),
        tag("MAX_RETRIES_TAG", "dagster/max_retries", "the daemon may start a run again"),
        tag("RETRY_STRATEGY_TAG", "dagster/retry_strategy", "and then all of it, from a new snapshot"),
        tag(
            "RETRY_ON_ASSET_OR_OP_FAILURE_TAG",
            "dagster/retry_on_asset_or_op_failure",
            "but not for a failure that comes again",
        ),
        tag("WILL_RETRY_TAG", "dagster/will_retry", "the daemon writes false when it could not start a run again"),
        tag("AUTO_RETRY_RUN_ID_TAG", "dagster/auto_retry_run_id", "or the run that it has started instead"),
        tag("PARENT_RUN_ID_TAG", "dagster/parent_run_id", "a run that we start in its place says for which"),
        tag("ROOT_RUN_ID_TAG", "dagster/root_run_id", "and which was the first, so that the daemon counts them"),
        tag("RETRY_NUMBER_TAG", "dagster/retry_number", "as the daemon numbers them"),
    ]
) | {
    "TAGS_TO_MAYBE_OMIT_ON_RETRY": Use(
        "what a run that starts again does not inherit from the failed one",
        "see DagsterInstance.create_reexecuted_run, use_parent_run_tags",
        lambda: {running.WILL_RETRY_TAG, running.AUTO_RETRY_RUN_ID_TAG} <= set(running.TAGS_TO_MAYBE_OMIT_ON_RETRY),
    ),
    "FAILED_TO_RETRY": Use(
        "the daemon tries once to start a run again, and leaves this in the run's log when it could not",
        "where the daemon tries again by itself, delete the sensor missed_retries; else take the new words",
        lambda: f'"{running.FAILED_TO_RETRY}"' in inspect.getsource(auto_run_reexecution),
    ),
    "IMPLICIT_ASSET_JOB_NAME": Use(
        "runs of materializing in the UI are pruned, too",
        "look up the job of such a run in the UI, and take its name",
        lambda: dg.Definitions([thing]).resolve_implicit_global_asset_job_def().name == running.IMPLICIT_ASSET_JOB_NAME,
    ),
    "SINGLETON_REPOSITORY_NAME": Use(
        "runs from the command line carry the label that the UI gives to those of the code location",
        "see DagsterRun.tags_for_storage, and what the UI calls the repository",
        lambda: dg.Definitions().get_repository_def().name == running.SINGLETON_REPOSITORY_NAME,
    ),
    "STEPS_LOGGER": Use(
        "warnings about checks that have no result on purpose are dropped from this logger",
        "find the module that logs 'emitted no result'; else people see a warning a check, and no more",
        lambda: "emitted no result" in inspect.getsource(__import__(running.STEPS_LOGGER, fromlist=["x"])),
    ),
    "IDependencyDefinition": Use(
        "a type: what a node of the job `migrate` waits for",
        "take the type of GraphDefinition.dependencies; tests of the job tell whether its order holds",
        lambda: (
            issubclass(dg.MultiDependencyDefinition, running.IDependencyDefinition)
            and has(running.IDependencyDefinition, "get_node_dependencies")
        ),
    ),
    "UnresolvedAssetJobDefinition": Use(
        "a type: what define_asset_job returns",
        "take the type that it returns then",
        lambda: isinstance(dg.define_asset_job("j"), running.UnresolvedAssetJobDefinition),
    ),
    "create_execution_plan": Use(
        "a run that copies a share of a table is made with the steps of that share",
        "see how Dagster's GraphQL server makes the plan of a run before it is launched",
        plan_without_pools,
    ),
    "snapshot_from_execution_plan": Use(
        "the same, as the run keeps it", "as create_execution_plan", plan_without_pools
    ),
    "ExecutionPlanSnapshot": Use(
        "its steps are put outside of pools: the run that waits for them holds the place",
        "as create_execution_plan; without this a pool of one place waits for ever",
        plan_without_pools,
    ),
    "JobPythonOrigin": Use(
        "which code a run that is launched by another one runs",
        "see DagsterInstance.create_run, job_code_origin",
        lambda: (
            takes(running.JobPythonOrigin, "job_name", "repository_origin")
            and takes(dg.DagsterInstance.create_run, "job_code_origin", "remote_job_origin", "execution_plan_snapshot")
        ),
    ),
    "RemoteJobOrigin": Use(
        "where the daemon finds that code",
        "see DagsterInstance.create_run, remote_job_origin",
        lambda: {"repository_origin", "job_name"} <= running.RemoteJobOrigin.__annotations__.keys(),
    ),
    "RemoteRepositoryOrigin": Use(
        "runs from the command line stand in the timeline of the UI, which goes by their origin",
        "see GraphenePipelineRun.resolve_repositoryOrigin, and what `dagster run migrate-repository` changes",
        lambda: (
            {"code_location_origin", "repository_name"} <= running.RemoteRepositoryOrigin.__annotations__.keys()
            and has(dg.DagsterInstance, "run_storage")
        ),
    ),
    "RegisteredCodeLocationOrigin": Use(
        "the same: an origin that is known by the name of the code location alone",
        "as RemoteRepositoryOrigin",
        lambda: running.RegisteredCodeLocationOrigin("here").location_name == "here",
    ),
    "build_run_step_stats_from_events": Use(
        "how the steps of a run went, from the few events that tell it",
        "see what EventLogStorage.get_step_stats_for_run makes of events",
        lambda: takes(running.build_run_step_stats_from_events, "run_id", "entries"),
    ),
    "RunStepKeyStatsSnapshot": Use(
        "times and state of each step, for the report",
        "compute them from the events STEP_START, STEP_SUCCESS, STEP_FAILURE and STEP_SKIPPED",
        lambda: takes(running.RunStepKeyStatsSnapshot, "step_key", "status", "start_time", "end_time"),
    ),
    "StepEventStatus": Use(
        "the same",
        "as RunStepKeyStatsSnapshot",
        lambda: has(running.StepEventStatus, "SUCCESS", "SKIPPED", "FAILURE"),
    ),
    "SerializableErrorInfo": Use(
        "a type: an error as events hold it",
        "take the type of StepFailureData.error",
        lambda: takes(running.SerializableErrorInfo, "message", "cls_name"),
    ),
}

_AS_DAGSTERS = "make DeploymentStorage hand out Dagster's own classes (slower, the same records), then write it anew"
_AS_WRITTEN = "as SqlEventLogStorage"


def _columns(table: Any) -> bool:
    """Those that test_writing.py compares, and no others: a new one would be left empty."""
    known = {
        "event_logs": "id run_id event dagster_event_type timestamp step_key asset_key partition",
        "asset_keys": "id asset_key last_materialization last_run_id asset_details wipe_timestamp "
        "last_materialization_timestamp tags create_timestamp cached_status_data",
        "asset_check_executions": "id asset_key check_name partition run_id execution_status evaluation_event "
        "evaluation_event_timestamp evaluation_event_storage_id materialization_event_storage_id create_timestamp",
    }
    return sorted(column.name for column in table.columns) == sorted(known[table.name].split())


def _revisions_are_read_once() -> bool:
    storing.read_revisions_once()
    config = get_alembic_config(sqlite_event_log.__file__)
    return ScriptDirectory.from_config(config) is ScriptDirectory.from_config(config)


STORING = {
    "DagsterStorage": Use(
        "the base of what dagster.yaml names as its storage",
        "see the base class of dagster_postgres.DagsterPostgresStorage",
        lambda: issubclass(DagsterPostgresStorage, storing.DagsterStorage),
    ),
    "ConfigurableClass": Use(
        "dagster.yaml makes our storage, without settings",
        "see how dagster_postgres.DagsterPostgresStorage is made from dagster.yaml",
        lambda: (
            has(storing.ConfigurableClass, "config_type", "from_config_value")
            and issubclass(DagsterPostgresStorage, storing.ConfigurableClass)
        ),
    ),
    "ConfigurableClassData": Use("how it was configured, handed on", "as ConfigurableClass"),
    "EventLogStorage": Use(
        "the process that stores the first event of a run holds the run's lock",
        _AS_DAGSTERS,
        lambda: takes(storing.EventLogStorage.store_event, "event") and has(storing.EventLogStorage, "has_instance"),
    ),
    "DagsterSqliteStorage": Use(
        "Dagster's records in SQLite, with our event log in the place of its own",
        _AS_DAGSTERS,
        lambda: (
            "_event_log_storage" in inspect.getsource(storing.DagsterSqliteStorage.__init__)
            and takes(storing.DagsterSqliteStorage.__init__, "base_dir", "inst_data")
            and "_event_log_storage" in inspect.getsource(DagsterPostgresStorage.__init__)
        ),
    ),
    "SqliteEventLogStorage": Use(
        "the event log, on connections that stay open: what is overridden, and what that calls",
        _AS_DAGSTERS,
        lambda: (
            has(
                storing.SqliteEventLogStorage,
                *("_connect", "_initdb", "path_for_shard", "conn_string_for_shard", "has_table", "dispose"),
                *("store_event_batch", "_has_asset_key_col_on_connection"),
            )
            and all(
                name in inspect.getsource(storing.SqliteEventLogStorage.__init__)
                for name in ("_base_dir", "_initialized_dbs")
            )
            and "_engine" in inspect.getsource(PostgresEventLogStorage.__init__)
        ),
    ),
    "CheckRecord": Use(
        "a type: an evaluation of a check, for the asset that says what differs since when",
        "take what EventLogStorage.get_asset_check_execution_history returns",
        lambda: (
            has(storing.CheckRecord, "evaluation")
            and takes(storing.EventLogStorage.get_asset_check_execution_history, "check_key", "limit", "status")
            and takes(storing.EventLogStorage.get_latest_asset_check_execution_by_key, "check_keys")
        ),
    ),
    "CheckStatus": Use("whether it passed", "as CheckRecord", lambda: has(storing.CheckStatus, "SUCCEEDED", "FAILED")),
    "SqlEventLogStorage": Use(
        "a run's events are written a moment's at a time: rows as Dagster makes them, and what it derives",
        "compare writing.py with store_event of Dagster's storages; test_writing.py shows the difference",
        lambda: (
            has(
                storing.SqlEventLogStorage,
                *("_event_to_row", "_store_asset_event_tags", "_get_asset_entry_values", "store_asset_check_event"),
                *("run_connection", "index_connection", "index_transaction"),
            )
            and issubclass(storing.SqliteEventLogStorage, storing.SqlEventLogStorage)
            and issubclass(PostgresEventLogStorage, storing.SqlEventLogStorage)
        ),
    ),
    "SqlEventLogStorageTable": Use(
        "the table of events", _AS_WRITTEN, lambda: _columns(storing.SqlEventLogStorageTable)
    ),
    "AssetKeyTable": Use("the table of assets", _AS_WRITTEN, lambda: _columns(storing.AssetKeyTable)),
    "AssetCheckExecutionsTable": Use(
        "the table of checks", _AS_WRITTEN, lambda: _columns(storing.AssetCheckExecutionsTable)
    ),
    "AssetEventTagsTable": Use(
        "which assets have tags at all: a step asks for those of each table",
        "see what get_latest_tags_by_partition reads",
        lambda: (
            has(storing.AssetEventTagsTable.c, "asset_key", "key")
            and takes(storing.SqlEventLogStorage.get_latest_tags_by_partition, "asset_key", "event_type", "tag_keys")
            and takes(storing.SqlEventLogStorage._get_latest_materialization_records, "raw_asset_rows")
        ),
    ),
    "DynamicPartitionsTable": Use(
        "the ranges of all tables in one statement, read and written",
        "see get_dynamic_partitions and add_dynamic_partitions",
        lambda: (
            sorted(column.name for column in storing.DynamicPartitionsTable.columns)
            == ["create_timestamp", "id", "partition", "partitions_def_name"]
        ),
    ),
    "ASSET_EVENTS": Use("which events are about assets", _AS_WRITTEN),
    "ASSET_CHECK_EVENTS": Use("which events are about checks", _AS_WRITTEN),
    "EVENT_TYPE_TO_PIPELINE_RUN_STATUS": Use("which events say how a run stands: these are not held back", _AS_WRITTEN),
    "ASSET_KEY_INDEX_COLS": Use("whether PostgreSQL's table of assets has all columns", _AS_WRITTEN),
    "datetime_from_timestamp": Use("when an asset was materialized, as its row has it", _AS_WRITTEN),
    "read_revisions_once": Use(
        "a new database of Dagster's costs no half a second of imports",
        "see what dagster._core.storage.sql.stamp_alembic_rev reads",
        lambda: _revisions_are_read_once(),
    ),
    "INDEX_SHARD_NAME": Use("the file of the event log that all runs share", _AS_DAGSTERS),
    "SQLITE_BUSY_TIMEOUT_SECONDS": Use("how long to wait for another process that writes", "take 60"),
}

COMMANDS = {
    "InstanceRef": Use(
        "a home without a dagster.yaml gets the project's storage",
        "see how DagsterInstance.get reads a dagster.yaml",
        lambda: takes(commands.InstanceRef.from_dir, "base_dir", "overrides"),
    ),
    "without_telemetry": Use(
        "our commands count nothing on Dagster's behalf, and work where the home can't be written",
        "see what DagsterInstance.get_settings reads",
        lambda: _telemetry_is_off(),
    ),
    "count_without_failing": Use(
        "Dagster's usage statistics of a run ask for partitions that all assets of a step have in common",
        "see what dagster._core.execution.api calls before a run, and whether the error is still raised",
        lambda: _runs_are_counted(),
    ),
    "without_mirrors": Use(
        "our commands show a run themselves: what steps print is captured, without four processes a step",
        "see what LocalComputeLogManager.capture_logs calls",
        lambda: _nothing_is_mirrored(),
    ),
}


def _nothing_is_mirrored() -> bool:
    """In processes of their own, as Dagster does by itself; and all is captured."""
    mirrors = []

    @dg.op
    def talk() -> None:
        sys.stdout.write("said\n")
        mirrors.extend(child for child in psutil.Process().children() if child.name() == "tail")

    with TemporaryDirectory() as home, dg.DagsterInstance.local_temp(home) as instance, commands.without_mirrors():
        dg.GraphDefinition("talking", node_defs=[talk]).to_job().execute_in_process(instance=instance)
        captured = [file.read_text() for file in Path(home).rglob("*.out")]
    return not mirrors and captured == ["said\n"]


def _runs_are_counted() -> bool:
    """A job of an instance that counts, over a step whose assets have different partitions."""

    @dg.multi_asset(
        specs=[dg.AssetSpec(n, partitions_def=dg.DynamicPartitionsDefinition(name=n), skippable=True) for n in "ab"],
        can_subset=True,
    )
    def both() -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult("a")

    commands.count_without_failing()
    told: list[str] = []
    with TemporaryDirectory() as home:
        settings = {"telemetry": {"enabled": True}}
        with dg.DagsterInstance.local_temp(home, overrides=settings) as instance, pytest.MonkeyPatch.context() as patch:
            patch.setattr(commands, "_count", lambda *_, **__: told.append(str(both.partitions_def)))
            getattr(commands.api, commands.LOG)(instance=instance, source="here")
    return told == [] and f"    {commands.LOG}(" in inspect.getsource(commands.api)


def _telemetry_is_off() -> bool:
    with dg.DagsterInstance.ephemeral() as instance:
        commands.without_telemetry(instance)
        return bool(instance.get_settings("telemetry") == {"enabled": False} and not instance.telemetry_enabled)


_AS_LAUNCHERS = "see what Dagster's monitoring of runs asks of a launcher"

LAUNCHING = {
    "CheckRunHealthResult": Use(
        "our launcher says that the process of a run is gone",
        _AS_LAUNCHERS,
        lambda: (
            takes(dg.DefaultRunLauncher.check_run_worker_health, "run")
            and has(dg.DefaultRunLauncher, "supports_check_run_worker_health")
        ),
    ),
    "WorkerStatus": Use("the same", _AS_LAUNCHERS, lambda: has(launching.WorkerStatus, "RUNNING", "FAILED")),
}

COMPONENTS = {
    "ComponentTree": Use(
        "commands ask a project for its pairs",
        "see what `dg list defs` loads a project with",
        lambda: (
            takes(components.ComponentTree.for_project, "path_within_project")
            and takes(components.ComponentTree.get_all_components, "of_type")
        ),
    ),
    "discover_config_file": Use(
        "commands find the project that a folder belongs to",
        "see how `dg` finds it",
        lambda: takes(components.discover_config_file, "path"),
    ),
    "load_toml_as_dict": Use(
        "commands read what `dg` is told of a project",
        "read it with a library",
        lambda: takes(components.load_toml_as_dict, "path"),
    ),
    "TranslatorResolvingInfo": Use(
        "the translation of a document is read as in components of Dagster's own",
        "see what TranslationFnResolver does with a model",
        lambda: (
            takes(components.TranslatorResolvingInfo, "asset_attributes", "resolution_context", "model_key")
            and takes(components.TranslatorResolvingInfo.get_asset_spec, "base_spec", "context")
        ),
    ),
    "using_dagster_dev": Use(
        "a source that is down when `dagster dev` starts takes no other pair's assets away",
        "see when StateBackedComponent.build_defs refreshes its state",
        lambda: components.using_dagster_dev() in (False, True),
    ),
}

PLACES = {running: RUNNING, storing: STORING, commands: COMMANDS, launching: LAUNCHING, components: COMPONENTS}


@pytest.mark.parametrize("module", PLACES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_name_is_accounted_for(module: Any) -> None:
    assert sorted(module.__all__) == sorted(PLACES[module])


@pytest.mark.parametrize(
    ("name", "use"),
    [(name, use) for uses in PLACES.values() for name, use in uses.items()],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_it_is_what_we_take_it_for(name: str, use: Use) -> None:
    told = f"Dagster's {name} is not what it was. We need it since: {use.why}. Now: {use.otherwise}."
    try:
        holds = use.holds()
    except Exception as error:
        raise AssertionError(told) from error
    assert holds, told
