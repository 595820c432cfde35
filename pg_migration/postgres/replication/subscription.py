"""The subscription of the target: tried, made, looked at and taken away. PostgreSQL docs: CREATE SUBSCRIPTION."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import Question, execute, fetch, transaction, undone_on_errors
from pg_migration.postgres.errors import MigrationError, collided, server_message
from pg_migration.postgres.figures import counted
from pg_migration.postgres.replication.source_objects import writing
from pg_migration.postgres.replication.state import PATTERN, Replication, new_name
from pg_migration.postgres.roles.reach import quoted
from pg_migration.postgres.sql_files import sql_file

STREAMING_SINCE = 140000
DISABLED_ON_ERROR_SINCE = 150000
STATISTICS_SINCE = 150000
FAILOVER_SINCE = 170000
CONFLICTS_SINCE = 180000
SUBSCRIBERS_SINCE = 160000  # pg_create_subscription, where before only a superuser could
CONNECT_SECONDS = 30
REPLICATION_URL = "PG_MIGRATION_REPLICATION_URL"
LOCK_SECONDS = 30.0
ATTEMPTS, PAUSE_SECONDS = 10, 0.1
READY = "r"

_EXISTS = """
SELECT s.subenabled FROM pg_catalog.pg_subscription s
  JOIN pg_catalog.pg_database d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
 WHERE s.subname = %s
"""
# By our names, whatever the ledger says: nothing else may write to such a target.
_OURS = """
SELECT s.subname::text FROM pg_catalog.pg_subscription s
  JOIN pg_catalog.pg_database d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
 WHERE s.subname ~ %s ORDER BY 1
"""
_TAKEN_IN = """
SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_subscription_rel r
  JOIN pg_catalog.pg_subscription s ON s.oid = r.srsubid
  JOIN pg_catalog.pg_class c ON c.oid = r.srrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE s.subname = %s
"""
OURS: Question = (_OURS, (PATTERN,))
# A server writes the text of a statement that fails into its log, or of every one, and so the password that is in it.
# Only superusers may keep it from that.
_UNLOGGED = {"log_min_error_statement": "panic", "log_statement": "none", "log_min_duration_statement": "-1"}
# Whether a role may make subscriptions here; superusers may.
_MAY = """
SELECT pg_catalog.pg_has_role('pg_create_subscription'::pg_catalog.name, 'USAGE')
   AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
