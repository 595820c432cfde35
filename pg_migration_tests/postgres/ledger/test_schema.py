"""The ledger's tables: made once, upgraded without loss, and left alone by whoever only reads."""

import re
from collections.abc import Iterator
from importlib.resources import files

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import LedgerTooNew, NotPermitted
from pg_migration.postgres.ledger import schema
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import session
from pg_migration_tests.postgres.ledger.old_ledgers import OLD_LEDGERS

old = pytest.mark.parametrize("ledger", OLD_LEDGERS.values(), ids=OLD_LEDGERS.keys())


@pytest.fixture
def target(target_db: str) -> Iterator[Connection]:
    with session(target_db) as connection:
        yield connection


def contents(connection: Connection) -> dict[str, list[str]]:
    """Every row of every table of the ledger, as JSON without what is null."""
    names = fetch(
        connection,
        "SELECT relname FROM pg_class WHERE relnamespace = '_pg_migration'::regnamespace"
        " AND relkind = 'r' AND relname <> 'version' ORDER BY 1",
    )
    rows = "SELECT jsonb_strip_nulls(to_jsonb(r))::text FROM _pg_migration.{} r ORDER BY 1"
    return {name: [text for (text,) in fetch(connection, rows.format(name))] for (name,) in names}


def test_the_files_are_numbered_without_a_gap() -> None:
    folder = files("pg_migration.postgres").joinpath("ledger/upgrades")
    names = sorted(file.name for file in folder.iterdir())
    assert [int(re.match(r"(\d{3})_\w+\.sql$", name)[1]) for name in names] == [*range(1, schema.LATEST + 1)]


def test_it_is_made_once(target: Connection) -> None:
    assert schema.version(target) is None
    for _ in range(2):
        schema.create(target)
        assert schema.version(target) == schema.LATEST
    versions = [row[0] for row in fetch(target, "SELECT version FROM _pg_migration.version ORDER BY 1")]
    assert versions == [*range(1, schema.LATEST + 1)]


@pytest.fixture(scope="module")
def made_today(postgres18: PostgresServer) -> str:
    """What pg_dump says of a new ledger."""
    url = postgres18.create_database()
    with session(url) as connection:
        schema.create(connection)
    dump = postgres18.dump_schema(url, "_pg_migration")
    postgres18.drop_database(url)
    return dump


@old
def test_an_old_ledger_becomes_the_one_that_is_made_today(
    postgres18: PostgresServer, target: Connection, target_db: str, made_today: str, ledger: str
) -> None:
    postgres18.psql(target_db, ledger)
    written = contents(target)
    assert schema.version(target) == 0
    schema.create(target)
    assert schema.version(target) == schema.LATEST
    found = contents(target)
    assert {name: rows for name, rows in found.items() if rows} == written
    assert all(written.values())
    assert postgres18.dump_schema(target_db, "_pg_migration") == made_today


@old
def test_an_upgrade_that_fails_leaves_the_ledger_as_it_was(
    monkeypatch: pytest.MonkeyPatch, postgres18: PostgresServer, target: Connection, target_db: str, ledger: str
) -> None:
    monkeypatch.setattr(schema, "UPGRADES", [*schema.UPGRADES, "SELECT 1/0"])
    monkeypatch.setattr(schema, "LATEST", schema.LATEST + 1)
    postgres18.psql(target_db, ledger)
    before = postgres18.dump_schema(target_db)
    with pytest.raises(psycopg2.errors.DivisionByZero):
        schema.create(target)
    assert postgres18.dump_schema(target_db) == before


def test_only_what_is_missing_is_run(monkeypatch: pytest.MonkeyPatch, target: Connection) -> None:
    schema.create(target)
    monkeypatch.setattr(schema, "UPGRADES", [*schema.UPGRADES, "ALTER TABLE _pg_migration.run ADD COLUMN more text"])
    monkeypatch.setattr(schema, "LATEST", schema.LATEST + 1)
    for _ in range(2):
        schema.create(target)
    assert fetch(target, "SELECT max(version), count(*) FROM _pg_migration.version") == [(schema.LATEST,) * 2]
    assert fetch(target, "SELECT more FROM _pg_migration.run") == []


def test_a_ledger_of_a_newer_program_is_refused(postgres18: PostgresServer, target: Connection, target_db: str) -> None:
    schema.create(target)
    execute(target, "INSERT INTO _pg_migration.version VALUES (99)")
    before = postgres18.dump_schema(target_db)
    for use in (schema.version, schema.create):
        with pytest.raises(LedgerTooNew, match=rf"is 99, and this program knows versions up to {schema.LATEST}"):
            use(target)
    assert postgres18.dump_schema(target_db) == before


@pytest.fixture
def clerk(postgres18: PostgresServer, target_db: str) -> Iterator[str]:
    """The URL of a role without rights."""
    postgres18.psql(target_db, "CREATE ROLE ledger_clerk LOGIN PASSWORD 'x'")
    yield "postgresql://ledger_clerk:x@" + target_db.rpartition("@")[2]
    postgres18.psql(target_db, "DROP OWNED BY ledger_clerk CASCADE; DROP ROLE ledger_clerk")


def test_a_role_that_may_not_make_it(clerk: str) -> None:
    with session(clerk) as connection, pytest.raises(NotPermitted, match="GRANT CREATE ON DATABASE"):
        schema.create(connection)


@old
def test_a_role_that_may_not_upgrade_it(postgres18: PostgresServer, target_db: str, clerk: str, ledger: str) -> None:
    postgres18.psql(
        target_db,
        ledger + "GRANT ALL ON SCHEMA _pg_migration TO ledger_clerk; "
        "GRANT ALL ON ALL TABLES IN SCHEMA _pg_migration TO ledger_clerk",
    )
    with (
        session(clerk) as connection,
        pytest.raises(NotPermitted, match=r'Connect as postgres once.*GRANT "postgres" TO'),
    ):
        schema.create(connection)


def test_a_role_that_may_write_to_it_needs_no_more(postgres18: PostgresServer, target_db: str, clerk: str) -> None:
    with session(target_db) as connection:
        schema.create(connection)
    postgres18.psql(
        target_db,
        "GRANT USAGE ON SCHEMA _pg_migration TO ledger_clerk; "
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA _pg_migration TO ledger_clerk",
    )
    with session(clerk) as connection:
        schema.create(connection)


def test_a_schema_that_an_administrator_has_made(postgres18: PostgresServer, target_db: str, clerk: str) -> None:
    postgres18.psql(target_db, "CREATE SCHEMA _pg_migration AUTHORIZATION ledger_clerk")
    with session(clerk) as connection:
        schema.create(connection)
        assert schema.version(connection) == schema.LATEST


def test_who_reads_is_told_what_is_there(postgres18: PostgresServer, target: Connection, target_db: str) -> None:
    assert not schema.has(target, "chunk")
    postgres18.psql(target_db, OLD_LEDGERS["0.1.0"])
    assert schema.has(target, "chunk")
    assert not schema.has(target, "brought")
