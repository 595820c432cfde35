"""Whatever is wrong with the settings or the servers: one clear message, a failed run, the target as it was."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest

from pg_migration.postgres.errors import ConfigurationError
from pg_migration_tests.conftest import SHOP, PostgresServer
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform, Role

PASSWORD = "s3same!öpen"
ENCODED = "s3same%21%C3%B6pen"
SIDES = ("source", "target")


@dataclass(frozen=True)
class Guarded:
    """A platform whose target has to stay as it is."""

    platform: Platform
    before: str = field(repr=False)

    def message(self, **config: Any) -> str:
        """What the library refuses to migrate for, without touching anything or telling a password."""
        try:
            (message,) = self.platform.migrate_directly(**config).failures
        except ConfigurationError as error:
            message = str(error)
        self._assert_nothing_happened(message)
        return message

    def message_of_a_run(self, **config: Any) -> str:
        """What the first step of a run of Dagster's says, and the page of the summary; no other step ran."""
        done = self.platform.migrate(**config)
        assert not done.success
        assert done.started <= {"source_schema", "validation", "summary"}
        message = done.failures["source_schema"]
        assert message in done.told
        self._assert_nothing_happened(message, done.stored)
        return message

    def _assert_nothing_happened(self, message: str, stored: str = "") -> None:
        assert self.platform.target.dump() == self.before
        assert "Traceback" not in message
        assert "psycopg2" not in message
        passwords = [urlsplit(end.url).password for end in (self.platform.source, self.platform.target)]
        for password in (PASSWORD, ENCODED, *passwords):
            assert str(password) not in message + stored