"""
# Parameters that hold on the machine of this program only, or that the server sets itself.
_NOT_FOR_SERVERS = frozenset({"service", "passfile", "application_name", "replication", "connect_timeout"})


@dataclass(frozen=True)
class SubscriptionState:
    """What the target says of a subscription.

    ``tables`` counts its tables by pg_subscription_rel.srsubstate ('r' is ready). ``received`` is the position up to
    which everything was received; None without a worker. ``errors`` and ``conflicts`` count since they were reset;
    None and empty where the version does not tell. ``sent_at`` is when the last message was sent, in seconds since
    1970 by the source's clock. ``publications`` and ``slot`` are what it reads; ``others`` are subscriptions of that
    server that read a slot of its name as well.
    """

    enabled: bool
    tables: Mapping[str, int]
    received: str | None
    pid: int | None
    sent_at: float | None
    errors: int | None
    conflicts: Mapping[str, int] = field(default_factory=dict)
    publications: Sequence[str] = ()
    slot: str | None = None
    others: Sequence[str] = ()

    @property
    def ready(self) -> bool:
        """Whether every table is replicated."""
        return set(self.tables) <= {READY}


def connection_string(source: Endpoint, connected: Connection, url: str, variable: str = REPLICATION_URL) -> str:
    """How the target reaches the source: as ``url`` says, else as this program does, with the password.

    Args:
        connected: to the source; knows what libpq has taken from the environment or a password file.
        variable: where ``url`` was set.

    Raises:
        ConfigurationError: ``url`` can't be read.
    """
    if url.strip():
        given = dict(Endpoint.parse(source.side, url, variable).parameters)
    else:
        info = connected.info
        reached = {"host": info.host, "port": str(info.port), "dbname": info.dbname, "user": info.user}
        given = {**source.parameters, **reached, "password": info.password}
    return str(make_dsn(**{name: value for name, value in given.items() if value and name not in _NOT_FOR_SERVERS}))


def try_subscription(target: Connection, url: str, side: Side = Side.TARGET, variable: str = REPLICATION_URL) -> None:
    """Have a server connect to the other as it would for a subscription; nothing is left of it.

    Args:
        target: to the server that is to follow, ``side``, which is the source for a way back.
        variable: where ``url`` may be set.

    Raises:
        MigrationError: it can't, or its role may not; with what to do.
    """
    if not _may_subscribe(target):
        raise MigrationError(_lacking(target, side))
    options = sql.SQL("enabled = false, create_slot = false, slot_name = NONE, copy_data = false")
    execute(target, "BEGIN")
    try:
        with undone_on_errors(target):
            execute(target, "SELECT pg_catalog.set_config('statement_timeout', %s, true)", (f"{CONNECT_SECONDS}s",))
            _create(target, new_name(), url, options)
        execute(target, "ROLLBACK")
    except psycopg2.Error as refusal:
        if target.closed:
            raise
        raise MigrationError(_advised(url, refusal, side, variable)) from None


def _create(target: Connection, name: str, url: str, options: sql.Composable) -> None:
    """Make a subscription to a publication of the same name, in the transaction that is open."""
    if target.info.parameter_status("is_superuser") == "on":
        settings = [
            sql.SQL("pg_catalog.set_config({}, {}, true)").format(*map(sql.Literal, x)) for x in _UNLOGGED.items()
        ]
        fetch(target, sql.SQL("SELECT {}").format(sql.SQL(", ").join(settings)))
    form = sql.SQL("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} WITH ({})")
    execute(target, form.format(sql.Identifier(name), sql.Literal(url), sql.Identifier(name), options))


def _may_subscribe(target: Connection) -> bool:
    if target.info.parameter_status("is_superuser") == "on":
        return True
    return target.server_version >= SUBSCRIBERS_SINCE and fetch(target, _MAY) == [(True,)]


def _lacking(target: Connection, side: Side) -> str:
    role, database = quoted(target.info.user), quoted(target.info.dbname)
    rights = (
        f"as a superuser run there: GRANT pg_create_subscription TO {role}; "
        f"GRANT CREATE ON DATABASE {database} TO {role};"
        if target.server_version >= SUBSCRIBERS_SINCE
        else f"connect to the {side.value} as a superuser, as its version asks for that"
    )
    return f"the role {target.info.user} of the {side.value} may not make a subscription: {rights}"


def _advised(url: str, refusal: psycopg2.Error, side: Side, variable: str) -> str:
    other = Side.SOURCE if side is Side.TARGET else Side.TARGET
    where = Endpoint(other, url)
    role = quoted(where.parameters.get("user", ""))
    said = where.scrub(server_message(refusal))
    if isinstance(refusal, psycopg2.errors.QueryCanceled):
        said = f"no answer within {CONNECT_SECONDS} s"
    return (
        f"the {side.value}'s server can't follow the {other.value} at {where.description}: {said}. It has to reach "
        f"that address itself, directly and not through a pooler, as a role with REPLICATION (in the {other.value}, as "
        f"a superuser: ALTER ROLE {role} REPLICATION); where it knows the {other.value} by another name than this "
        f"program, set {variable}"
    )


def subscribe(
    target: Connection, replication: Replication, url: str, source_version: int, failover: bool = False
) -> None:
    """Have the target apply what the slot has; where there is a subscription already it is enabled.

    Args:
        url: as `connection_string` made it.
        failover: whether the slot is one that goes on at a standby of the source.

    Raises:
        MigrationError: the target refused.
    """
    name = sql.Identifier(replication.name)
    try:
        with writing(target, LOCK_SECONDS):
            known = fetch(target, _EXISTS, (replication.name,))
            if known == [(True,)]:
                return
            if known:
                execute(target, sql.SQL("ALTER SUBSCRIPTION {} ENABLE").format(name))
                return
            options = ["create_slot = false", "slot_name = {slot}", "copy_data = false", "enabled = true"]
            version = target.server_version
            if min(version, source_version) >= STREAMING_SINCE:
                options.append("streaming = on")
            if version >= DISABLED_ON_ERROR_SINCE:
                options.append("disable_on_error = true")
            if min(version, source_version) >= FAILOVER_SINCE:
                options.append(f"failover = {'true' if failover else 'false'}")
            made = sql.SQL(", ").join(sql.SQL(option).format(slot=sql.Literal(replication.name)) for option in options)
            with transaction(target):
                _create(target, replication.name, url, made)
    except psycopg2.Error as refusal:
        if target.closed:
            raise
        said = Endpoint(Side.SOURCE, url).scrub(server_message(refusal))
        raise MigrationError(f"subscription {replication.name} can't be made in the target: {said}") from None


def take_in_new_tables(target: Connection, name: str, url: str) -> None:
    """Have the target copy, and then follow, the tables that are in the publication and not in its subscription.

    One that was disabled goes on: what it passes over of these tables until then is in the copy.

    Args:
        url: how it reaches the source, whose password is kept out of messages.

    Raises:
        MigrationError: the target refused.
    """
    with _taking_in(target, name, url):
        pass


def let_tables_go(target: Connection, name: str, url: str, tables: Sequence[TableName]) -> None:
    """Have the target forget tables that the publication has lost, and empty them, so that they are copied as new ones.

    Those that it does not forget are published after all, and keep their rows.

    Raises:
        MigrationError: the target refused.
    """
    with _taking_in(target, name, url):
        kept = set(fetch(target, _TAKEN_IN, (name,)))
        for table in tables:
            if table not in kept:
                execute(target, sql.SQL("TRUNCATE ONLY {}").format(sql.Identifier(*table)))


@contextmanager
def _taking_in(target: Connection, name: str, url: str) -> Iterator[None]:
    """Have a subscription know what its publication has, and then do what the block says."""
    subscription = sql.Identifier(name)
    try:
        with writing(target, LOCK_SECONDS):
            _insist(target, sql.SQL("ALTER SUBSCRIPTION {} ENABLE").format(subscription))
            refresh = "ALTER SUBSCRIPTION {} REFRESH PUBLICATION WITH (copy_data = true)"
            execute(target, sql.SQL(refresh).format(subscription))
            yield
    except psycopg2.Error as refusal:
        if target.closed:
            raise
        said = Endpoint(Side.SOURCE, url).scrub(server_message(refusal))
        raise MigrationError(f"subscription {name} of the target can't take new tables in: {said}") from None


def resume(subscriber: Connection, name: str) -> None:
    """Have a subscription that is disabled go on.

    Raises:
        MigrationError: the server refused.
    """
    try:
        with writing(subscriber, LOCK_SECONDS):
            execute(subscriber, sql.SQL("ALTER SUBSCRIPTION {} ENABLE").format(sql.Identifier(name)))
    except psycopg2.Error as refusal:
        if subscriber.closed:
            raise
        raise MigrationError(f"subscription {name} can't be enabled: {server_message(refusal)}") from None


def unsubscribe(target: Connection, name: str) -> bool:
    """Take a subscription away, without asking the source, whose slot stays.

    Returns:
        Whether there was one.

    Raises:
        MigrationError: the target refused.
    """
    subscription = sql.Identifier(name)
    try:
        with writing(target, LOCK_SECONDS):
            if not fetch(target, _EXISTS, (name,)):
                return False
            for step in ("ALTER SUBSCRIPTION {} DISABLE", "ALTER SUBSCRIPTION {} SET (slot_name = NONE)"):
                _insist(target, sql.SQL(step).format(subscription))
            with suppress(psycopg2.errors.UndefinedObject):
                execute(target, sql.SQL("DROP SUBSCRIPTION {}").format(subscription))
            return True
    except psycopg2.Error as refusal:
        if target.closed:
            raise
        raise MigrationError(f"subscription {name} of the target can't be dropped: {server_message(refusal)}") from None


def _insist(target: Connection, statement: sql.Composable, attempts: int = ATTEMPTS) -> None:
    """Alter a subscription, whose worker may alter it at the same moment: it disables it at an error."""
    try:
        execute(target, statement)
    except psycopg2.Error as refusal:
        if target.closed or attempts <= 1 or not collided(refusal):
            raise
        time.sleep(PAUSE_SECONDS)
        _insist(target, statement, attempts - 1)


def subscription_state(target: Connection, name: str) -> SubscriptionState | None:
    """How a subscription of the target stands; None where there is none."""
    version = target.server_version
    counters = "pg_catalog.to_jsonb(t)" if version >= STATISTICS_SINCE else "NULL::pg_catalog.jsonb"
    joined = (
        "LEFT JOIN pg_catalog.pg_stat_subscription_stats t ON t.subid = s.oid" if version >= STATISTICS_SINCE else ""
    )
    query = sql_file("replication/queries/subscription.sql")
    rows = fetch(target, query.replace("{statistics}", counters).replace("{joined}", joined), {"name": name})
    if not rows:
        return None
    ((enabled, tables, received, pid, sent_at, statistics, publications, slot, others),) = rows
    # Of what there are errors has become more from version to version.
    errors = sum(n for key, n in statistics.items() if key.endswith("_error_count")) if statistics else None
    conflicts = {
        key.removeprefix("confl_"): n for key, n in (statistics or {}).items() if key.startswith("confl_") and n
    }
    return SubscriptionState(enabled, tables, received, pid, sent_at, errors, conflicts, publications, slot, others)


def disabled(state: SubscriptionState, name: str, side: Side) -> str:
    """That a subscription of one side does not go on, why, and what to do; for people."""
    if state.errors == 0:
        why = "somebody has disabled it"
    else:
        why = (
            f"the {side.value} could not apply a change, or lost its connection again, and its log says which and why. "
            f"When that is mended"
        )
    # Only on a way back does the source follow, and its sessions are read only then.
    first = "SET default_transaction_read_only = off; " if side is Side.SOURCE else ""
    return f"subscription {name} of the {side.value} is disabled: {why}: {first}ALTER SUBSCRIPTION {name} ENABLE"


def astray(state: SubscriptionState, replication: Replication, there: str) -> list[str]:
    """How somebody has altered a subscription, so that changes do not arrive; for people.

    Args:
        there: the side that it is on.
    """
    name, told = replication.name, []
    anew = "Give it up (pg_migration abandon), and follow anew"
    if list(state.publications) != [name]:
        told.append(
            f"subscription {name} of the {there} was altered: it reads publication {', '.join(state.publications)} "
            f"instead of {name}, so that changes are missing. {anew}"
        )
    if state.slot is None:
        told.append(
            f"subscription {name} of the {there} has no slot any more: ALTER SUBSCRIPTION {name} SET (slot_name = "
            f"'{name}'), and ALTER SUBSCRIPTION {name} ENABLE"
        )
    elif state.slot != name:
        told.append(f"subscription {name} of the {there} was altered: it reads slot {state.slot}. {anew}")
    lacking = len(replication.tables) - sum(state.tables.values())
    if lacking > 0:
        told.append(
            f"subscription {name} of the {there} lacks {counted(lacking, 'table')} that it had, whose changes do not "
            f"arrive. {anew}"
        )
    if state.others:
        told.append(
            f"slot {name} is read by subscription {', '.join(state.others)} as well, so that each misses what the "
            f"other gets: drop that one. {anew}"
        )
    return told
