"""The checks of every table, ``row_count`` and ``content``: the evidence that its rows are the source's."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from pg_migration.orchestration.dagster_internals.running import (
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    STEPS_LOGGER,
)
from pg_migration.orchestration.live_table import LiveTable
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import table
from pg_migration.orchestration.runs.concurrency import source_pool
from pg_migration.orchestration.runs.failures import fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.figures import listed
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.migration.comparison.compare_tables import compare_tables
from pg_migration.postgres.migration.comparison.verdict import CONTENT, ROW_COUNT, Verdict
from pg_migration.postgres.migration.options import Against
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.verification.both_sides import Answers
from pg_migration.postgres.verification.row_differences import ranges_that_differ

MAX_RANGES_SHOWN = 20

_DESCRIPTIONS = {
    ROW_COUNT: "Exact count(*) of both sides, in the run's snapshot when the run copied the rows, else as of now.",
    CONTENT: "A hash over all rows of both sides, whatever their order. Part of `validate`, and of a run that copies "
    "whole tables unless `check_content` is off. Where it differs, the first rows that do are listed; the job `repair` "
    "reloads the ranges that they are in.",
}

_COMPARED_WITH: Mapping[Against, str] = {"source": "the source as it is now", "ledger": "the ledger in the target"}

Metadata = Mapping[str, dg.MetadataValue[Any]]


def _is_about_something_else(record: logging.LogRecord) -> bool:
    """Not Dagster's warning about a check without a result, which it gives for each step that waits for the check.

    A check has none on purpose: for an excluded table, with `check_content` off. A step that owes one fails.
    """
    return "emitted no result" not in str(record.msg)


logging.getLogger(STEPS_LOGGER).addFilter(_is_about_something_else)


def build_table_checks(relations: Relations) -> dg.AssetChecksDefinition | None:
    """The blocking checks ``row_count`` and ``content`` of every table; None when there are no tables."""
    specs = [
        dg.AssetCheckSpec(name, asset=key, blocking=True, description=_DESCRIPTIONS[name])
        for key in relations.keys.values()
        for name in (ROW_COUNT, CONTENT)
    ]
    if not specs:
        return None

    @dg.multi_asset_check(
        name=relations.pair.named("table_checks"),
        specs=specs,
        can_subset=True,
        pool=source_pool(relations.pair),
        required_resource_keys={relations.pair.resource},
    )
    def table_checks(
        context: dg.AssetCheckExecutionContext,
    ) -> Iterator[dg.AssetCheckEvaluation | dg.AssetObservation]:
        migration = migration_of(context, relations.pair)
        wanted: dict[TableName, set[str]] = {}
        for check in context.selected_asset_check_keys:
            wanted.setdefault(relations.tables_by_key[check.asset_key], set()).add(check.name)
        if migration.sides.snapshot is not None:
            hashed = _hashable(context, migration, wanted)
            wanted = {name: checks if name in hashed else checks - {CONTENT} for name, checks in wanted.items()}
        told = len(migration.outcomes.failures)
        migration.log = context.log
        live_table = LiveTable(migration, relations)
        for verdict in compare_tables(migration, wanted):
            yield _evaluation(verdict, relations, migration)
            yield from live_table.observations()
        # Else Dagster fails the step, with the names of the checks and its own stack.
        fail_if(migration.outcomes.failures[told:], "the target does not hold what the source holds")

    return table_checks


def compare_again(
    run: MigrationRun, relations: Relations, tables: Iterable[TableName]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Both checks of some tables, for a job without assets; their names are the target's."""
    wanted = {name: {ROW_COUNT, CONTENT} for name in tables}
    for verdict in compare_tables(run, wanted) if wanted else ():
        yield _evaluation(verdict, relations, run)


def _hashable(
    context: dg.AssetCheckExecutionContext, run: MigrationRun, names: Collection[TableName]
) -> set[TableName]:
    """The tables whose rows a run that copied them may hash: those that hold nothing of an earlier snapshot.

    Not where it replaced some ranges only; nor a partitioned table, as other runs copied its partitions.
    """
    if not run.options.check_content:
        return set()
    if not any(tag in context.run.tags for tag in (PARTITION_NAME_TAG, ASSET_PARTITION_RANGE_START_TAG)):
        return set(names)
    loaded = run.outcomes.loaded
    return {n for n in names if n in loaded and loaded[n].covers_table and loaded[n].plan.table.kind == "r"}


def _evaluation(verdict: Verdict, relations: Relations, run: MigrationRun) -> dg.AssetCheckEvaluation:
    """What Dagster records of a verdict. A result would be recorded twice, as the output of the step as well."""
    compared_with = "the run's snapshot" if run.sides.snapshot is not None else _COMPARED_WITH[run.options.against]
    return dg.AssetCheckEvaluation(
        asset_key=relations.keys[verdict.table],
        check_name=verdict.check,
        passed=verdict.passed,
        description=verdict.text,
        metadata={"compared_with": dg.MetadataValue.text(compared_with), **_metadata(verdict)} if verdict.found else {},
        blocking=True,
    )


def _metadata(verdict: Verdict) -> Metadata:
    if verdict.found is None:
        return {}
    if verdict.check == CONTENT:
        return _content_metadata(verdict, verdict.found)
    counts = {"rows_in_source": verdict.source, "rows_in_target": verdict.target}
    known = {name: dg.MetadataValue.int(value) for name, value in counts.items() if isinstance(value, int)}
    return {**known, **_evidence(verdict), **_cost(verdict.found)}


def _content_metadata(verdict: Verdict, found: Answers[Digest]) -> Metadata:
    source, target, hashing = verdict.source, verdict.target, verdict.hashing or Hashing()
    shown: dict[str, dg.MetadataValue[Any]] = {}
    for side, digest in (("source", source), ("target", target)):
        if isinstance(digest, Digest):
            shown[f"hash_in_{side}"] = dg.MetadataValue.text(str(digest))
    if isinstance(source, Digest):
        shown["rows_hashed"] = dg.MetadataValue.int(source.hashed)
        if source.hashed != source.rows:
            shown["sampled_percent"] = dg.MetadataValue.float(hashing.percent_of(found.table))
        shown["bytes"] = dg.MetadataValue.int(found.table.bytes)
        if found.seconds > 0:
            shown["rows_per_second"] = dg.MetadataValue.int(round(source.rows / found.seconds))
            shown["bytes_per_second"] = dg.MetadataValue.int(round(found.table.bytes / found.seconds))
    if verdict.rows:
        rows = [{"row": r.row, "is": r.kind, "columns that differ": ", ".join(r.columns)} for r in verdict.rows]
        shown["first_differences"] = table(rows)
    if found.error is None and (ranges := ranges_that_differ(found)):
        shown["ranges_that_differ"] = dg.MetadataValue.text(listed(ranges, MAX_RANGES_SHOWN))
    return {**shown, **_evidence(verdict), **_cost(found)}


def _evidence(verdict: Verdict) -> Metadata:
    return {"how_it_is_known": dg.MetadataValue.text(verdict.evidence)} if verdict.evidence else {}


def _cost(found: Answers[Any]) -> Metadata:
    """How long it took, or what saved it."""
    names = [".".join(name) for name in found.taken_from]
    if not names:
        return {"seconds": dg.MetadataValue.float(round(found.seconds, 3))}
    return {"taken_from": dg.MetadataValue.text(names[0] if len(names) == 1 else f"its {len(names):,} partitions")}
