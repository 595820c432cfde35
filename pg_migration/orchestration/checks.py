"""Asset checks: the evidence that the copy is right."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from pg_migration.orchestration.failing import fail_if
from pg_migration.orchestration.metadata import markdown
from pg_migration.orchestration.relations import Relations
from pg_migration.orchestration.run import MigrationRun
from pg_migration.postgres.catalog import Table
from pg_migration.postgres.comparing import Answers, BothSides, Unanswered
from pg_migration.postgres.content import Digest, RowDifference, differences, digest
from pg_migration.postgres.counting import count_rows
from pg_migration.postgres.ddl import Difference
from pg_migration.postgres.ddl import differences as structural_differences
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.ledger import TableName

ROW_COUNT = "row_count"
CONTENT = "content"
KNOWN_TABLES = "known_tables"
STRUCTURE = "structure"

_DESCRIPTIONS = {
    ROW_COUNT: "Exact count(*) of both sides, in the run's snapshot when the run copied the rows, else as of now.",
    CONTENT: "A hash over all rows of both sides, whatever their order. Part of `validate`, and of a run that copies "
    "whole tables unless `check_content` is off. Where it differs, the first rows that do are listed.",
}


def build_table_checks(relations: Relations) -> dg.AssetChecksDefinition | None:
    """The blocking checks ``row_count`` and ``content`` of every table; None when there are no tables."""
    specs = [
        dg.AssetCheckSpec(name, asset=key, blocking=True, description=_DESCRIPTIONS[name])
        for key in relations.keys.values()
        for name in (ROW_COUNT, CONTENT)
    ]
    if not specs:
        return None

    @dg.multi_asset_check(name="table_checks", specs=specs, can_subset=True)
    def table_checks(
        context: dg.AssetCheckExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> Iterator[dg.AssetCheckResult]:
        wanted: dict[TableName, set[str]] = {}
        for check in context.selected_asset_check_keys:
            wanted.setdefault(relations.tables_by_key[check.asset_key], set()).add(check.name)
        if migration.snapshot is not None and (_is_keyed(context) or not migration.options.check_content):
            wanted = {name: checks - {CONTENT} for name, checks in wanted.items()}
        yield from _TableChecks(context, migration, relations, wanted).results()

    return table_checks


def _is_keyed(context: dg.AssetCheckExecutionContext) -> bool:
    """Whether the run replaced some ranges only: what else is in the table is of an earlier snapshot."""
    return any(tag in context.run.tags for tag in ("dagster/partition", "dagster/asset_partition_range_start"))


class _TableChecks:
    """One execution of the checks of some tables."""

    def __init__(
        self,
        context: dg.AssetCheckExecutionContext,
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
        run = self._run
        try:
            run.options.load.check()
            tables = run.call(lambda: run.tables(list(self._wanted)))
            gone = self._wanted.keys() - run.call(run.names_in_source)
        except MigrationError as error:
            _tell(self._context, run, str(error))
            for name in self._wanted:
                yield from self._failed(name, str(error))
            return
        for name in sorted(gone):
            reason = f"the source has no table for {'.'.join(name)} any more"
            _tell(self._context, run, reason)
            yield from self._failed(name, reason)
        sides = BothSides(run.connections, run.source, run.target, run.schemas, run.snapshot)
        hashed = [t for t in tables if CONTENT in self._wanted[run.target_name(t)]]
        counted = [t for t in tables if t not in hashed]
        workers = run.options.load.workers
        for count in sides.ask(count_rows, counted, workers):
            yield self._row_count(count.table, count.source, count.target, count.error)
        for found in sides.ask(digest, hashed, workers):
            yield from self._digested(sides, found)

    def _digested(self, sides: BothSides, found: Answers[Digest]) -> Iterator[dg.AssetCheckResult]:
        if ROW_COUNT in self._wanted[self._run.target_name(found.table)]:
            source, target = (a.rows if isinstance(a, Digest) else a for a in (found.source, found.target))
            yield self._row_count(found.table, source, target, found.error)
        equal = found.error is None and found.source == found.target
        verdict = found.error or ("the same rows on both sides" if equal else "the rows are not the same")
        rows: list[RowDifference] = []
        if found.error is None and not equal:
            self._run.outcomes.differing.add(self._run.target_name(found.table))
            rows = list(self._run.call(lambda: differences(sides, found.table)))
        yield self._result(CONTENT, found.table, equal, verdict, _difference_metadata(rows))

    def _row_count(
        self, table: Table, source: int | Unanswered, target: int | Unanswered, error: str | None
    ) -> dg.AssetCheckResult:
        counts = {"rows_in_source": source, "rows_in_target": target}
        known = {name: value for name, value in counts.items() if isinstance(value, int)}
        equal = error is None and source == target
        if error is None and not equal:
            self._run.outcomes.differing.add(self._run.target_name(table))
        verdict = error or (
            f"{source:,} rows on both sides" if equal else f"{source:,} rows in the source, {target:,} in the target"
        )
        return self._result(ROW_COUNT, table, equal, verdict, {n: dg.MetadataValue.int(v) for n, v in known.items()})

    def _result(
        self, check: str, table: Table, passed: bool, verdict: str, metadata: Mapping[str, dg.MetadataValue[Any]]
    ) -> dg.AssetCheckResult:
        name = self._run.target_name(table)
        self._run.outcomes.checks.setdefault(name, {})[check] = passed
        if not passed:
            _tell(self._context, self._run, f"{check} of {'.'.join(name)}: {verdict}")
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


def _difference_metadata(rows: Sequence[RowDifference]) -> dict[str, dg.MetadataValue[Any]]:
    if not rows:
        return {}
    listed = [{"row": r.row, "is": r.kind, "columns that differ": ", ".join(r.columns)} for r in rows]
    return {"first_differences": markdown(listed)}


def build_known_tables(relations: Relations) -> dg.AssetChecksDefinition:
    """The blocking check ``known_tables`` of ``source_schema``: no table goes uncompared because it is no asset."""

    @dg.asset_check(
        asset="source_schema",
        name=KNOWN_TABLES,
        blocking=True,
        description="Every table of the source was there when the code location was loaded, and so is an asset with "
        "checks of its own.",
    )
    def known_tables(
        context: dg.AssetCheckExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> dg.AssetCheckResult:
        try:
            migration.options.load.check()
            tables = migration.call(lambda: migration.catalog.tables)
        except MigrationError as error:
            _tell(context, migration, str(error))
            return dg.AssetCheckResult(passed=False, description=str(error))
        unknown = sorted({migration.target_name(table) for table in tables} - relations.listings.keys())
        if not unknown:
            return dg.AssetCheckResult(passed=True, description=f"{len(tables):,} tables, all of them assets")
        names = ", ".join(".".join(name) for name in unknown)
        verdict = f"no asset stands for {names}: reload the code location"
        _tell(context, migration, verdict)
        return dg.AssetCheckResult(passed=False, description=verdict)

    return known_tables


def build_structure(after: Sequence[dg.AssetKey]) -> dg.AssetChecksDefinition:
    """The check ``structure`` of ``target_ddl``, made when everything else is there."""
    spec = dg.AssetCheckSpec(
        STRUCTURE,
        asset="target_ddl",
        additional_deps=list(after),
        description="Every object of the source is in the target, and defined the same. An object that is missing is "
        "an error, one that the two servers write otherwise a warning; what only the target has is listed.",
    )

    @dg.multi_asset_check(name=STRUCTURE, specs=[spec])
    def structure(
        context: dg.AssetCheckExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> Iterator[dg.AssetCheckResult]:
        run = migration
        try:
            run.options.load.check()
            found = run.call(lambda: structural_differences(run.catalog, run.target_catalog()))
        except MigrationError as error:
            found = [Difference("structure", str(error), missing=True)]
        # A run of the first assets alone can't have made the rest: that is worth telling, and no failure.
        selected = context.run.asset_selection
        unfinished = bool(selected and set(after) - set(selected))
        missing = [] if unfinished else [str(difference) for difference in found if difference.missing]
        wrong = [difference for difference in found if not difference.surplus]
        for problem in missing:
            _tell(context, run, problem)
        yield dg.AssetCheckResult(
            check_name=STRUCTURE,
            asset_key=dg.AssetKey("target_ddl"),
            passed=not wrong,
            severity=dg.AssetCheckSeverity.ERROR if missing else dg.AssetCheckSeverity.WARN,
            description=f"{len(wrong)} differences" if wrong else "the same structure",
            metadata={"differences": markdown([{"object": d.identity, "what": d.what} for d in found])},
        )
        fail_if(missing, "the target lacks what the source has")

    return structure


def _tell(context: dg.AssetCheckExecutionContext, run: MigrationRun, problem: str) -> None:
    """Put a problem where people look: in the run's log and its summary."""
    context.log.error(problem)
    run.outcomes.failures.append(problem)
