"""What is asked before anybody has to wait: whether a cutover is possible, and how long its pause will be, about."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import MATERIALIZED_ROWS, SchemaObject, Table, TableName
from pg_migration.postgres.catalog.reading.catalog_state import CatalogState, catalog_state
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.figures import listed
from pg_migration.postgres.hashing.digests import Hashing, count_rows
from pg_migration.postgres.migration.comparison.compare_state import compare_structure, grave_differences
from pg_migration.postgres.migration.comparison.databases import both_sides
from pg_migration.postgres.migration.live.ends import Ends
from pg_migration.postgres.migration.live.moved import Check, CutoverOptions, Rehearsal
from pg_migration.postgres.migration.live.takeover.recovery import WAY_BACK_URL
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.structure import refreshes
from pg_migration.postgres.planning.forecast import ASSUMED_BYTES_PER_SECOND, usual_speed
from pg_migration.postgres.replication.fence import clients, lacking_rights
from pg_migration.postgres.replication.identities import identities
from pg_migration.postgres.replication.lag import MAX_LAG_SECONDS, Lag, lag, position, wait_until_applied
from pg_migration.postgres.replication.prerequisites import APPLIES_AS_OWNER_SINCE
from pg_migration.postgres.replication.read_only import overriding_roles
from pg_migration.postgres.replication.slot import can_decode
from pg_migration.postgres.replication.source_objects import ours, timeline_of
from pg_migration.postgres.replication.state import Replication
from pg_migration.postgres.replication.structure import FoundTable, structure_changes, tables_of
from pg_migration.postgres.replication.subscription import astray, connection_string, disabled, try_subscription
from pg_migration.postgres.roles.reach import quoted
from pg_migration.postgres.verification.slices import Slicing, slice_tables

# How long all rows count as compared.
VALIDATED_HOURS = 24
# So much is read to learn how fast that is.
PROBED_BYTES: Mapping[Check, int] = {"count": 2**30, "content": 2**27}
# Locks, the end of sessions and the bookkeeping, which nothing tells beforehand.
USUAL_SECONDS = 0.2
CATCH_UP_SECONDS = 60.0
# What one costs beside its bytes.
SECONDS_PER_LARGE_OBJECT = 0.0002

_VALIDATED = """
SELECT coalesce(%s::pg_catalog.timestamptz OPERATOR(pg_catalog.>)
                (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.make_interval(hours => %s)), false)
