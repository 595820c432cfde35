"""Compare what both databases are besides their rows: structure, sequences, constraints, and what is left of a load."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.values_path import application_path
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import Question, both_asked
from pg_migration.postgres.ddl import Difference, differences
from pg_migration.postgres.ddl.changes import event_triggers
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import counted
from pg_migration.postgres.ledger.schema import TABLES
from pg_migration.postgres.ledger.sequence_positions import POSITIONS
from pg_migration.postgres.migration.comparison.databases import both_sides
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.transform.personal import held_personal, named_personal
from pg_migration.postgres.transform.probing import Source
from pg_migration.postgres.transform.quality import compared_distributions
from pg_migration.postgres.verification.constraints import compare_constraints
from pg_migration.postgres.verification.leftovers import SUSPENDED, find_leftovers
from pg_migration.postgres.verification.observation import Observation
from pg_migration.postgres.verification.sequences import compare_sequences

SEQUENCES = "sequences"
CONSTRAINTS = "constraints"
NO_LEFTOVERS = "no_leftovers"


def compare_structure(run: MigrationRun) -> list[Difference]:
    """What differs between the structure of both sides; that it can't be compared is a difference, too."""
    try:
        run.migration.check()
        return run.call(lambda: differences(run.catalog, run.target_catalogs.now()))
    except MigrationError as error:
        return [Difference("structure", str(error), missing=True)]


def grave_differences(found: Sequence[Difference], made_here: bool) -> list[Difference]:
    """Those that fail a comparison; of the others people should know.

    Args:
        made_here: whether the run has made everything itself, so that it is equal; what another run has made may be
            written otherwise.
    """
    return [d for d in found if not d.stays and (d.missing or d.meaning or made_here)]


@dataclass(frozen=True)
class StateCheck:
    """A check that asks both sides for some state; ``examine`` says what was looked at and what was found.

    ``warns``: what it finds is to be known, also where it is not wrong.
    """

    name: str
    description: str
    examine: Callable[[MigrationRun, Connection, Connection], tuple[str, list[Observation]]]
    warns: bool = False


def _sequences(run: MigrationRun, source: Connection, target: Connection) -> tuple[str, list[Observation]]:
    names = [sequence.key for sequence in run.catalog.sequences]
    later = run.sides.snapshot is None
    settings, masked = run.catalog.settings, run.masked_sequences
    found = compare_sequences(source, target, names, run.schemas, later, settings, masked)
    if run.live.followed is not None:  # they are not replicated, and set at the cutover
        found = [replace(observation, wrong=False) for observation in found]
    return counted(len(names), "sequence"), found


def _constraints(run: MigrationRun, source: Connection, target: Connection) -> tuple[str, list[Observation]]:
    made = run.transformation
    not_valid = [
        (k.table, k.name) for k in run.catalog.foreign_keys if made is not None and k.address in made.not_valid
    ]
    tables = {table.key for table in run.catalog.tables}
    count, found = compare_constraints(source, target, run.schemas, tables, not_valid)
    return counted(count, "constraint"), found


def _leftovers(run: MigrationRun, source: Connection, target: Connection) -> tuple[str, list[Observation]]:
    tables = {table.key for table in run.catalog.tables}
    held = [event_triggers.KIND] if run.sides.holds_event_triggers else []
    return counted(len(tables), "table"), find_leftovers(source, target, run.schemas, tables, held)


STATE_CHECKS = (
    StateCheck(
        SEQUENCES,
        "Every sequence stands where the source's does, and its next value is beyond every value in its column.",
        _sequences,
    ),
    StateCheck(
        CONSTRAINTS,
        "Every constraint of the source is in the target, and as valid there. Those that are NOT VALID or NOT ENFORCED "
        "on both sides are listed.",
        _constraints,
    ),
    StateCheck(
        NO_LEFTOVERS,
        "Nothing is left of the load: no UNLOGGED table, invalid index or disabled trigger that the source does not "
        "have, nothing that is still set aside, and no bookkeeping outside the schema _pg_migration.",
        _leftovers,
    ),
)


