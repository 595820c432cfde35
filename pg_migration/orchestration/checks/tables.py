"""The checks of every table, ``row_count`` and ``content``: the evidence that its rows are the source's."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import markdown
from pg_migration.orchestration.runs.concurrency import source_pool
from pg_migration.orchestration.runs.failures import fail_if, tell
from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration.compare import both_sides
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.source_changes.drift import describe_drift
from pg_migration.postgres.verification.both_sides import Answers, BothSides, Unanswered
from pg_migration.postgres.verification.digests import Digest, Hashing, count_rows, digest_tables
from pg_migration.postgres.verification.partition_trees import ask_once, find_origins
from pg_migration.postgres.verification.row_differences import RowDifference, differences, ranges_that_differ
from pg_migration.postgres.verification.slices import Slicing, slice_tables

ROW_COUNT = "row_count"
CONTENT = "content"
MOST_RANGES_SHOWN = 20

_DESCRIPTIONS = {
    ROW_COUNT: "Exact count(*) of both sides, in the run's snapshot when the run copied the rows, else as of now.",
    CONTENT: "A hash over all rows of both sides, whatever their order. Part of `validate`, and of a run that copies "
    "whole tables unless `check_content` is off. Where it differs, the first rows that do are listed; the job `repair` "
    "reloads the ranges that they are in.",
}

Metadata = Mapping[str, dg.MetadataValue[Any]]


def _is_about_something_else(record: logging.LogRecord) -> bool:
    """Not Dagster's warning about a check without a result, which it gives for each step that waits for the check.

    A check has none on purpose: for an excluded table, with `check_content` off. A step that owes one fails.
    """
    return "emitted no result" not in str(record.msg)


logging.getLogger("dagster._core.execution.plan.active").addFilter(_is_about_something_else)


def build_table_checks(relations: Relations) -> dg.AssetChecksDefinition | None:
    """The blocking checks ``row_count`` and ``content`` of every table; None when there are no tables."""
    specs = [
        dg.AssetCheckSpec(name, asset=key, blocking=True, description=_DESCRIPTIONS[name])
        for key in relations.keys.values()
        for name in (ROW_COUNT, CONTENT)
    ]
    if not specs:
        return None

    @dg.multi_asset_check(name="table_checks", specs=specs, can_subset=True, pool=source_pool())
    def table_checks(
        context: dg.AssetCheckExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> Iterator[dg.AssetCheckResult]:
        wanted: dict[TableName, set[str]] = {}
        for check in context.selected_asset_check_keys:
            wanted.setdefault(relations.tables_by_key[check.asset_key], set()).add(check.name)
        if migration.snapshot is not None:
            hashed = _hashable(context, migration, wanted)
            wanted = {name: checks if name in hashed else checks - {CONTENT} for name, checks in wanted.items()}
        told = len(migration.outcomes.failures)
        yield from _TableChecks(context, migration, relations, wanted).results()
        # Else Dagster fails the step, with the names of the checks and its own stack.
        fail_if(migration.outcomes.failures[told:], "the target does not hold what the source holds")

    return table_checks


def compare_again(
    context: dg.OpExecutionContext, run: MigrationRun, relations: Relations, tables: Sequence[Table]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Both checks of some tables, for a job without assets."""
    wanted = {run.target_name(table): {ROW_COUNT, CONTENT} for table in tables}
    for result in _TableChecks(context, run, relations, wanted).results() if wanted else ():
        assert result.asset_key is not None
        assert result.check_name is not None
        yield dg.AssetCheckEvaluation(
            asset_key=result.asset_key,
            check_name=result.check_name,
            passed=result.passed,
            metadata=result.metadata,
            description=result.description,
            blocking=True,
        )


