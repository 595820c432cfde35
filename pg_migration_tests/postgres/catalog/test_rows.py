"""The types of catalog rows are those of the queries, on every version of the server."""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.postgres import catalog
from pg_migration.postgres.catalog.reading import rows
from pg_migration.postgres.catalog.reading.catalog_session import catalog_session, query_text, set_locally
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.ledger import schema
from pg_migration_tests.conftest import PostgresServer

QUERIES = sorted(path.stem for path in (Path(catalog.__file__).parent / "queries").glob("*.sql"))
TYPES = {
    **{name: get_args(sequence)[0] for name, sequence in get_type_hints(rows.Rows).items()},
    "database": rows.SaidOfDatabaseRow,
    "idle_queries": rows.IdleQueryRow,
    "lookups": rows.LookupsRow,
    "table_listing": rows.ListedTableRow,
    "type_names": rows.TypeNameRow,
}
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
    assert sorted(TYPES) == QUERIES


def test_the_columns_of_each_query_are_those_of_its_type(connection: Connection) -> None:
    schema.create(connection)
    settings = {"source": "x", "target_database": "x", "target_version": str(connection.server_version)}
    wrong = {}
    with catalog_session(connection, {"public": "public"}):
        set_locally(connection, {f"pg_migration.{name}": value for name, value in settings.items()})
        for name in QUERIES:
            with connection.cursor() as cursor:
                cursor.execute(query_text(name))
                columns = {column.name: column.type_code for column in cursor.description or ()}
            row, hints = TYPES[name], get_type_hints(TYPES[name])
            wrong[name] = {
                *(set(columns) ^ row.__required_keys__),
                *(c for c, oid in columns.items() if c in hints and MADE.get(oid, list) not in _possible(hints[c])),
            }
    assert {name: columns for name, columns in wrong.items() if columns} == {}


def _possible(hint: Any) -> set[Any]:
    """The classes that values may have, None not counted; of json both."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    found = {get_origin(part) or part for part in parts} - {NoneType}
    return found | {list} if dict in found or Any in found else found