@pytest.fixture(scope="module")
def databases(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[tuple[Database, Database]]:
    """The shop's tables, and a target with rows that nobody may touch: so one pair does for all tests here."""
    source = Database(postgres16, postgres16.create_database())
    target = Database(postgres18, postgres18.create_database())
    source.psql(SHOP)
    target.psql("CREATE TABLE orders (id bigint PRIMARY KEY, customer integer NOT NULL, placed date)")
    target.psql("INSERT INTO orders VALUES (1, 1, NULL); CREATE TABLE others AS SELECT 1 AS one")
    yield source, target
    for database in (source, target):
        database.server.drop_database(database.url)


@pytest.fixture
def platform(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Platform]:
    yield from serve(*databases, monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def before(databases: tuple[Database, Database]) -> str:
    """The target, as every test here leaves it."""
    return databases[1].dump()


@pytest.fixture
def guarded(platform: Platform, before: str) -> Guarded:
    return Guarded(platform, before)


def variable(side: str) -> str:
    return f"{side.upper()}_URL"


def changed(url: str, **parts: str) -> str:
    """A URL with another user, password, host, port or database."""
    split = urlsplit(url)
    known = {
        "user": split.username,
        "password": split.password,
        "host": split.hostname,
        "port": split.port,
        "database": split.path[1:],
        **parts,
    }
    return "postgresql://{user}:{password}@{host}:{port}/{database}".format(**known)


def url_of(guarded: Guarded, side: str) -> str:
    return guarded.platform.source.url if side == "source" else guarded.platform.target.url


NOT_SET = [("source", None), ("source", "  "), ("target", "")]
MALFORMED = {
    "bracket": ("source", f"postgresql://ann:{PASSWORD}@[::1/shop"),
    "parameter": ("target", f"postgresql://ann:{PASSWORD}@localhost/shop?colour=red"),
    "scheme": ("source", f"mysql://ann:{PASSWORD}@localhost/shop"),
    "key=value": ("target", f"password={PASSWORD} host"),
    "percent": ("source", "postgresql://ann:100%@localhost/shop"),
}
WRONG = [
    ("host", "nowhere.invalid", "nowhere.invalid"),
    ("port", "1", "refused"),
    ("database", "no_such_database", 'database "no_such_database" does not exist'),
    ("user", "nobody_known", "nobody_known"),
    ("password", ENCODED, "password authentication failed"),
]


@pytest.mark.parametrize(("side", "value"), NOT_SET)
def test_url_not_set(guarded: Guarded, side: str, value: str | None) -> None:
    guarded.platform.set(**{variable(side): value})
    message = guarded.message()
    assert f"PG_MIGRATION_{variable(side)} is not set" in message
    assert "postgresql://user:password@host:5432/database" in message


@pytest.mark.parametrize(("side", "value"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_url(guarded: Guarded, side: str, value: str) -> None:
    guarded.platform.set(**{variable(side): value})
    assert f"PG_MIGRATION_{variable(side)} is not a connection string" in guarded.message()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("part", "value", "said"), WRONG)
def test_wrong_address_or_credentials(guarded: Guarded, side: str, part: str, value: str, said: str) -> None:
    url = changed(url_of(guarded, side), **{"password": ENCODED, part: value})
    if part == "database":
        url = changed(url_of(guarded, side), database=value)
    guarded.platform.set(**{variable(side): url})
    message = guarded.message()
    assert f"can't connect to the {side} database postgresql://" in message
    assert said in message
    assert "Check host, port, database, user and password" in message


@pytest.mark.parametrize(
    ("side", "value", "said"),
    [
        ("source", None, "PG_MIGRATION_SOURCE_URL is not set"),
        ("target", MALFORMED["parameter"][1], "PG_MIGRATION_TARGET_URL is not a connection string"),
        ("source", "a wrong password", "password authentication failed"),
        ("target", "a wrong password", "password authentication failed"),
    ],
)
def test_the_first_step_of_a_run_says_so(guarded: Guarded, side: str, value: str | None, said: str) -> None:
    if value == "a wrong password":
        value = changed(url_of(guarded, side), password=ENCODED)
    guarded.platform.set(**{variable(side): value})
    assert said in guarded.message_of_a_run()


def test_schema_missing_in_the_source(guarded: Guarded) -> None:
    guarded.platform.set(SOURCE_SCHEMA="no_such_schema")
    message = guarded.message()
    assert "no_such_schema" in message
    assert "source" in message


def test_schema_empty_in_the_source(guarded: Guarded) -> None:
    guarded.platform.source.psql("CREATE SCHEMA bare")
    guarded.platform.set(SOURCE_SCHEMA="bare")
    assert "schema bare of the source" in guarded.message()


def test_a_repeated_schema(guarded: Guarded) -> None:
    guarded.platform.set(SOURCE_SCHEMA="public,public")
    assert "repeated" in guarded.message()


def test_schema_lists_that_do_not_pair_up(guarded: Guarded) -> None:
    guarded.platform.set(SOURCE_SCHEMA="public", TARGET_SCHEMA="one,two")
    message = guarded.message()
    assert "1 schemas of the source (PG_MIGRATION_SOURCE_SCHEMA)" in message
    assert "2 names in the target (PG_MIGRATION_TARGET_SCHEMA)" in message


def test_source_and_target_are_the_same(guarded: Guarded) -> None:
    source = guarded.platform.source
    before = source.dump()
    guarded.platform.set(TARGET_URL=source.url.replace("127.0.0.1", "localhost"))
    message = guarded.message()
    assert "source and target are the same database" in message
    assert "schema public" in message
    assert source.dump() == before


def test_a_table_that_the_role_may_not_read(guarded: Guarded, clerk: Role) -> None:
    platform = guarded.platform
    platform.source.psql(f"GRANT USAGE ON SCHEMA public TO {clerk.name}; GRANT SELECT ON customers TO {clerk.name}")
    platform.set(SOURCE_URL=clerk.url(platform.source))
    message = guarded.message()
    assert clerk.name in message
    assert "public.orders" in message
    assert "public.customers" not in message


def test_a_sequence_that_the_role_may_not_read(guarded: Guarded, clerk: Role) -> None:
    platform = guarded.platform
    platform.source.psql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {clerk.name}")
    platform.set(SOURCE_URL=clerk.url(platform.source))
    message = guarded.message()
    assert f"role {clerk.name} may not read 1 sequence(s) of the source: public.customers_id_seq" in message


def test_a_table_whose_policies_hide_rows_from_the_role(guarded: Guarded, clerk: Role) -> None:
    platform = guarded.platform
    platform.source.psql(f"""
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO {clerk.name};
        GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {clerk.name};
        ALTER TABLE orders ENABLE ROW LEVEL SECURITY
    """)
    platform.set(SOURCE_URL=clerk.url(platform.source))
    message = guarded.message()
    assert f"row-level security may hide rows of the source from role {clerk.name}, in public.orders" in message


def test_a_schema_that_the_role_may_not_use(guarded: Guarded, clerk: Role) -> None:
    platform = guarded.platform
    platform.source.psql("CREATE SCHEMA closed; CREATE TABLE closed.t (id integer); GRANT SELECT ON closed.t TO clerk")
    platform.set(SOURCE_URL=clerk.url(platform.source), SOURCE_SCHEMA="closed")
    message = guarded.message()
    assert clerk.name in message
    assert "closed" in message


def test_a_role_that_may_not_create_in_the_target_schema(guarded: Guarded, clerk: Role) -> None:
    platform = guarded.platform
    platform.set(TARGET_URL=clerk.url(platform.target))
    message = guarded.message()
    assert f"role {clerk.name} may not create tables in schema public of the target database" in message
    assert 'GRANT USAGE, CREATE ON SCHEMA "public"' in message


def test_a_role_that_may_not_create_a_schema_in_the_target(guarded: Guarded, clerk: Role) -> None:
    platform = guarded.platform
    platform.set(TARGET_URL=clerk.url(platform.target), TARGET_SCHEMA="fresh")
    message = guarded.message()
    assert f"role {clerk.name} may not create schema fresh" in message
    assert "GRANT CREATE ON DATABASE" in message


def test_a_role_that_may_not_create_the_bookkeeping(guarded: Guarded, clerk: Role) -> None:
    platform = guarded.platform
    platform.target.psql(f"GRANT USAGE, CREATE ON SCHEMA public TO {clerk.name}")
    platform.set(TARGET_URL=clerk.url(platform.target))
    message = replace(guarded, before=platform.target.dump()).message()
    assert "bookkeeping schema _pg_migration" in message
    assert "GRANT CREATE ON DATABASE" in message


def test_a_target_that_is_read_only(guarded: Guarded) -> None:
    target = guarded.platform.target
    name = urlsplit(target.url).path[1:]
    target.psql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    try:
        message = guarded.message()
    finally:
        target.psql(f'SET default_transaction_read_only = off; ALTER DATABASE "{name}" RESET ALL')
    assert "the target" in message
    assert "is read only" in message
    assert "default_transaction_read_only" in message


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"chunk_size": 0}, "chunk_size is 0, but must be at least 1"),
        ({"max_partitions": 0}, "max_partitions is 0, but must be at least 1"),
        ({"workers": 0}, "workers is 0, but must be at least 1"),
        ({"partition_threshold": -1}, "partition_threshold is -1, but must be at least 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_configuration_out_of_range(guarded: Guarded, config: dict[str, int], said: str) -> None:
    assert said in "\n".join(guarded.platform.migrate_directly(**config).failures)
    assert guarded.platform.target.dump() == guarded.before


def test_all_that_is_out_of_range_is_told_at_once(guarded: Guarded) -> None:
    said = "chunk_size is -5, but must be at least 1; workers is -1"
    assert said in guarded.message_of_a_run(chunk_size=-5, workers=-1)


@pytest.mark.parametrize("config", [{"chunk_sise": 5}, {"chunk_size": "many"}, {"exclude_tables": "orders"}])
def test_configuration_that_dagster_refuses(guarded: Guarded, config: dict[str, Any]) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=next(iter(config))):
        guarded.platform.migrate(**config)
    assert guarded.platform.target.dump() == guarded.before