def _personal_data(run: MigrationRun, _: Connection, target: Connection) -> tuple[str, list[Observation]]:
    tables = [table for table in run.catalog.tables if not table.is_partition]
    application = application_path(run.catalog.settings, run.schemas)
    held = held_personal(target, tables, run.place, application)
    suspicions = [found for found in (*named_personal(tables), *held) if found.label not in run.ignored_columns]
    return counted(len(tables), "table"), [
        Observation(found.label, f"looks like {found.kind}, by {found.reason}, and is not masked", run.is_strict)
        for found in suspicions
    ]


PERSONAL_DATA = StateCheck(
    "personal_data",
    "No column looks personal, by its name or by values in a sample of the target, that the transform neither masks "
    "nor ignores. A warning, unless the transform says strict.",
    _personal_data,
    warns=True,
)


def _masked_columns(run: MigrationRun, source: Connection, target: Connection) -> tuple[str, list[Observation]]:
    settings = run.catalog.settings
    asked = Source(source, application_path(settings, {}))
    compared = compared_distributions(
        asked, target, run.catalog.tables, run.schemas, application_path(settings, run.schemas)
    )
    found = [Observation(".".join((*one.table, one.column)), str(one), wrong=False) for one in compared]
    return counted(len(found), "masked column"), found


MASKED_COLUMNS = StateCheck(
    "masked_columns",
    "What masks leave of the distributions that tests rely on: the share of NULL and the number of different values "
    "of each masked column, before and after, in tables of up to 100,000 rows. Joins by foreign keys find what they "
    "found, as those hold. Nothing in it fails.",
    _masked_columns,
)


def state_checks(transforms: bool) -> Sequence[StateCheck]:
    """The checks of a migration.

    Args:
        transforms: rows are chosen or masked.
    """
    return (*STATE_CHECKS, PERSONAL_DATA, MASKED_COLUMNS) if transforms else STATE_CHECKS


def _examine(
    run: MigrationRun, checks: Sequence[StateCheck], source: Connection, target: Connection
) -> list[tuple[str, list[Observation]]]:
    """What each check sees; most of what they ask is asked together."""
    ours, theirs = (_questions(run, names) for names in ({name: name for name in run.schemas}, run.schemas))
    if run.sides.has_ledger:
        theirs += [(TABLES, None), (POSITIONS, None), (SUSPENDED, None)]
    with both_asked((source, ours), (target, theirs)):
        return [check.examine(run, source, target) for check in checks]


def _questions(run: MigrationRun, names: Mapping[str, str]) -> list[Question]:
    """What is asked of one side, whose names of the source's schemas are these."""
    with_sequences = {names[sequence.schema] for sequence in run.catalog.sequences}
    return [
        (sql_file("verification/sequences.sql"), {"schemas": sorted(with_sequences)}),
        (sql_file("verification/constraints.sql"), {"schemas": list(names.values())}),
        (sql_file("verification/leftovers.sql"), {"schemas": list(names.values())}),
        (sql_file("verification/leftovers_bookkeeping.sql"), {"schemas": None}),
    ]


def examine(run: MigrationRun, checks: Sequence[StateCheck]) -> Iterator[tuple[StateCheck, str, Sequence[Observation]]]:
    """What each check sees: together over one connection to each side; where one fails, each by itself."""
    try:
        run.migration.check()
        with both_sides(run, readers=1) as sides:
            seen = run.call(lambda: sides.on(list(Side), lambda ends: _examine(run, checks, *ends)))
    except MigrationError as error:
        if len(checks) == 1:
            yield checks[0], "nothing could be compared", [Observation(checks[0].name, str(error))]
        else:
            yield from chain.from_iterable(examine(run, [check]) for check in checks)
        return
    yield from ((check, examined, found) for check, (examined, found) in zip(checks, seen, strict=True))
