"""What a database sets for its sessions changes nothing that ours depend on."""

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import parse_dsn

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration_tests.conftest import PostgresServer

# What a database may say, and what holds in our sessions all the same.
SETTINGS = {
    "search_path": ("public", "pg_catalog, pg_temp"),
    "TimeZone": ("Asia/Kathmandu", "UTC"),
    "DateStyle": ("SQL, DMY", "ISO, YMD"),
    "IntervalStyle": ("sql_standard", "postgres"),
    "extra_float_digits": ("-15", "3"),
    "bytea_output": ("escape", "hex"),
    "xmloption": ("document", "content"),
    "lc_monetary": ("C.UTF-8", "C"),
    "array_nulls": ("off", "on"),
    "default_table_access_method": ("another_heap", "heap"),
    "row_security": ("on", "off"),
    "statement_timeout": ("1h", "0"),
    "lock_timeout": ("1h", "0"),
    "idle_in_transaction_session_timeout": ("1h", "0"),
    "check_function_bodies": ("on", "off"),
    "synchronize_seqscans": ("on", "off"),
    "standard_conforming_strings": ("off", "on"),
    "quote_all_identifiers": ("on", "off"),
}
SINCE_14 = {"idle_session_timeout": ("1h", "0")}
SINCE_17 = {"transaction_timeout": ("1h", "0")}


def test_none_of_a_database_holds(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> None:
    ends = ((postgres16, Side.SOURCE, source_db, SINCE_14), (postgres18, Side.TARGET, target_db, SINCE_14 | SINCE_17))
    for server, side, url, since in ends:
        settings = SETTINGS | since
        _say(url, {name: said for name, (said, _) in settings.items()})
        with Connections() as connections:
            found = _settings(connections.open(Endpoint.parse(side, url, "URL")), list(settings))
        assert found == {name: holds for name, (_, holds) in settings.items()}, server.version


def _say(url: str, settings: dict[str, str]) -> None:
    database = sql.Identifier(parse_dsn(url)["dbname"])
    alter = sql.SQL("ALTER DATABASE {} SET {} TO {}")
    connection = psycopg2.connect(url)
    connection.autocommit = True
    execute(connection, "CREATE ACCESS METHOD another_heap TYPE TABLE HANDLER heap_tableam_handler")
    for name, value in settings.items():
        execute(connection, alter.format(database, sql.Identifier(name), sql.Literal(value)))
    connection.close()


def _settings(connection: Connection, names: list[str]) -> dict[str, str]:
    return {name: fetch(connection, sql.SQL("SHOW {}").format(sql.Identifier(name)))[0][0] for name in names}