"""
# What a fence itself changes, and what replication does.
_NO_STRUCTURE = frozenset({"pg_db_role_setting", "pg_subscription"})


@dataclass
class Stopwatch:
    """The seconds that the parts of something take."""

    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.parts[part] = self.parts.get(part, 0.0) + time.monotonic() - began


@dataclass(frozen=True)
class Prepared:
    """What is known before a cutover.

    ``tables`` are those of the source that nobody is to write to. ``reloaded`` are copied anew at the cutover.
    ``states`` are those of both catalogs before they were read.
    """

    rehearsal: Rehearsal
    tables: Sequence[FoundTable]
    reloaded: Sequence[Table]
    states: tuple[CatalogState, CatalogState]


def prepare(run: MigrationRun, ends: Ends, replication: Replication, chosen: CutoverOptions) -> Prepared:
    """Ask everything that can be asked while writers go on.

    Raises:
        MigrationError: a side can't be asked.
    """
    problems, warnings = run.call(lambda: _soundness(run, ends, replication, chosen))
    states = run.call(lambda: (state_of(ends.source), state_of(ends.target)))
    stopwatch = Stopwatch()
    with stopwatch("structure"):
        problems += [str(difference) for difference in differing(run)]
        run.call(lambda: state_of(ends.source))
    every = run.call(lambda: tables_of(ends.source, run.schemas))
    known = run.catalog.tables_by_name
    tables = [found for found in every if found.table.name in known]
    published = {table.name for table in replication.tables}
    reloaded = [t for t in run.catalog.tables if t.kind == "r" and t.key not in published]
    problems += run.call(lambda: lacking_rights(ends.source, tables))
    if chosen.way_back:
        unlogged = {found.table.name for found in tables if found.unlogged}
        problems += run.call(lambda: _no_way_back(run, ends, replication, reloaded, unlogged))
    parts: Mapping[str, float] = {}
    if not problems:
        # What a catalog costs to read counts only where others alter it all the time, so that it is read again.
        steady = run.call(lambda: state_of(ends.source)) == states[0]
        seconds = USUAL_SECONDS if steady else stopwatch.parts["structure"]
        parts = {"locks and structure": seconds, **_parts(run, ends, replication, reloaded, chosen)}
    rehearsal = Rehearsal(problems, warnings, parts)
    if rehearsal.seconds > chosen.max_pause_seconds:
        problems.append(
            f"writers would wait for about {rehearsal.seconds:.0f} s, longer than max_pause "
            f"({chosen.max_pause_seconds:g} s): {rehearsal}"
        )
    return Prepared(rehearsal, tables, reloaded, states)


def state_of(connection: Connection) -> CatalogState:
    """What is the same as long as nobody alters the structure of a database, but for what a cutover itself does."""
    return tuple(row for row in catalog_state(connection) if row[0] not in _NO_STRUCTURE)


def differing(run: MigrationRun) -> Sequence[object]:
    """What of the structure of both sides is not the same."""
    return grave_differences(compare_structure(run), made_here=False)


def unsound(found: Lag, replication: Replication, follower: Side = Side.TARGET) -> list[str]:
    """Why a replication does not go on as it should, or is too far behind.

    Args:
        follower: the side that has the subscription; the source on the way back.
    """
    state, there = found.subscription, follower.value
    if found.slot_is_lost:
        if follower is Side.SOURCE:
            gone = "there is no way back any more (pg_migration end-way-back)"
            return [f"the replication slot of the target is lost: changes are missing in the source, and {gone}"]
        return [
            "the replication slot of the source is lost: changes are missing in the target. Abandon it, follow anew"
        ]
    if found.is_ahead:
        other = Side.SOURCE if follower is Side.TARGET else Side.TARGET
        why = "a standby must have taken over that had not everything yet: changes are missing"
        return [f"the {there} has received more than the {other.value} has written; {why}"]
    if state is None:
        rest = "follow anew (pg_migration abandon, then follow)" if follower is Side.TARGET else "end the way back"
        return [f"the {there} has no subscription any more: {rest}"]
    problems = astray(state, replication, there)
    if not state.enabled:
        return [*problems, disabled(state, replication.name, follower)]
    if not state.ready:
        problems.append(f"{found.tables - found.tables_ready} tables are not replicated yet")
    if found.lag_seconds is None or found.lag_seconds > MAX_LAG_SECONDS:
        behind = "unknown" if found.lag_seconds is None else f"{found.lag_seconds:.0f} s"
        if state.pid is None:
            behind += f", as no worker of the {there} runs for subscription {replication.name}: its log says why"
        problems.append(f"the {there} is too far behind ({behind}; at most {MAX_LAG_SECONDS:.0f} s)")
    return problems


def _soundness(
    run: MigrationRun, ends: Ends, replication: Replication, chosen: CutoverOptions
) -> tuple[list[str], list[str]]:
    found = lag(ends.source, ends.target, replication)
    problems = unsound(found, replication)
    changes = structure_changes(ends.source, replication, run.options.exclude_tables, run.schemas)
    problems += [f"the source was changed: {change}" for change in changes]
    if roles := overriding_roles(ends.source):
        problems.append(
            f"sessions of {listed(roles)} write also where the database is read only by default: ALTER ROLE ... RESET "
            f"default_transaction_read_only, also IN DATABASE"
        )
    if chosen.check == "count" and fetch(ends.target, _VALIDATED, (replication.validated_at, VALIDATED_HOURS)) != [
        (True,)
    ]:
        problems.append(
            f"the rows were not compared within the last {VALIDATED_HOURS} hours, or something was wrong since: start "
            f"pg_migration validate, which can be done while the target follows, or have them compared while writers "
            f"wait (--check content)"
        )
    elsewhere, timeline = [], timeline_of(ends.source)
    for one in ours(ends.source):
        if one.name == replication.name and chosen.check == "count" and one.timeline not in (None, timeline):
            problems.append(
                "a standby of the source has taken over: look after it (pg_migration lag), and have everything "
                "compared then (pg_migration validate), or while writers wait (--check content)"
            )
        if one.name == replication.name and not one.owned:
            problems.append(
                f"publication {one.name} of the source belongs to another role: ALTER PUBLICATION {one.name} OWNER TO "
                f"{ends.source.info.user}"
            )
        elif one.name != replication.name and one.slot:
            elsewhere.append(f"{one.name} into {' or '.join(one.target.places) if one.target else 'another target'}")
    others = [client for client in clients(ends.source, run.connections.processes()) if not client.may_be_ended]
    warnings = []
    if elsewhere:
        warnings.append(
            f"others follow this source as well, and get nothing any more when it is read only: {listed(elsewhere)}"
        )
    if found.conflicts:
        warnings.append(
            "changes met other rows in the target than in the source: have all values compared (--check content) where "
            "that was not done since"
        )
    if others:
        warnings.append(
            f"this role may not end sessions of superusers, which could go on writing to the source after the cutover: "
            f"{listed(map(str, others))}"
        )
    return problems, warnings


def _no_way_back(
    run: MigrationRun, ends: Ends, replication: Replication, reloaded: Sequence[Table], unlogged: Set[TableName]
) -> Iterator[str]:
    """Why what is written to the target could not be replicated to the source.

    Args:
        reloaded: tables that are not replicated, ``unlogged`` ones among them.
    """
    if without_wal := [".".join(table.key) for table in reloaded if table.key in unlogged]:
        yield (
            f"a way back is not possible with UNLOGGED tables, whose rows are in no WAL: {listed(without_wal)}. ALTER "
            f"TABLE ... SET LOGGED in the source, and follow anew; or leave the way back out"
        )
    if without_key := [".".join(table.key) for table in reloaded if table.key not in unlogged]:
        yield (
            f"a way back is not possible with tables that are not replicated: {listed(without_key)}. Give each a "
            f"primary key or another replica identity in the source, and follow anew; or leave the way back out"
        )
    ((level, free),) = fetch(ends.target, _TARGET)
    if not can_decode(ends.target, level):
        yield (
            f"a way back needs wal_level = logical on the target, which has {level} (a restart; managed services have "
            f"parameters of their own for it)"
        )
    elif not free:
        yield (
            "a way back needs a replication slot on the target, and none is free: drop one that nobody needs, or raise "
            "max_replication_slots there (a restart)"
        )
    names_there = {
        run.target_name(run.catalog.tables_by_name[t.name])
        for t in replication.tables
        if t.name in run.catalog.tables_by_name
    }
    there = [found for found in tables_of(ends.target, run.schemas.values()) if found.table.name in names_there]
    found_identities = identities(ends.target, [found.table.oid for found in there])
    if lacking := [".".join(one.name) for one in found_identities if not one.serves]:
        yield (
            f"a way back is not possible, as tables of the target have no replica identity: {listed(lacking)}. Give "
            f"each that of the source there: ALTER TABLE ... REPLICA IDENTITY"
        )
    applies_as_owner = ends.source.server_version >= APPLIES_AS_OWNER_SINCE
    rows = fetch(ends.source, _OWNERS, ([t.oid for t in replication.tables],)) if applies_as_owner else []
    if owners := listed(owner for (owner,) in rows):
        yield (
            f"a way back is not possible: the source would apply changes as {owners}, which its role may not become. "
            f"As a superuser run there: GRANT {owners} TO {quoted(ends.source.info.user)} WITH SET TRUE"
        )
    for right in lacking_rights(ends.target, there, Side.TARGET):
        yield f"for a way back, {right}"
    url = connection_string(run.sides.target, ends.target, run.migration.way_back_url, WAY_BACK_URL)
    try:
        try_subscription(ends.source, url, Side.SOURCE, WAY_BACK_URL)
    except MigrationError as refusal:
        yield f"a way back is not possible: {refusal}"


_OWNERS = """
SELECT DISTINCT pg_catalog.quote_ident(o.rolname)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_roles o ON o.oid OPERATOR(pg_catalog.=) c.relowner
 WHERE c.oid OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.oid[])
   AND NOT pg_catalog.pg_has_role(c.relowner, 'SET')
 ORDER BY 1
