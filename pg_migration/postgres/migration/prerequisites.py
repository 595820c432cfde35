"""Everything that a migration demands and more, looked at without writing anything.

A run looks at the same things by itself before it writes, so this is for the days before: it goes on after an error,
and tells all of it at once.
"""

from collections.abc import Callable, Iterable, Iterator

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.ddl import reconcile
from pg_migration.postgres.errors import ConfigurationError, MigrationError
from pg_migration.postgres.large_objects.prerequisites import LARGE_OBJECTS
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.structure import lost_with
from pg_migration.postgres.preflight import (
    PERSONAL,
    TRANSFORM,
    Finding,
    Severity,
    error,
    look_at_contents,
    look_at_servers,
    misuse,
    passed,
    rows_to_delete,
    warning,
)
from pg_migration.postgres.replication.prerequisites import FOLLOW
from pg_migration.postgres.swap.refusals import SWAP

LOCK_TIMEOUT = "10s"
CONFIGURATION = "configuration"
SOURCE = "source"
TARGET = "target"
STRUCTURE = "structure of the target"


def look(run: MigrationRun) -> Iterator[Finding]:
    """Everything that can be told; what an error makes unknowable is left out."""
    try:
        migration = run.migration
    except ConfigurationError as refusal:
        yield misuse(CONFIGURATION, str(refusal), "")
        return
    yield from _ask(run, CONFIGURATION, lambda: _settings(migration))
    ends = [
        *_ask(run, SOURCE, lambda: [_reached(SOURCE, run.sides.source, run.sides.source_connection)]),
        *_ask(run, TARGET, lambda: [_reached(TARGET, run.sides.target, run.sides.target_connection)]),
    ]
    yield from ends
    if any(found.severity is Severity.ERROR for found in ends):
        return
    yield from _ask(run, FOLLOW, lambda: _unused(run))
    yield from _ask(run, SOURCE, lambda: [*look_at_servers(run.ends, run.intent), *run.other_database()])
    read = _ask(run, SOURCE, lambda: [passed("source schema", f"{len(run.catalog.objects):,} objects can be read")])
    of_transform = [found for found in run.outcomes.findings if found.check in (TRANSFORM, PERSONAL)]
    if any(found.severity is Severity.ERROR for found in of_transform):
        yield from of_transform
        return
    yield from (warning("excluded tables", caution, "Correct it or take it out") for caution in run.cautions)
    yield from read
    if any(found.severity is Severity.ERROR for found in read):
        return
    yield from of_transform
    yield from _ask(run, SOURCE, lambda: look_at_contents(run.ends, run.catalog, run.intent))
    yield from _ask(run, LARGE_OBJECTS, run.large_objects_at_stake)
    yield from _ask(run, rows_to_delete.ROWS_TO_DELETE, lambda: [run.rows_at_stake()])
    yield from _ask(run, STRUCTURE, lambda: _structure(run))
    yield from _ask(run, SWAP, run.swap_at_stake)
    yield from _ask(run, FOLLOW, lambda: run.live.at_stake(run.ends, run.catalog, run.workers))


def _ask(run: MigrationRun, check: str, question: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The answers to one question; that it could not be asked is one, too."""
    try:
        return run.call(lambda: list(question()))
    except ConfigurationError as refusal:
        return [misuse(check, str(refusal), "")]
    except MigrationError as refusal:
        return [error(check, str(refusal), "")]


def _settings(migration: Migration) -> list[Finding]:
    migration.check()
    return [passed(CONFIGURATION, "within range")]


def _reached(check: str, end: Endpoint, connection: Connection) -> Finding:
    # Discovery waits for whoever changes a table; a look at things must come to an end.
    execute(connection, "SELECT set_config('lock_timeout', %s, false)", (LOCK_TIMEOUT,))
    return passed(check, f"{end.reached(connection)} answers")


def _unused(run: MigrationRun) -> list[Finding]:
    """That nothing else writes to the target, which is an error that `_ask` tells."""
    run.live.demand_none()
    return []


def _structure(run: MigrationRun) -> Iterator[Finding]:
    """Whether tables that are there can be kept, and what would go."""
    target = run.target_catalogs.now()
    plan = reconcile(run.catalog, target, run.options.drop_existing_tables)
    lost = lost_with(plan)
    if not lost:
        yield passed(STRUCTURE, f"{len(plan.create):,} objects to create, {len(plan.keep):,} kept")
    for what in lost:
        yield warning(STRUCTURE, f"would be {what}", "Save its definition if it is wanted: the source has none")
