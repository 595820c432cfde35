"""The types of catalog rows are those of the queries, on every version of the server."""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS
from psycopg2.extensions import connection as Connection

from pg_migration.postgres import catalog
from pg_migration.postgres.catalog.reading.catalog_session import Query, catalog_session, query_text
from pg_migration.postgres.catalog.reading.rows import ROW_TYPES
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.ledger import schema
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.test_idle_queries import EVERYTHING

QUERIES = sorted(path.stem for path in (Path(catalog.__file__).parent / "queries").glob("*.sql"))
# By pg_type's oid, what psycopg2 makes of a value. What is not here is a list, or what json.loads makes.
MADE = {16: bool, 18: str, 19: str, 20: int, 21: int, 23: int, 25: str, 26: int, 28: str, 700: float, 701: float}


@pytest.fixture(params=["postgres15", "postgres16", "postgres18"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    server: PostgresServer = request.getfixturevalue(request.param)
    url = server.create_database()
    try:
        with Connections("pg_migration test") as connections:
            yield connections.open(Endpoint.parse(Side.TARGET, url, "URL"))
    finally:
        server.drop_database(url)


def test_every_query_has_its_type() -> None:
    assert sorted(ROW_TYPES) == QUERIES


def test_the_columns_of_each_query_are_those_of_its_type(connection: Connection) -> None:
    schema.create(connection)
    settings = _settings(connection)
    wrong = {}
    with catalog_session(connection, {"public": "public"}, settings) as session:
        session.read("server")
        for name in QUERIES:
            with connection.cursor() as cursor:
                cursor.execute(query_text(name))
                columns = {column.name: column.type_code for column in cursor.description or ()}
            row, hints = ROW_TYPES[name], get_type_hints(ROW_TYPES[name])
            wrong[name] = {
                *(set(columns) ^ row.__required_keys__),
                *(c for c, oid in columns.items() if c in hints and MADE.get(oid, list) not in _possible(hints[c])),
            }
    assert {name: columns for name, columns in wrong.items() if columns} == {}


def _settings(connection: Connection) -> dict[str, str]:
    settings = {"source": "x", "target_database": "x", "target_version": str(connection.server_version)}
    return {f"pg_migration.{name}": value for name, value in settings.items()}


def test_many_queries_at_once_find_what_each_finds_alone(connection: Connection) -> None:
    schema.create(connection)
    execute(connection, f"SET search_path = public, pg_catalog; {EVERYTHING}; SET search_path = pg_catalog, pg_temp")
    execute(connection, 'CREATE TABLE public."ein \\ ""Wort"" für\'t" (id bigserial, a "char"[], CHECK (id > \'-1\'))')
    with catalog_session(connection, {"public": "public", "_pg_migration": "x"}, _settings(connection)) as session:
        together = session.read(*QUERIES)
        for name in QUERIES:
            with connection.cursor() as cursor:
                cursor.execute(query_text(name))
                columns = [column.name for column in cursor.description or ()]
                alone = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            assert together[name] == alone
            assert [[*map(type, row.values())] for row in together[name]] == [
                [*map(type, row.values())] for row in alone
            ]
    assert sum(1 for rows in together.values() if rows) > len(QUERIES) // 2


def test_the_settings_of_one_query_hold_for_it_alone(connection: Connection) -> None:
    execute(connection, "CREATE TYPE public.mood AS ENUM ('a'); CREATE TABLE public.t (id int, m public.mood)")
    with catalog_session(connection, {"public": "public"}, _settings(connection)) as session:
        relative = Query.relative("type_names", ["public"], quote_all_identifiers="off")
        for queries in (["tables", relative, "columns"], [relative], ["tables", "columns", relative]):
            found = session.read(*queries)
            assert [row["name"] for row in found["type_names"] if "mood" in row["name"]] == ["mood"]
            if "columns" in found:
                assert [row["quoted_type"] for row in found["columns"]] == ["integer", '"public"."mood"']
        assert [row["name"] for row in session.read("type_names")["type_names"] if "mood" in row["name"]] == [
            '"public"."mood"'
        ]


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_query_that_is_refused_is_named(connection: Connection, in_transaction: bool) -> None:
    if in_transaction:
        execute(connection, "BEGIN")
    refusal = r"can't be read \(remembered\): relation .* does not exist"
    with catalog_session(connection, {"public": "public"}) as session, pytest.raises(MigrationError, match=refusal):
        session.read("server", "remembered", "idle_queries")
    execute(connection, "SELECT")
    status = TRANSACTION_STATUS_INTRANS if in_transaction else TRANSACTION_STATUS_IDLE
    assert connection.info.transaction_status == status


def _possible(hint: Any) -> set[Any]:
    """The classes that values may have, None not counted; of json both."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    found = {get_origin(part) or part for part in parts} - {NoneType}
    return found | {list} if dict in found or Any in found else found