def _hashable(
    context: dg.AssetCheckExecutionContext, run: MigrationRun, names: Collection[TableName]
) -> set[TableName]:
    """The tables whose rows a run that copied them may hash: those that hold nothing of an earlier snapshot.

    Not where it replaced some ranges only; nor a partitioned table, as other runs copied its partitions.
    """
    if not run.options.check_content:
        return set()
    if not any(tag in context.run.tags for tag in ("dagster/partition", "dagster/asset_partition_range_start")):
        return set(names)
    loaded = run.outcomes.loaded
    return {n for n in names if n in loaded and loaded[n].covers_table and loaded[n].plan.table.kind == "r"}


class _TableChecks:
    """One execution of the checks of some tables."""

    def __init__(
        self,
        context: dg.AssetCheckExecutionContext | dg.OpExecutionContext,
        run: MigrationRun,
        relations: Relations,
        wanted: Mapping[TableName, set[str]],
    ) -> None:
        self._context = context
        self._run = run
        self._relations = relations
        self._wanted = {name: checks for name, checks in wanted.items() if checks}

    def results(self) -> Iterator[dg.AssetCheckResult]:
        """Compare every table; whatever can't be compared is a failed check."""
        run, answered = self._run, set[tuple[dg.AssetKey | None, str | None]]()
        try:
            run.migration  # noqa: B018  (says what is wrong with it)
            tables = run.call(lambda: run.loadable(list(self._wanted)))
            gone = self._wanted.keys() - run.call(run.names_in_source)
            with both_sides(run) as sides:
                for result in self._compared(sides, tables):
                    answered.add((result.asset_key, result.check_name))
                    yield result
        except MigrationError as error:
            tell(self._context, run, str(error))
            for result in (r for name in self._wanted for r in self._failed(name, str(error))):
                if (result.asset_key, result.check_name) not in answered:
                    yield result
            return
        for name in sorted(gone):
            reason = f"the source has no table for {'.'.join(name)} any more"
            tell(self._context, run, reason)
            yield from self._failed(name, reason)

    def _compared(self, sides: BothSides, tables: Sequence[Table]) -> Iterator[dg.AssetCheckResult]:
        run = self._run
        origins = run.call(lambda: find_origins(sides, tables))
        hashed = self._sliced((t for t in tables if self._is_hashed(t)), by_key=True)
        counted = self._sliced((t for t in tables if not self._is_hashed(t)), by_key=False)
        workers = run.call(run.workers)
        for counts in ask_once(sides, count_rows, counted, origins, workers):
            source, target = (a if isinstance(a, Unanswered) else sum(a) for a in (counts.source, counts.target))
            drift = self._drift(sides, counts, []) if source != target else ""
            yield self._row_count(counts, source, target, drift)
        hashing = Hashing.of_sample(run.options.content_sample_percent, hashed, run.options.partition_threshold)
        for found, hashed_by in digest_tables(sides, hashed, hashing, origins, workers):
            yield from self._digested(sides, found, hashed_by)

    def _is_hashed(self, table: Table) -> bool:
        return CONTENT in self._wanted[self._run.target_name(table)]

    def _sliced(self, tables: Iterable[Table], by_key: bool) -> list[Slicing]:
        run = self._run
        names = {table: run.target_name(table) for table in tables}
        return run.call(lambda: slice_tables(run.planner(), run.target_connection, names, by_key))

    def _digested(self, sides: BothSides, found: Answers[Digest], hashing: Hashing) -> Iterator[dg.AssetCheckResult]:
        name = self._run.target_name(found.table)
        source, target = (a if isinstance(a, Unanswered) else Digest.of(a) for a in (found.source, found.target))
        rows: Sequence[RowDifference] = []
        drift, problem = "", found.error
        if problem is None and source != target:
            try:
                rows = self._run.call(lambda: differences(sides, found, hashing))
                drift = self._drift(sides, found, rows, hashing)
            except MigrationError as error:
                drift = f"; the rows that differ can't be listed: {error}"
        if ROW_COUNT in self._wanted[name]:
            ours, theirs = (a.rows if isinstance(a, Digest) else a for a in (source, target))
            yield self._row_count(found, ours, theirs, drift)
        equal = problem is None and source == target
        verdict = problem or _content_verdict(source, hashing, equal) + drift
        yield self._result(CONTENT, found, equal, verdict, _content_metadata(found, source, target, rows, hashing))

    def _drift(
        self,
        sides: BothSides,
        found: Answers[Any],
        rows: Sequence[RowDifference],
        hashing: Hashing | None = None,
    ) -> str:
        """Why rows differ, in a run that compares with the source as it is now, after what there is to say already."""
        run = self._run
        if run.snapshot is not None or found.error is not None:
            return ""
        name = run.target_name(found.table)
        try:
            told = run.call(
                lambda: describe_drift(sides, run.target_connection, found.table, name, rows, hashing or Hashing())
            )
        except MigrationError as error:
            return f"; whether the source changed can't be told: {error}"
        return f"; {told}"

    def _row_count(
        self, found: Answers[Any], source: int | Unanswered, target: int | Unanswered, drift: str
    ) -> dg.AssetCheckResult:
        counts = {"rows_in_source": source, "rows_in_target": target}
        known = {name: dg.MetadataValue.int(value) for name, value in counts.items() if isinstance(value, int)}
        equal = found.error is None and source == target
        verdict = found.error or (
            f"{source:,} rows on both sides"
            if equal
            else f"{source:,} rows in the source, {target:,} in the target{drift}"
        )
        return self._result(ROW_COUNT, found, equal, verdict, {**known, **_cost(found)})

    def _result(
        self, check: str, found: Answers[Any], passed: bool, verdict: str, metadata: Metadata
    ) -> dg.AssetCheckResult:
        name = self._run.target_name(found.table)
        self._run.outcomes.checks.setdefault(name, {})[check] = passed
        if not passed:
            tell(self._context, self._run, f"{check} of {'.'.join(name)}: {verdict}")
            if found.error is None:
                self._run.outcomes.differing.add(name)
        compared_with = "the run's snapshot" if self._run.snapshot is not None else "the source as it is now"
        return dg.AssetCheckResult(
            asset_key=self._relations.keys[name],
            check_name=check,
            passed=passed,
            description=verdict,
            metadata={"compared_with": dg.MetadataValue.text(compared_with), **metadata},
        )

    def _failed(self, name: TableName, reason: str) -> Iterator[dg.AssetCheckResult]:
        for check in sorted(self._wanted[name]):
            yield dg.AssetCheckResult(
                asset_key=self._relations.keys[name], check_name=check, passed=False, description=reason
            )


