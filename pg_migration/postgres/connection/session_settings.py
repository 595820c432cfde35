"""The settings of every session."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, fetch

# Where our statements look for names: never in a schema of the database's users. pg_temp is named because it would
# come first if it were not, and what users' code makes there would stand for tables and types of the system (PostgreSQL
# docs: search_path).
SEARCH_PATH = "pg_catalog, pg_temp"

# Text forms depend on these, or how they are read, so both servers get the same ones (array_nulls: whether NULL in the
# text of an array is one); timeouts set on a role or database must not cut a long COPY short. Tables are heaps where
# nothing else is said. PostgreSQL docs: "Client Connection Defaults", "Previous PostgreSQL Versions".
PINNED: Mapping[str, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
    "array_nulls": "on",
    "default_table_access_method": "heap",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "check_function_bodies": "off",
    "synchronize_seqscans": "off",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
}
PINNED_SINCE: Mapping[str, int] = {"transaction_timeout": 170000, "idle_session_timeout": 140000}

# Of what the source sets on its database, what defaults, checks and generated columns may rest on, besides an
# application's own settings and search_path. The others (read only, encoding, tablespace, memory) say how a session
# works: those of the target hold there.
RELIED_ON = frozenset(
    {
        "backslash_quote",
        "default_text_search_config",
        "lc_messages",
        "lc_numeric",
        "lc_time",
        "timezone_abbreviations",
        "transform_null_equals",
        "xmlbinary",
    }
)

# The same, but text forms are written by them. Whatever they are, the forms are read as they are meant: dates, offsets
# from UTC and signs are written out, and bytes tell their form. So these hold while rows are written and objects made.
WRITTEN_WITH = frozenset({"TimeZone", "DateStyle", "IntervalStyle", "bytea_output", "extra_float_digits"})


def pin(connection: Connection) -> None:
    """Set everything that text forms, name resolution and timeouts depend on, in one round trip.

    Until then names are looked for where the database's own settings say.
    """
    _set_encoding(connection)
    execute(connection, select(set_configs(_pinned(connection))))


def pin_own(connection: Connection) -> bool:
    """The same, where the session is that which the server has told the client of; else nothing is set.

    Returns:
        Whether it was.
    """
    settings = sql.SQL(", ").join(set_configs(_pinned(connection)))
    statement = sql.SQL(
        "SELECT CASE WHEN pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {} THEN pg_catalog.concat({}) END"
    ).format(sql.Literal(connection.info.backend_pid), settings)
    if fetch(connection, statement) == [(None,)]:
        return False
    _set_encoding(connection)
    return True


def _pinned(connection: Connection) -> Mapping[str, str]:
    since = {name: "0" for name, since in PINNED_SINCE.items() if connection.server_version >= since}
    return {**PINNED, "search_path": SEARCH_PATH, **since}


def _set_encoding(connection: Connection) -> None:
    # Whatever the URL says. A server of bytes converts nothing, but would refuse those that are not of the client's.
    bytes_only = connection.info.parameter_status("server_encoding") == "SQL_ASCII"
    connection.set_client_encoding("SQL_ASCII" if bytes_only else "UTF8")


def set_configs(settings: Mapping[str, str], local: bool = False) -> list[sql.Composable]:
    """Calls of set_config, one for each setting, that mean the same whatever the search_path is.

    Args:
        local: for the rest of the transaction, else of the session.
    """
    call = sql.SQL("pg_catalog.set_config({}, {}, {})")
    return [call.format(sql.Literal(name), sql.Literal(value), sql.Literal(local)) for name, value in settings.items()]


def select(values: Iterable[sql.Composable]) -> sql.Composable:
    """The statement that computes some values."""
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(values))


def relied_on(settings: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Of a database's settings those that hold in the sessions that write its copy; search_path is not among them."""
    return {name: value for name, value in settings if name in RELIED_ON or "." in name}


def written_with(settings: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Of a database's settings those that hold just while its copy is written."""
    return {name: value for name, value in settings if name in WRITTEN_WITH}


def take_over(connection: Connection, settings: Mapping[str, str]) -> Mapping[str, str]:
    """Set what a database sets, for the rest of the session. What the server refuses is left as it was.

    Returns:
        What it took.
    """
    taken = {}
    for name, value in settings.items():
        # The server's say on one value; a connection that is lost says so at its next use.
        with suppress(psycopg2.Error):
            execute(connection, "SELECT set_config(%s, %s, false)", (name, value))
            taken[name] = value
    return taken
