"""How a run's events are stored many at once, each as Dagster stores it.

Dagster stores an event in up to nine statements, some of which hold all of it again as JSON that is made anew for each.
Here the events of a moment are a handful of statements, and each is made into JSON once. What is in the tables
afterwards is the same, but for what nobody has seen: of several states that an asset went through in that moment, the
last one is written. pg_migration_tests/orchestration/storage/test_writing.py compares with Dagster's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from dagster import AssetCheckEvaluation, DagsterEventType, EventLogEntry, EventLogRecord
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from pg_migration.orchestration.dagster_internals.storing import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    AssetCheckExecutionsTable,
    AssetKeyTable,
    CheckStatus,
    SqlEventLogStorage,
    SqlEventLogStorageTable,
    datetime_from_timestamp,
)

# Parameters of one statement; SQLite had 999 at most for long.
MOST_PARAMETERS = 500

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """An event, its row in the table of events, and the row's number there once it is known."""

    event: EventLogEntry
    row: Row
    id: int = 0

    @property
    def kind(self) -> DagsterEventType | None:
        """What it tells."""
        return self.event.dagster_event_type

    @property
    def data(self) -> Any:
        """What it tells in particular."""
        return self.event.get_dagster_event().event_specific_data

    @property
    def subject(self) -> str:
        """The asset, as tables have it."""
        key = self.event.get_dagster_event().asset_key or self.data.asset_key
        return str(key.to_string())


def entries(log: SqlEventLogStorage, events: Iterable[EventLogEntry]) -> list[Entry]:
    """The rows of some events."""
    return [Entry(event, log._event_to_row(event)) for event in events]


def insert(connection: Connection, found: Sequence[Entry]) -> list[Entry]:
    """Write rows of events in the connection's transaction; the same with their numbers."""
    if not found:
        return []
    table, rows = SqlEventLogStorageTable, [entry.row for entry in found]
    numbers: Iterable[int]
    if connection.dialect.name == "sqlite":
        # Which returns the numbers of several rows in no order that it promises, but has one writer at a time, who gets
        # numbers in sequence (SQLite docs: SQLite Autoincrement).
        connection.execute(sa.insert(table), rows)
        last = connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one()
        numbers = range(last - len(rows) + 1, last + 1)
    else:
        numbers = connection.execute(
            sa.insert(table).returning(table.c.id, sort_by_parameter_order=True), rows
        ).scalars()
    return [Entry(entry.event, entry.row, number) for entry, number in zip(found, numbers, strict=True)]


def derive(log: SqlEventLogStorage, connection: Connection, found: Sequence[Entry], dated: bool) -> list[Entry]:
    """Write what Dagster keeps of events in tables of their own: assets, their tags, checks.

    Args:
        connection: has a transaction.
        dated: whether the table of assets has the columns that old databases lack until they are migrated.

    Returns:
        Events about checks that Dagster has to store by itself, after the transaction.
    """
    assets = [entry for entry in found if entry.kind in ASSET_EVENTS and entry.event.get_dagster_event().asset_key]
    if assets:
        log._store_asset_event_tags(connection, [entry.event for entry in assets], [entry.id for entry in assets])
        _write_assets(connection, _states(log, assets, dated))
    checks = [entry for entry in found if entry.kind in ASSET_CHECK_EVENTS]
    planned = [entry for entry in checks if entry.kind is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED]
    plain = [entry for entry in planned if entry.data.partitions_subset is None]
    if plain:
        connection.execute(sa.insert(AssetCheckExecutionsTable), [_planned(entry) for entry in plain])
    made = [entry for entry in checks if entry.kind is DagsterEventType.ASSET_CHECK_EVALUATION]
    expected = _expected(connection, [entry for entry in made if entry.data.partition is None])
    if expected:
        connection.execute(_UPDATE, [_evaluated(entry) for entry in expected])
    done = {id(entry) for entry in (*plain, *expected)}
    return [entry for entry in checks if id(entry) not in done]


def materializations(found: Iterable[Entry]) -> Mapping[str, EventLogRecord]:
    """The last materialization of each asset, as Dagster reads it."""
    made = (entry for entry in found if entry.kind is DagsterEventType.ASSET_MATERIALIZATION)
    return {entry.subject: EventLogRecord(entry.id, entry.event) for entry in made}


