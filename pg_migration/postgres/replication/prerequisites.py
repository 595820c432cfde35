"""Whether a target can follow its source, looked at before anything is made."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import ConnectionFailed, MigrationError
from pg_migration.postgres.figures import counted, listed, roughly, size
from pg_migration.postgres.ledger.own_rows import Databases
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.preflight import Finding, Severity, error, misuse, passed, warning
from pg_migration.postgres.preflight.ends import Ends
from pg_migration.postgres.preflight.resources import data_folder
from pg_migration.postgres.replication.coverage import BY_INDEX, BY_ROW, Coverage, Refused
from pg_migration.postgres.replication.fence import lacking_rights
from pg_migration.postgres.replication.slot import can_decode
from pg_migration.postgres.replication.structure import tables_of
from pg_migration.postgres.replication.subscription import try_subscription
from pg_migration.postgres.roles.reach import quoted
from pg_migration.postgres.sql_files import sql_file

FOLLOW = "follow"
SUBSCRIBERS_SINCE = 160000
APPLIES_AS_OWNER_SINCE = 160000
INDEXES_OF_FULL_SINCE = 160000
KEEP_SIZE_SINCE = 130000
MAX_TOLD = 10
# What a copy of less time makes the source keep is not worth being measured.
LONG_SECONDS = 60.0
SAMPLE_SECONDS = 5.0
# Indexes, keys and checks take about as long again as the copy.
TIMES_FORECAST = 2.0

_WRITTEN = "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::pg_catalog.int8"

_KEEP_SIZE = """
SELECT pg_catalog.to_number(s.setting, '9999999999')::pg_catalog.int8 * 1024 * 1024 FROM pg_catalog.pg_settings s
 WHERE s.name = 'max_slot_wal_keep_size' AND s.setting <> '-1'