def _content_verdict(source: Digest | Unanswered, hashing: Hashing, equal: bool) -> str:
    verdict = "the same rows on both sides" if equal else "the rows are not the same"
    if not isinstance(source, Digest) or source.hashed == source.rows:
        return verdict
    share = f"{source.hashed:,} of {source.rows:,} rows, {hashing.sample_percent:g} % by a hash of the key"
    return f"{verdict}, in a sample ({share})"


def _content_metadata(
    found: Answers[Digest],
    source: Digest | Unanswered,
    target: Digest | Unanswered,
    rows: Sequence[RowDifference],
    hashing: Hashing,
) -> Metadata:
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
    if rows:
        listed = [{"row": r.row, "is": r.kind, "columns that differ": ", ".join(r.columns)} for r in rows]
        shown["first_differences"] = markdown(listed)
    if found.error is None and (ranges := ranges_that_differ(found)):
        more = f" and {len(ranges) - MOST_RANGES_SHOWN:,} more" if len(ranges) > MOST_RANGES_SHOWN else ""
        shown["ranges_that_differ"] = dg.MetadataValue.text(", ".join(ranges[:MOST_RANGES_SHOWN]) + more)
    return {**shown, **_cost(found)}


def _cost(found: Answers[Any]) -> Metadata:
    """How long it took, or what saved it."""
    names = [".".join(name) for name in found.taken_from]
    if not names:
        return {"seconds": dg.MetadataValue.float(round(found.seconds, 3))}
    return {"taken_from": dg.MetadataValue.text(names[0] if len(names) == 1 else f"its {len(names):,} partitions")}
