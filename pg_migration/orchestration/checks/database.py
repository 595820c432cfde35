"""The checks of the whole database: structure, sequences, constraints, leftovers, and that every table is known."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from pg_migration.orchestration.location.names import POST_DATA, SOURCE_SCHEMA
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure, table
from pg_migration.orchestration.runs.begin import check_every_step
from pg_migration.orchestration.runs.failures import fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import counted, listed
from pg_migration.postgres.migration.comparison.against_ledger import copied_tables
from pg_migration.postgres.migration.comparison.compare_state import (
    StateCheck,
    compare_structure,
    examine,
    grave_differences,
    state_checks,
)
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.verification.observation import Observation

KNOWN_TABLES = "known_tables"
STRUCTURE = "structure"
STEP = "database_checks"

MAX_PROBLEMS_TOLD = 20


def build_database_checks(relations: Relations, after: Sequence[dg.AssetKey]) -> dg.AssetChecksDefinition:
    """The checks ``structure``, ``sequences``, ``constraints`` and ``no_leftovers``, made when everything is there.

    Where the pair has a transform, ``personal_data`` and ``masked_columns`` as well.

    One step and one event each, whatever the number of tables.
    """
    checked, known = relations.key(POST_DATA), state_checks(relations.pair.transforms)
    # Of `post_data`, not of `target_ddl`: the first run of a backfill makes that alone, and what its check missed
    # would be shown for ever.
    structure = dg.AssetCheckSpec(
        STRUCTURE,
        asset=checked,
        additional_deps=[key for key in after if key != checked],
        description="Every object of the source is in the target, and defined the same, and nothing is there that the "
        "source has taken back. An object that is missing, or that finds other operators, is an error, as is whatever "
        "is unequal after a whole migration; else a difference is a warning. What was never the source's is listed.",
    )

    @dg.multi_asset_check(
        name=relations.pair.named(STEP),
        specs=[structure, *(_spec(check, checked) for check in known)],
        can_subset=True,
        required_resource_keys={relations.pair.resource},
    )
    def database_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        migration = migration_of(context, relations.pair)
        migration.log = context.log
        if migration.asks_ledger:  # which has the rows alone
            return
        wanted = {key.name for key in context.selected_asset_check_keys}
        problems: list[str] = []
        if STRUCTURE in wanted:
            yield _structure(context, migration, checked, after, problems)
        states = [check for check in known if check.name in wanted]
        for check, examined, found in examine(migration, states) if states else ():
            yield _judged(migration, checked, check, examined, found, problems)
        fail_if(problems, "the target is not what the source is")

    return database_checks


def _spec(check: StateCheck, checked: dg.AssetKey) -> dg.AssetCheckSpec:
    """Blocking: it stands for what users of the target would meet."""
    return dg.AssetCheckSpec(check.name, asset=checked, blocking=True, description=check.description)


def _structure(
    context: dg.AssetCheckExecutionContext,
    run: MigrationRun,
    checked: dg.AssetKey,
    after: Sequence[dg.AssetKey],
    problems: list[str],
) -> dg.AssetCheckResult:
    found = compare_structure(run)
    # A run of the first assets alone can't have made the rest: that is worth telling, and no failure.
    selected = context.run.asset_selection
    unfinished = bool(selected and set(after) - set(selected))
    wrong = [difference for difference in found if not difference.stays]
    made_here = run.sides.snapshot is not None and selected is None
    grave = [] if unfinished else [str(difference) for difference in grave_differences(found, made_here)]
    for problem in grave:
        run.fail(problem)
    problems += grave
    return dg.AssetCheckResult(
        check_name=STRUCTURE,
        asset_key=checked,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
        description=counted(len(wrong), "difference") if wrong else "the same structure",
        metadata=_listed("differences", [{"object": d.identity, "what": d.what} for d in found]),
    )


def _judged(
    run: MigrationRun,
    checked: dg.AssetKey,
    check: StateCheck,
    examined: str,
    found: Sequence[Observation],
    problems: list[str],
) -> dg.AssetCheckResult:
    wrong = [str(seen) for seen in found if seen.wrong]
    for problem in wrong:
        run.fail(problem)
    problems += wrong
    told = [str(seen) for seen in found if check.warns and not seen.wrong]
    run.outcomes.notes += told
    worth = [*wrong, *told]
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=checked,
        passed=not wrong and not told,
        severity=dg.AssetCheckSeverity.ERROR if wrong or not told else dg.AssetCheckSeverity.WARN,
        description=f"{examined}; {listed(worth, MAX_PROBLEMS_TOLD, '; ')}" if worth else f"{examined}, nothing wrong",
        metadata={
            **_listed("findings", [{"object": f.object, "what": f.what, "wrong": f.wrong} for f in found]),
            "wrong": len(wrong),
        },
    )


def _listed(name: str, rows: Sequence[Mapping[str, object]]) -> dict[str, Figure]:
    """A table, where there is something in it: the UI shows a button even for an empty one."""
    return {name: table(rows)} if rows else {}


def build_known_tables(relations: Relations) -> dg.AssetChecksDefinition:
    """The blocking check ``known_tables`` of ``source_schema``: no table goes uncompared because it is no asset."""

    @dg.asset_check(
        asset=relations.key(SOURCE_SCHEMA),
        name=KNOWN_TABLES,
        required_resource_keys={relations.pair.resource},
        blocking=True,
        description="The run has every step that the source's tables need: those that were there when the code "
        "location was loaded, and those that came since, are copied and have checks of their own.",
    )
    def known_tables(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        migration = migration_of(context, relations.pair)
        migration.log = context.log
        try:
            check_every_step(context, relations)
            migration.migration.check()
            names = _names(migration)
        except MigrationError as error:
            migration.fail(str(error))
            return dg.AssetCheckResult(passed=False, description=str(error))
        unknown = sorted(names - relations.listings.keys())
        if not unknown:
            return dg.AssetCheckResult(
                passed=True, description=f"{counted(len(names), 'table')}, none without an asset"
            )
        told = ", ".join(".".join(name) for name in unknown)
        verdict = f"no asset stands for {told}: {relations.location.renewal}"
        migration.fail(verdict)
        return dg.AssetCheckResult(passed=False, description=verdict)

    return known_tables


def _names(run: MigrationRun) -> set[TableName]:
    """The tables to compare, by their names in the target."""
    if run.asks_ledger:
        return set(copied_tables(run))
    return run.call(lambda: {run.target_name(table) for table in run.catalog.tables})