"""


@dataclass(frozen=True)
class Following:
    """What is to be followed, and how.

    ``url`` is how the target reaches the source, with its password; ``is_other_way`` where that was configured.
    ``seconds`` is about how long the copy takes.
    """

    ends: Ends
    connections: Connections
    source: Endpoint
    databases: Databases
    catalog: Catalog
    coverage: Coverage
    no_identity: str
    max_retained_wal: int
    url: str = field(repr=False)
    is_other_way: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class WalLimit:
    """How much WAL the source may keep for a slot, in bytes, and what that was lowered by, if anything.

    ``free`` is what is free on its disk, where that can be seen; ``kept_by_server`` is max_slot_wal_keep_size, beyond
    which a slot is lost; from 13 on it can be set.
    """

    bytes: int
    lowered_by: str = ""
    free: int | None = None
    kept_by_server: int | None = None
    can_be_set: bool = True

    @property
    def why_unlimited(self) -> str:
        """Why a slot may keep WAL without limit, where it may; nothing where it may not."""
        if self.kept_by_server is not None:
            return ""
        if not self.can_be_set:
            return "before PostgreSQL 13 a server has no max_slot_wal_keep_size"
        return "its max_slot_wal_keep_size is -1"


def wal_limit(source: Connection, wanted: int, folder: Path | None = None) -> WalLimit:
    """How much WAL the source may keep: what is wanted, but no more than half of what is free.

    Args:
        folder: the source's data, where this program sees the same files.
    """
    rows = fetch(source, _KEEP_SIZE)
    by_server = int(rows[0][0]) if rows else None
    free = shutil.disk_usage(folder).free if folder is not None else None
    limits = {wanted: ""}
    if free is not None:
        limits[free // 2] = f"half of what is free in {folder}"
    if by_server is not None:
        limits[by_server] = "max_slot_wal_keep_size of the source"
    least = min(limits)
    return WalLimit(least, limits[least], free, by_server, source.server_version >= KEEP_SIZE_SINCE)


def look_at_replication(following: Following) -> Iterator[Finding]:
    """Everything that the target needs to follow the source until a cutover, and to take over then.

    Nothing is made; the target's server tries to connect to the source, and leaves nothing of that.

    Raises:
        psycopg2.Error: a server refused to answer.
    """
    first = _position(following)
    findings = [
        *_source_server(following),
        *_target_server(following),
        *_tables(following.coverage, following.no_identity),
        *_by_row(following),
        *_rights(following),
        _left_to_the_cutover(following),
    ]
    if not any(found.severity is Severity.ERROR for found in findings):
        findings += [_walsender(following), *_way(following)]
    yield from findings
    yield from _wal(following, first)


def _source_server(following: Following) -> Iterator[Finding]:
    source, tables = following.ends.source, [table.oid for table in following.coverage.tables]
    query = sql_file("replication/queries/source_server.sql")
    ((standby, level, slots, used, senders, sending, idle, unordered, role, database, creates, *of_tables),) = fetch(
        source, query, {"tables": tables}
    )
    not_owned, owners, triggers, forced = of_tables
    if standby:
        yield misuse(FOLLOW, "the source is a standby, which can't be followed", "Take its primary as the source")
        return
    if not can_decode(source, level):
        yield error(
            FOLLOW,
            f"wal_level of the source is {level}, and following needs logical",
            "Set wal_level = logical there; this takes a restart (Amazon RDS and Aurora: rds.logical_replication = 1, "
            "Azure: the server parameter wal_level, Cloud SQL: the flag cloudsql.logical_decoding)",
        )
    if used >= slots:
        yield error(
            FOLLOW,
            f"the source has no free replication slot: {used} of max_replication_slots = {slots} are there",
            "Drop one that nobody needs, or raise that (this takes a restart)",
        )
    if sending >= senders:
        yield error(
            FOLLOW,
            f"the source has no free walsender: {sending} of max_wal_senders = {senders} are at work",
            "Raise that (this takes a restart)",
        )
    if idle:
        yield error(
            FOLLOW,
            f"idle_replication_slot_timeout of the source is {idle} s: the slot would be invalidated while rows are "
            f"copied, as nobody reads it then",
            "Set it to 0 until the cutover: ALTER SYSTEM SET idle_replication_slot_timeout = 0; "
            "SELECT pg_reload_conf();",
        )
    if unordered:
        yield warning(
            FOLLOW,
            "standbys follow the source, and synchronized_standby_slots names none: a standby that takes over may lack "
            "what the target has got, and both are different then",
            "Name the slots of those standbys there that may take over; they need sync_replication_slots = on, "
            "hot_standby_feedback = on and a dbname in primary_conninfo",
        )
    if not creates:
        yield error(
            FOLLOW,
            f"role {role} may not make a publication in the source",
            f"As the database's owner run: GRANT CREATE ON DATABASE {quoted(database)} TO {quoted(role)};",
        )
    if not_owned:
        yield error(
            FOLLOW,
            f"role {role} is not the owner of {listed(not_owned)} in the source, and only owners may publish a table",
            f"GRANT {listed(owners)} TO {quoted(role)} (WITH INHERIT TRUE where that is NOINHERIT), or connect as the "
            f"owner",
        )
    if triggers:
        yield warning(
            FOLLOW,
            f"these triggers fire also for what is replicated, and replication stops where one fails (their "
            f"search_path is empty then): {listed(triggers)}",
            "Name schemas in what they run, or disable them in the target until the cutover",
        )
    if forced and following.ends.target.server_version >= APPLIES_AS_OWNER_SINCE:
        yield error(
            FOLLOW,
            f"row security is forced on the owner of {listed(forced)}, as whom the target applies changes: the first "
            f"one would stop replication",
            "Give the owner BYPASSRLS on both sides, or ALTER TABLE ... NO FORCE ROW LEVEL SECURITY until the cutover",
        )


def _target_server(following: Following) -> Iterator[Finding]:
    target = following.ends.target
    names = [table.name for table in following.coverage.tables]
    parameters = {"schemas": [schema for schema, _ in names], "names": [name for _, name in names]}
    rows = fetch(target, sql_file("replication/queries/target_server.sql"), parameters)
    ((workers, working, origins, known, role, database, superuser, may_subscribe, creates, referring),) = rows
    if working >= workers:
        yield error(
            FOLLOW,
            f"the target has no free worker for replication: {working} of max_logical_replication_workers = {workers} "
            f"are at work",
            "Raise that (this takes a restart)",
        )
    if known >= origins:
        name = "max_active_replication_origins" if target.server_version >= 180000 else "max_replication_slots"
        yield error(
            FOLLOW,
            f"the target can follow no further source: {known} origins are known, and {name} is {origins}",
            "Raise that (this takes a restart)",
        )
    if not superuser and target.server_version < SUBSCRIBERS_SINCE:
        yield error(
            FOLLOW,
            f"role {role} of the target is no superuser, and before PostgreSQL 16 only those make subscriptions",
            "Connect as a superuser",
        )
    elif not superuser and not (may_subscribe and creates):
        yield error(
            FOLLOW,
            f"role {role} may not make a subscription in the target",
            f"As a superuser run: GRANT pg_create_subscription TO {quoted(role)}; GRANT CREATE ON DATABASE "
            f"{quoted(database)} TO {quoted(role)};",
        )
    if referring:
        yield warning(
            FOLLOW,
            f"tables that only the target has refer to replicated ones: {listed(referring)}. A TRUNCATE ... CASCADE on "
            f"the source would stop replication there",
            "Drop these foreign keys until the cutover",
        )


def _tables(coverage: Coverage, no_identity: str) -> Iterator[Finding]:
    if without := [table for table in coverage.refused if table.identity is not None]:
        by_index = [table for table in without if table.identity and table.identity.candidate]
        told = "; ".join(f"{'.'.join(table.name)}: {table.reason}" for table in without[:MAX_TOLD])
        more = f" and {len(without) - MAX_TOLD:,} more" if len(without) > MAX_TOLD else ""
        yield error(
            FOLLOW,
            f"once they are published, updates and deletions of these tables would fail in the source, or could not be "
            f"replicated: {told}{more}",
            " ".join(_ways(by_index, no_identity)),
        )
    for table in coverage.refused:
        if table.identity is None:
            yield error(
                FOLLOW,
                f"table {'.'.join(table.name)} of the source can't be replicated: {table.reason}",
                "Leave it out (exclude_tables), or set no_identity: reload, which copies it again at the cutover",
            )
    if not coverage.refused:
        told = f"{counted(len(coverage.tables), 'table')} can be replicated"
        if coverage.identities:
            names = listed(".".join(changed.name) for changed in coverage.identities)
            told += f"; the replica identity of {names} is changed in the source until the cutover"
        yield passed(FOLLOW, told)


def _ways(by_index: Sequence[Refused], no_identity: str) -> Iterator[str]:
    yield "Give each a primary key that is not DEFERRABLE; or choose one of these for all."
    if by_index and no_identity != BY_INDEX:
        statements = [
            f"ALTER TABLE {quoted(table.name[0])}.{quoted(table.name[1])} REPLICA IDENTITY "
            f"{'DEFAULT' if table.identity.candidate_is_primary else f'USING INDEX {quoted(table.identity.candidate)}'}"
            for table in by_index
            if table.identity is not None and table.identity.candidate is not None
        ]
        yield f"no_identity: index, for {listed(statements, 5, '; ')}."
    if no_identity != BY_ROW:
        yield (
            "no_identity: full (ALTER TABLE ... REPLICA IDENTITY FULL), which finds rows by all of their columns and "
            "writes more WAL."
        )
    yield "no_identity: reload, which does not replicate them and copies them again at the cutover"


def _by_row(following: Following) -> Iterator[Finding]:
    target = following.ends.target.server_version
    # By its primary key a row is found in any version.
    others = [table for table in following.coverage.by_row if not table.candidate_is_primary]
    slow = [table for table in others if not table.indexed or target < INDEXES_OF_FULL_SINCE]
    if slow:
        told = listed(f"{'.'.join(table.name)} ({size(table.bytes)})" for table in slow)
        yield warning(
            FOLLOW,
            f"each update and deletion reads the whole table in the target, as its rows are found by all of their "
            f"columns: {told}",
            "Give it an index; from 16 on any of the target's is used"
            if target >= INDEXES_OF_FULL_SINCE
            else "Give it a primary key, or a unique index as its replica identity",
        )


def _rights(following: Following) -> Iterator[Finding]:
    """That the role will be able to cut over: it is asked now, not in that night."""
    source = following.ends.source
    tables = tables_of(source, {table.schema for table in following.catalog.tables})
    own = {table.oid for table in following.catalog.tables}
    for lacking in lacking_rights(source, [found for found in tables if found.table.oid in own]):
        yield error(FOLLOW, f"for the cutover, {lacking}", "")


def _left_to_the_cutover(following: Following) -> Finding:
    coverage, catalog = following.coverage, following.catalog
    views = [item for item in catalog.objects if item.kind == "materialized view"]
    parts = [
        f"UNLOGGED tables are copied again ({listed('.'.join(name) for name in coverage.unlogged)})"
        if coverage.unlogged
        else "",
        f"so are {listed('.'.join(name) for name in coverage.reloaded if name not in coverage.unlogged)}"
        if len(coverage.reloaded) > len(coverage.unlogged)
        else "",
        f"{counted(len(views), 'materialized view')} refreshed" if views else "",
        "large objects are copied again" if catalog.large_objects is not None else "",
        "rows in tables of extensions are copied again" if catalog.configurations else "",
    ]
    if told := [part for part in parts if part]:
        return warning(FOLLOW, f"not replicated; at the cutover, {'; '.join(told)}", "It takes longer for that")
    return passed(FOLLOW, "sequences are set at the cutover; everything else is replicated")


def _walsender(following: Following) -> Finding:
    try:
        following.connections.open_walsender(following.source).close()
    except ConnectionFailed as refusal:
        user = following.ends.source.info.user
        return error(
            FOLLOW,
            f"the source does not take a connection for replication: {refusal}",
            f"The role needs REPLICATION (ALTER ROLE {quoted(user)} REPLICATION; Amazon RDS: GRANT rds_replication TO "
            f"{quoted(user)}), and the way there may lead through no pooler",
        )
    return passed(FOLLOW, "the source takes connections for replication")


def _way(following: Following) -> Iterator[Finding]:
    """That the target reaches the source by itself, and that it is the same one."""
    if following.is_other_way and (found := _other_database(following)) is not None:
        yield found
        return
    try:
        try_subscription(following.ends.target, following.url)
    except MigrationError as refusal:
        yield error(FOLLOW, str(refusal), "")
        return
    where = Endpoint(Side.SOURCE, following.url).description
    yield passed(
        FOLLOW, f"the target reaches the source at {where}; it keeps that password where its superusers can read it"
    )


def _other_database(following: Following) -> Finding | None:
    """That the address that the target uses leads elsewhere, as far as it can be reached from here, too."""
    end = Endpoint(Side.SOURCE, following.url)
    try:
        connection = following.connections.open(end)
    except ConnectionFailed:
        return None
    try:
        other = Identity.of(connection, end).differs_from(Identity.of(following.ends.source, following.source))
    finally:
        connection.close()
    if other is None:
        return None
    return error(
        FOLLOW,
        f"the target would follow another database than the one that is copied: {end.description} is not the source",
        "Correct PG_MIGRATION_REPLICATION_URL",
    )


def _position(following: Following) -> tuple[float, int]:
    if following.seconds < LONG_SECONDS:
        return time.monotonic(), 0
    ((standby,),) = fetch(following.ends.source, "SELECT pg_catalog.pg_is_in_recovery()")
    if standby:
        return time.monotonic(), 0
    ((at,),) = fetch(following.ends.source, _WRITTEN)
    return time.monotonic(), int(at)


def _wal(following: Following, first: tuple[float, int]) -> Iterator[Finding]:
    """What the source will keep while rows are copied, against what it may keep."""
    limit = wal_limit(following.ends.source, following.max_retained_wal, data_folder(following.ends.source))
    told = f"the source may keep {size(limit.bytes)} of WAL for the target"
    told += f" ({limit.lowered_by})" if limit.lowered_by else " (max_retained_wal)"
    if limit.why_unlimited:
        told += f"; nothing but the looks of this program keeps it from more, as {limit.why_unlimited}"
    if not first[1]:
        yield passed(FOLLOW, told)
        return
    time.sleep(max(0.0, SAMPLE_SECONDS - (time.monotonic() - first[0])))
    ((at,),) = fetch(following.ends.source, _WRITTEN)
    rate = (int(at) - first[1]) / max(0.001, time.monotonic() - first[0])
    kept = rate * following.seconds * TIMES_FORECAST
    told = (
        f"it writes {size(rate)} a second now, so that about {size(kept)} will be kept until the target follows, in "
        f"{roughly(following.seconds * TIMES_FORECAST)}; {told}"
    )
    if kept * 2 > limit.bytes:
        yield warning(FOLLOW, told, "Raise max_retained_wal where there is room for it, or begin at a quieter hour")
    else:
        yield passed(FOLLOW, told)
