"""Of the storages that Dagster keeps its records in."""

from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord as CheckRecord
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    DynamicPartitionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster._time import datetime_from_timestamp

__all__ = [
    "ASSET_CHECK_EVENTS",
    "ASSET_EVENTS",
    "ASSET_KEY_INDEX_COLS",
    "EVENT_TYPE_TO_PIPELINE_RUN_STATUS",
    "INDEX_SHARD_NAME",
    "SQLITE_BUSY_TIMEOUT_SECONDS",
    "AssetCheckExecutionsTable",
    "AssetEventTagsTable",
    "AssetKeyTable",
    "CheckRecord",
    "CheckStatus",
    "ConfigurableClass",
    "ConfigurableClassData",
    "DagsterSqliteStorage",
    "DagsterStorage",
    "DynamicPartitionsTable",
    "EventLogStorage",
    "SqlEventLogStorage",
    "SqlEventLogStorageTable",
    "SqliteEventLogStorage",
    "datetime_from_timestamp",
    "read_revisions_once",
]

_read = ScriptDirectory.from_config


@cache
def _of_folder(place: str | None) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(place))
    return _read(config)


def read_revisions_once() -> None:
    """From now on read in this process the revisions of Dagster's tables once, and not anew for each of its databases.

    Alembic imports some ninety scripts to find the newest one, with which a new database is stamped. There is a new one
    for each run in SQLite.
    """
    ScriptDirectory.from_config = _remembered  # type: ignore[method-assign]


def _remembered(config: Config) -> ScriptDirectory:
    return _of_folder(config.get_main_option("script_location"))
