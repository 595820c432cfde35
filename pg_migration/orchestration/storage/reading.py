"""What Dagster asks of each table alone, answered for all tables together.

A step that comes after the tables asks for the ranges of each one, for the last materialization of each, and for the
version of the data of each range, which ours have none of. That is four statements a table, twice in a run.
"""

import time
from abc import ABC
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from dagster import AssetCheckKey, AssetKey, DagsterEventType, DagsterInstance, EventLogEntry, EventLogRecord

from pg_migration.orchestration.dagster_internals.storing import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    CheckStatus,
    DynamicPartitionsTable,
    SqlEventLogStorage,
    SqlEventLogStorageTable,
)

# What others write meanwhile is seen so much later.
REMEMBERED_SECONDS = 1.0


@dataclass
class _Remembered:
    """Answers for all tables, and when they were got."""

    partitions: dict[str, list[str]] | None = None
    tagged: dict[frozenset[str], frozenset[str]] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)


class AnsweringTogether(SqlEventLogStorage, ABC):
    """An event log that asks its database once for what a step asks of every table.

    Only in the process that executes a run, for a second at a time, and not for what it writes itself.
    """

    def __init__(self, *arguments: Any) -> None:
        self._remembered = _Remembered()
        self._written: dict[str, EventLogRecord] = {}
        self._evaluated: dict[str, list[EventLogEntry]] = {}
        super().__init__(*arguments)  # type: ignore[no-untyped-call]

    def executes(self) -> bool:
        """Whether this process executes a run."""
        return False

    def forget(self) -> None:
        """Ask the database again."""
        self._remembered = _Remembered()

    def wrote(self, materializations: Mapping[str, EventLogRecord], evaluations: Sequence[EventLogEntry]) -> None:
        """Keep what was written, to save reading it from JSON.

        Args:
            materializations: the last one of each asset.
            evaluations: of checks, in one run.
        """
        if not self.executes():
            return
        self._written.update(materializations)
        self._remembered.tagged.clear()
        for entry in evaluations:
            self._evaluated.setdefault(entry.run_id, []).append(entry)

    def ended(self) -> None:
        """Keep nothing of a run that has ended."""
        self._written.clear()
        self._evaluated.clear()

    def evaluations(self, run_id: str) -> Sequence[EventLogEntry]:
        """The checks that a run has made until now."""
        kept = self._evaluated.get(run_id, [])
        if self.count(run_id, DagsterEventType.ASSET_CHECK_EVALUATION) == len(kept):
            return kept
        return self.get_logs_for_run(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)

    def count(self, run_id: str, kind: DagsterEventType) -> int:
        """How many events of a kind a run has."""
        table = SqlEventLogStorageTable
        asked = sa.select(sa.func.count()).where(table.c.run_id == run_id, table.c.dagster_event_type == kind.value)
        with self.run_connection(run_id) as connection:
            return int(connection.execute(asked).scalar_one())

    def last_statuses(self, checks: Collection[AssetCheckKey]) -> Mapping[AssetCheckKey, CheckStatus]:
        """How each check stands that was ever planned, by what was planned of it last."""
        table = AssetCheckExecutionsTable
        last = sa.select(sa.func.max(table.c.id)).group_by(table.c.asset_key, table.c.check_name)
        asked = sa.select(table.c.asset_key, table.c.check_name, table.c.execution_status).where(table.c.id.in_(last))
        with self.index_connection() as connection:
            found = {(key, check): status for key, check, status in connection.execute(asked)}
        known = ((check, found.get((check.asset_key.to_string(), check.name))) for check in checks)
        return {check: CheckStatus(status) for check, status in known if status is not None}

    def ever_failed(self, checks: Collection[AssetCheckKey]) -> set[AssetCheckKey]:
        """Those of some checks that have not passed at some time."""
        table = AssetCheckExecutionsTable
        asked = (
            sa.select(table.c.asset_key, table.c.check_name)
            .where(table.c.execution_status == CheckStatus.FAILED.value)
            .distinct()
        )
        with self.index_connection() as connection:
            failed = {(key, check) for key, check in connection.execute(asked)}
        return {check for check in checks if (check.asset_key.to_string(), check.name) in failed}

    def _known(self) -> _Remembered:
        if time.monotonic() - self._remembered.since > REMEMBERED_SECONDS:
            self.forget()
        return self._remembered

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """The partitions of a definition, in the order in which they were added."""
        if not self.executes():
            return super().get_dynamic_partitions(partitions_def_name)
        known = self._known()
        if known.partitions is None:
            table = DynamicPartitionsTable
            known.partitions = {}
            with self.index_connection() as connection:
                for name, key in connection.execute(
                    sa.select(table.c.partitions_def_name, table.c.partition).order_by(table.c.id)
                ):
                    known.partitions.setdefault(name, []).append(key)
        return list(known.partitions.get(partitions_def_name, ()))

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Sequence[str]) -> None:
        """Add partitions to a definition; those that are there stay."""
        super().add_dynamic_partitions(partitions_def_name, partition_keys)
        self._remembered.partitions = None

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        """Delete a partition, if it is there."""
        super().delete_dynamic_partition(partitions_def_name, partition_key)
        self._remembered.partitions = None

    def add_partitions(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Add partitions to several definitions, in one transaction; none of them may be there."""
        table = DynamicPartitionsTable
        rows = [{"partitions_def_name": name, "partition": key} for name, keys in wanted.items() for key in keys]
        if rows:
            with self.index_transaction() as connection:
                connection.execute(sa.insert(table), rows)
            self._remembered.partitions = None

    def get_latest_tags_by_partition(
        self,
        asset_key: AssetKey,
        event_type: DagsterEventType,
        tag_keys: Sequence[str],
        *others: Any,
        **named: Any,
    ) -> Mapping[str, Mapping[str, str]]:
        """The tags of the last event of each partition: none of an asset that has no such tag at all."""
        if self.executes() and asset_key.to_string() not in self._tagged(frozenset(tag_keys)):
            return {}
        return super().get_latest_tags_by_partition(asset_key, event_type, tag_keys, *others, **named)

    def _tagged(self, tags: frozenset[str]) -> frozenset[str]:
        known = self._known().tagged
        if tags not in known:
            table = AssetEventTagsTable
            with self.index_connection() as connection:
                asked = sa.select(table.c.asset_key).where(table.c.key.in_(sorted(tags))).distinct()
                known[tags] = frozenset(connection.execute(asked).scalars())
        return known[tags]

    def _get_latest_materialization_records(
        self, raw_asset_rows: Sequence[Mapping[str, Any]]
    ) -> Mapping[AssetKey, EventLogRecord | None]:
        found: dict[AssetKey, EventLogRecord | None] = {}
        others = []
        for row in raw_asset_rows:
            written, key = self._written.get(row["asset_key"]), AssetKey.from_db_string(row["asset_key"])
            if key is not None and written is not None and _is(written, row):
                found[key] = written
            else:
                others.append(row)
        if others:
            found.update(super()._get_latest_materialization_records(others))
        return found


def _is(written: EventLogRecord, row: Mapping[str, Any]) -> bool:
    """Whether a row of the table of assets still holds a record, and nobody has wiped the asset."""
    told: str = row["last_materialization"] or ""
    return told.endswith(f'"storage_id": {written.storage_id}}}') and not row["asset_details"]


def check_evaluations(instance: DagsterInstance, run_id: str) -> Sequence[EventLogEntry]:
    """The checks that a run has made until now."""
    log = instance.event_log_storage
    if isinstance(log, AnsweringTogether):
        return log.evaluations(run_id)
    return instance.all_logs(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)


def number_of(instance: DagsterInstance, run_id: str, kind: DagsterEventType) -> int:
    """How many events of a kind a run has."""
    log = instance.event_log_storage
    if isinstance(log, AnsweringTogether):
        return log.count(run_id, kind)
    return len(instance.all_logs(run_id, of_type=kind))


def last_statuses(instance: DagsterInstance, checks: Collection[AssetCheckKey]) -> Mapping[AssetCheckKey, CheckStatus]:
    """How each check stands that was ever planned, by what was planned of it last."""
    log = instance.event_log_storage
    if isinstance(log, AnsweringTogether):
        return log.last_statuses(checks)
    return {key: record.status for key, record in log.get_latest_asset_check_execution_by_key(list(checks)).items()}


def ever_failed(instance: DagsterInstance, checks: Collection[AssetCheckKey]) -> Collection[AssetCheckKey]:
    """Those of some checks that may have not passed at some time."""
    log = instance.event_log_storage
    return log.ever_failed(checks) if isinstance(log, AnsweringTogether) else checks
