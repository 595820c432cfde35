"""The checks of the whole database: structure, sequences, constraints, leftovers, and that every table is known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import dagster as dg
from psycopg2.extensions import connection as Connection

from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure, markdown
from pg_migration.orchestration.runs.begin import demand_every_step
from pg_migration.orchestration.runs.failures import fail_if, tell
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.ddl import Difference
from pg_migration.postgres.ddl import differences as structural_differences
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration.compare import both_sides
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.verification.constraints import compare_constraints
from pg_migration.postgres.verification.leftovers import find_leftovers
from pg_migration.postgres.verification.observation import Observation
from pg_migration.postgres.verification.sequences import compare_sequences

KNOWN_TABLES = "known_tables"
STRUCTURE = "structure"
SEQUENCES = "sequences"
CONSTRAINTS = "constraints"
NO_LEFTOVERS = "no_leftovers"
STEP = "database_checks"
CHECKED = dg.AssetKey("post_data")

MOST_PROBLEMS_TOLD = 20


@dataclass(frozen=True)
class _StateCheck:
    """A check that asks both sides for some state; ``examine`` says what was looked at and what was found."""

    name: str
    description: str
    examine: Callable[[MigrationRun, Connection, Connection], tuple[str, list[Observation]]]

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """Blocking: it stands for what users of the target would meet."""
        return dg.AssetCheckSpec(self.name, asset=CHECKED, blocking=True, description=self.description)


def _sequences(run: MigrationRun, source: Connection, target: Connection) -> tuple[str, list[Observation]]:
    names = [sequence.key for sequence in run.catalog.sequences]
    later = run.snapshot is None
    found = compare_sequences(source, target, names, run.schemas, later, run.catalog.settings)
    return _counted(len(names), "sequence"), found


def _constraints(run: MigrationRun, source: Connection, target: Connection) -> tuple[str, list[Observation]]:
    count, found = compare_constraints(source, target, run.schemas, {table.key for table in run.catalog.tables})
    return _counted(count, "constraint"), found


def _leftovers(run: MigrationRun, source: Connection, target: Connection) -> tuple[str, list[Observation]]:
    tables = {table.key for table in run.catalog.tables}
    return _counted(len(tables), "table"), find_leftovers(source, target, run.schemas, tables)


_STATE_CHECKS = (
    _StateCheck(
        SEQUENCES,
        "Every sequence stands where the source's does, and its next value is beyond every value in its column.",
        _sequences,
    ),
    _StateCheck(
        CONSTRAINTS,
        "Every constraint of the source is in the target, and as valid there. Those that are NOT VALID or NOT ENFORCED "
        "on both sides are listed.",
        _constraints,
    ),
    _StateCheck(
        NO_LEFTOVERS,
        "Nothing is left of the load: no UNLOGGED table, invalid index or disabled trigger that the source does not "
        "have, nothing that is still set aside, and no bookkeeping outside the schema _pg_migration.",
        _leftovers,
    ),
)


def build_database_checks(after: Sequence[dg.AssetKey]) -> dg.AssetChecksDefinition:
    """The checks ``structure``, ``sequences``, ``constraints`` and ``no_leftovers``, made when everything is there.

    One step and one event each, whatever the number of tables.
    """
    # Of `post_data`, not of `target_ddl`: the first run of a backfill makes that alone, and what its check missed
    # would be shown for ever.
    structure = dg.AssetCheckSpec(
        STRUCTURE,
        asset=CHECKED,
        additional_deps=[key for key in after if key != CHECKED],
        description="Every object of the source is in the target, and defined the same, and nothing is there that the "
        "source has taken back. An object that is missing, or that finds other operators, is an error, as is whatever "
        "is unequal after a whole migration; else a difference is a warning. What was never the source's is listed.",
    )

    @dg.multi_asset_check(name=STEP, specs=[structure, *(check.spec for check in _STATE_CHECKS)], can_subset=True)
    def database_checks(
        context: dg.AssetCheckExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> Iterator[dg.AssetCheckResult]:
        wanted = {key.name for key in context.selected_asset_check_keys}
        problems: list[str] = []
        if STRUCTURE in wanted:
            yield _structure(context, migration, after, problems)
        states = [check for check in _STATE_CHECKS if check.name in wanted]
        for check, examined, found in _examined(migration, states) if states else ():
            yield _judged(context, migration, check, examined, found, problems)
        fail_if(problems, "the target is not what the source is")

    return database_checks


def _structure(
    context: dg.AssetCheckExecutionContext, run: MigrationRun, after: Sequence[dg.AssetKey], problems: list[str]
) -> dg.AssetCheckResult:
    try:
        run.migration  # noqa: B018  (says what is wrong with it)
        found = run.call(lambda: structural_differences(run.catalog, run.target_catalog()))
    except MigrationError as error:
        found = [Difference("structure", str(error), missing=True)]
    # A run of the first assets alone can't have made the rest: that is worth telling, and no failure.
    selected = context.run.asset_selection
    unfinished = bool(selected and set(after) - set(selected))
    wrong = [difference for difference in found if not difference.stays]
    # What another run has made may be written otherwise; what this one has made is equal.
    made_here = run.snapshot is not None and selected is None
    grave = [
        str(difference)
        for difference in ([] if unfinished else wrong)
        if difference.missing or difference.meaning or made_here
    ]
    for problem in grave:
        tell(context, run, problem)
    problems += grave
    return dg.AssetCheckResult(
        check_name=STRUCTURE,
        asset_key=CHECKED,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
        description=_counted(len(wrong), "difference") if wrong else "the same structure",
        metadata=_listed("differences", [{"object": d.identity, "what": d.what} for d in found]),
    )


def _examined(
    run: MigrationRun, checks: Sequence[_StateCheck]
) -> Iterator[tuple[_StateCheck, str, Sequence[Observation]]]:
    """What each check sees: together over one connection to each side; where one fails, each by itself."""
    try:
        run.migration  # noqa: B018  (says what is wrong with it)
        with both_sides(run, readers=1) as sides:
            seen = run.call(lambda: sides.on(list(Side), lambda ends: [c.examine(run, *ends) for c in checks]))
    except MigrationError as error:
        if len(checks) == 1:
            yield checks[0], "nothing could be compared", [Observation(checks[0].name, str(error))]
        else:
            yield from chain.from_iterable(_examined(run, [check]) for check in checks)
        return
    yield from ((check, examined, found) for check, (examined, found) in zip(checks, seen, strict=True))


def _judged(
    context: dg.AssetCheckExecutionContext,
    run: MigrationRun,
    check: _StateCheck,
    examined: str,
    found: Sequence[Observation],
    problems: list[str],
) -> dg.AssetCheckResult:
    wrong = [str(seen) for seen in found if seen.wrong]
    for problem in wrong:
        tell(context, run, problem)
    problems += wrong
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=CHECKED,
        passed=not wrong,
        description="; ".join([examined, *_few(wrong)] if wrong else [f"{examined}, nothing wrong"]),
        metadata={
            **_listed("findings", [{"object": f.object, "what": f.what, "wrong": f.wrong} for f in found]),
            "wrong": len(wrong),
        },
    )


def _listed(name: str, rows: Sequence[Mapping[str, object]]) -> dict[str, Figure]:
    """A table, where there is something in it: the UI shows a button even for an empty one."""
    return {name: markdown(rows)} if rows else {}


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _few(problems: Sequence[str]) -> list[str]:
    more = len(problems) - MOST_PROBLEMS_TOLD
    return [*problems[:MOST_PROBLEMS_TOLD], *([f"and {more:,} more"] if more > 0 else [])]


def build_known_tables(relations: Relations) -> dg.AssetChecksDefinition:
    """The blocking check ``known_tables`` of ``source_schema``: no table goes uncompared because it is no asset."""

    @dg.asset_check(
        asset="source_schema",
        name=KNOWN_TABLES,
        blocking=True,
        description="The run has every step that the source's tables need: those that were there when the code "
        "location was loaded, and those that came since, are copied and have checks of their own.",
    )
    def known_tables(
        context: dg.AssetCheckExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> dg.AssetCheckResult:
        try:
            demand_every_step(context)
            migration.migration  # noqa: B018  (says what is wrong with it)
            tables = migration.call(lambda: migration.catalog.tables)
        except MigrationError as error:
            tell(context, migration, str(error))
            return dg.AssetCheckResult(passed=False, description=str(error))
        unknown = sorted({migration.target_name(table) for table in tables} - relations.listings.keys())
        if not unknown:
            return dg.AssetCheckResult(
                passed=True, description=f"{_counted(len(tables), 'table')}, none without an asset"
            )
        names = ", ".join(".".join(name) for name in unknown)
        verdict = f"no asset stands for {names}: reload the code location"
        tell(context, migration, verdict)
        return dg.AssetCheckResult(passed=False, description=verdict)

    return known_tables