def evaluations(found: Iterable[Entry]) -> list[EventLogEntry]:
    """Those that are about checks that were made."""
    return [entry.event for entry in found if entry.kind is DagsterEventType.ASSET_CHECK_EVALUATION]


def _states(log: SqlEventLogStorage, assets: Iterable[Entry], dated: bool) -> Mapping[str, Row]:
    """The last state of each asset, in the columns that its events tell of."""
    states: dict[str, dict[str, Any]] = {}
    for entry in assets:
        states.setdefault(entry.subject, {}).update(
            _materialized(entry, dated)
            if entry.kind is DagsterEventType.ASSET_MATERIALIZATION
            else log._get_asset_entry_values(entry.event, entry.id, dated)
        )
    return states


def _materialized(entry: Entry, dated: bool) -> Row:
    """As Dagster's ``_get_asset_entry_values``, with the event's JSON that there is."""
    record = f'{{"__class__": "EventLogRecord", "event_log_entry": {entry.row["event"]}, "storage_id": {entry.id}}}'
    moment = {"last_materialization_timestamp": datetime_from_timestamp(entry.event.timestamp)} if dated else {}
    return {"last_materialization": record, "last_run_id": entry.event.run_id, **moment}


def _write_assets(connection: Connection, states: Mapping[str, Row]) -> None:
    alike: dict[tuple[str, ...], list[Row]] = {}
    for key, state in states.items():
        alike.setdefault(tuple(sorted(state)), []).append({"asset_key": key, **state})
    for columns, rows in alike.items():
        if connection.dialect.name == "sqlite":
            statement: Any = sqlite.insert(AssetKeyTable)
        else:
            statement = postgresql.insert(AssetKeyTable)
        told = {name: statement.excluded[name] for name in columns}
        if told:
            connection.execute(statement.on_conflict_do_update(index_elements=["asset_key"], set_=told), rows)


def _planned(entry: Entry) -> Row:
    return {
        "asset_key": entry.subject,
        "check_name": entry.data.check_name,
        "partition": None,
        "run_id": entry.event.run_id,
        "execution_status": CheckStatus.PLANNED.value,
        "evaluation_event": entry.row["event"],
        "evaluation_event_timestamp": entry.row["timestamp"],
        "evaluation_event_storage_id": entry.id,
    }


def _expected(connection: Connection, made: Sequence[Entry]) -> list[Entry]:
    """The evaluations that were planned, whose rows are there to be filled, once each."""
    known: set[tuple[str, str, str]] = set()
    table = AssetCheckExecutionsTable
    subjects = sorted({entry.subject for entry in made})
    runs = sorted({entry.event.run_id for entry in made})
    for begin in range(0, len(subjects), MOST_PARAMETERS):
        wanted = sa.select(table.c.asset_key, table.c.check_name, table.c.run_id).where(
            table.c.asset_key.in_(subjects[begin : begin + MOST_PARAMETERS]),
            table.c.run_id.in_(runs),
            table.c.partition.is_(None),
        )
        known.update((key, check, run) for key, check, run in connection.execute(wanted))
    return [e for e in made if (e.subject, e.data.check_name, e.event.run_id) in known]


_UPDATE = (
    sa.update(AssetCheckExecutionsTable)
    .where(
        AssetCheckExecutionsTable.c.asset_key == sa.bindparam("of_asset"),
        AssetCheckExecutionsTable.c.check_name == sa.bindparam("of_check"),
        AssetCheckExecutionsTable.c.run_id == sa.bindparam("of_run"),
        AssetCheckExecutionsTable.c.partition.is_(None),
    )
    .values(
        execution_status=sa.bindparam("status"),
        evaluation_event=sa.bindparam("json"),
        evaluation_event_timestamp=sa.bindparam("at"),
        evaluation_event_storage_id=sa.bindparam("number"),
        materialization_event_storage_id=sa.bindparam("materialization"),
    )
)


def _evaluated(entry: Entry) -> Row:
    evaluation: AssetCheckEvaluation = entry.data
    target = evaluation.target_materialization_data
    return {
        "of_asset": entry.subject,
        "of_check": evaluation.check_name,
        "of_run": entry.event.run_id,
        "status": (CheckStatus.SUCCEEDED if evaluation.passed else CheckStatus.FAILED).value,
        "json": entry.row["event"],
        "at": entry.row["timestamp"],
        "number": entry.id,
        "materialization": target.storage_id if target else None,
    }