"""
_LARGE_OBJECTS = "SELECT pg_catalog.pg_table_size('pg_catalog.pg_largeobject'::pg_catalog.regclass)"
_TARGET = """
SELECT pg_catalog.current_setting('wal_level'),
       pg_catalog.to_number(pg_catalog.current_setting('max_replication_slots'), '999999') OPERATOR(pg_catalog.>)
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots)
"""


def _parts(
    run: MigrationRun, ends: Ends, replication: Replication, reloaded: Sequence[Table], chosen: CutoverOptions
) -> Mapping[str, float]:
    """The seconds that each part is expected to take."""
    stopwatch = Stopwatch()
    with stopwatch("wait for the target"):
        run.call(lambda: catch_up(run, ends, replication, CATCH_UP_SECONDS))
    parts = stopwatch.parts
    if reloaded:
        speed = run.call(lambda: usual_speed(ends.target)) or ASSUMED_BYTES_PER_SECOND
        sizes = [table.bytes for table in reloaded]
        parts["tables that are copied anew"] = max(sum(sizes) / run.workers(), max(sizes)) / speed + 0.05 * len(sizes)
    if (found := run.catalog.large_objects) is not None:
        ((size,),) = run.call(lambda: fetch(ends.source, _LARGE_OBJECTS))
        speed = run.call(lambda: usual_speed(ends.target)) or ASSUMED_BYTES_PER_SECOND
        parts["large objects"] = size / speed + found.objects * SECONDS_PER_LARGE_OBJECT
    views = run.call(lambda: refreshes(run, run.catalog.tables))
    if views:
        parts["materialized views"] = run.call(lambda: _refresh_seconds(run, views, chosen.max_pause_seconds))
    parts[chosen.check] = _reading_seconds(run, chosen.check)
    return parts


def catch_up(run: MigrationRun, ends: Ends, replication: Replication, seconds: float) -> str:
    """Wait until the target has all that was written until now; the position of that.

    Raises:
        MigrationError: it has not within so many seconds.
    """
    return caught_up(run, ends, Side.TARGET, replication, seconds)


def caught_up(run: MigrationRun, ends: Ends, follower: Side, replication: Replication, seconds: float) -> str:
    """The same, whichever side follows the other one."""
    written, follows = (ends.source, ends.target) if follower is Side.TARGET else (ends.target, ends.source)
    at, stopped = position(written), run.connections.stopped()
    wait_until_applied(follows, replication, at, time.monotonic() + seconds, stopped, follower)
    return at


def _refresh_seconds(run: MigrationRun, views: Sequence[SchemaObject], limit: float) -> float:
    """How long the queries of materialized views take on the target now; the limit where they take longer."""
    connection, began = run.sides.target_connection, time.monotonic()
    for view in views:
        assert view.kind == MATERIALIZED_ROWS, "what is refreshed"
        left = limit - (time.monotonic() - began)
        if left <= 0:
            break
        name = sql.Identifier(run.schemas[view.schema], view.name).as_string(connection)
        try:
            ((definition,),) = fetch(connection, "SELECT pg_catalog.pg_get_viewdef(%s::pg_catalog.regclass)", (name,))
            statement = "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; EXPLAIN (ANALYZE, TIMING off, COSTS off) "
            limited = sql.SQL(statement).format(sql.Literal(f"{max(1, round(left * 1000))}ms"))
            execute(connection, sql.SQL("{}{}").format(limited, sql.SQL(definition.rstrip(";"))))
        except psycopg2.errors.QueryCanceled:
            pass
        except psycopg2.Error as refusal:
            if connection.closed:
                raise
            run.log.warning(f"how long {view.identity} takes to refresh can't be told: {server_message(refusal)}")
        finally:
            if not connection.closed:
                execute(connection, "ROLLBACK")
    return time.monotonic() - began


def _reading_seconds(run: MigrationRun, check: Check) -> float:
    """How long it takes to read all rows of both sides, by what a part of them takes now."""
    tables = [table for table in run.catalog.tables if table.kind == "r"]
    names = {table: run.place(table) for table in tables}
    with both_sides(run) as sides:
        hashes = check == "content"
        slicings = run.call(lambda: slice_tables(run.planner(), run.sides.target_connection, names, hashes))
        probes = list(_probes(slicings, PROBED_BYTES[check], cut_all=hashes))
        chosen, workers = [probe.slicing for probe in probes], run.call(run.workers)
        began = time.monotonic()
        answers = sides.ask(Hashing(), chosen, workers) if hashes else sides.ask(count_rows, chosen, workers)
        for _ in answers:
            pass
        took = time.monotonic() - began
    return took * max(1.0, sum(table.bytes for table in tables) / max(1.0, sum(probe.bytes for probe in probes)))


@dataclass(frozen=True)
class _Probe:
    """A part of a table, and how many bytes that is, about."""

    slicing: Slicing
    bytes: float


def _probes(slicings: Sequence[Slicing], budget: int, cut_all: bool) -> Iterator[_Probe]:
    """Parts of tables of so many bytes together, about.

    Args:
        cut_all: a part of each table; else whole ones, the smallest first, as they are read at the cutover.
    """
    share, left = budget / max(1, sum(slicing.table.bytes for slicing in slicings)), float(budget)
    for slicing in sorted(slicings, key=lambda slicing: slicing.table.bytes):
        size = slicing.table.bytes
        if share >= 1 or (not cut_all and size <= left):
            yield _Probe(slicing if cut_all else Slicing.whole(slicing.table, slicing.rows), size)
            left -= size
            continue
        pieces = min(len(slices) for slices in slicing.slices.values())
        wanted = math.ceil(pieces * (share if cut_all else left / size))
        if pieces > 1 and wanted:
            slices = {side: slices[:wanted] for side, slices in slicing.slices.items()}
            yield _Probe(replace(slicing, slices=slices, ranges=slicing.ranges[:wanted]), size * wanted / pieces)
        left = 0.0
