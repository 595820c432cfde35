"""Each thing that keeps a target from following is told before anything is made, with what to do about it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from pg_migration.devtools import servers
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration import Migration, Options, abandon, migrate, preflight
from pg_migration.postgres.preflight import Severity, demand
from pg_migration.postgres.replication import prerequisites
from pg_migration_tests.conftest import SETTINGS, PostgresServer
from pg_migration_tests.postgres.replication.harness import Two, two
from pg_migration_tests.postgres.replication.writers import asked
from pg_migration_tests.standbys import standby_of


def migration(pair: Two, schemas: str = "public", replication_url: str = "", **options: object) -> Migration:
    chosen = Options.model_validate({"workers": 1, "follow": True, **options})
    return replace(Migration.between(*pair.urls, schemas=schemas, options=chosen), replication_url=replication_url)


def found(wanted: Migration, severity: Severity) -> str:
    return "\n".join(str(one) for one in preflight(wanted) if one.severity is severity)


def refused(pair: Two, wanted: Migration, told: str) -> None:
    """Preflight and the run say the same, and the source is as it was."""
    before = pair.left_in_source()
    assert told in found(wanted, Severity.ERROR)
    assert told in " ".join(migrate(wanted).failures)
    assert pair.left_in_source() == before


@pytest.fixture(scope="module")
def shared(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Two]:
    """Nothing is ever copied between these."""
    with two(postgres16, postgres18) as made:
        yield made


@pytest.fixture
def pair(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Two]:
    with two(postgres16, postgres18) as made:
        yield made


@dataclass(frozen=True)
class Case:
    """A schema of the source whose tables can't be replicated, and what is told of it."""

    ddl: str
    told: str
    no_identity: str = "refuse"
    severity: Severity = Severity.ERROR
    in_target: str = ""


KEYLESS = "CREATE TABLE t (a integer NOT NULL, b text); "
CASES = {
    "no key": Case(KEYLESS, "no_identity: full"),
    "a unique index": Case(
        KEYLESS + 'CREATE UNIQUE INDEX "by a" ON t (a)', 'REPLICA IDENTITY USING INDEX "by a"', "refuse"
    ),
    "nothing": Case(
        "CREATE TABLE t (a integer PRIMARY KEY); ALTER TABLE t REPLICA IDENTITY NOTHING",
        ".t: its replica identity is NOTHING",
    ),
    "nothing with a key": Case(
        "CREATE TABLE t (a integer PRIMARY KEY); ALTER TABLE t REPLICA IDENTITY NOTHING",
        '"t" REPLICA IDENTITY DEFAULT.',
    ),
    "no index for it": Case(KEYLESS, ".t: it has no unique index", "index"),
    "a deferrable key": Case(
        "CREATE TABLE t (a integer PRIMARY KEY DEFERRABLE)",
        ".t: no row is identified by its primary key t_pkey, which is DEFERRABLE. Give each a primary key that is not "
        "DEFERRABLE; or",
    ),
    "a deferrable key, by index": Case(
        "CREATE TABLE t (a integer PRIMARY KEY DEFERRABLE)", "(primary key t_pkey, which is DEFERRABLE)", "index"
    ),
    "a generated key": Case(
        "CREATE TABLE t (a integer, g integer GENERATED ALWAYS AS (a) STORED PRIMARY KEY)",
        ".t: no row is identified by its primary key t_pkey, which has generated columns",
    ),
    "unique indexes of every other kind": Case(
        "CREATE TABLE t (a integer NOT NULL, b integer UNIQUE, c integer NOT NULL UNIQUE DEFERRABLE); "
        "CREATE UNIQUE INDEX d ON t (a) WHERE a > 0; CREATE UNIQUE INDEX e ON t (abs(a)); CREATE UNIQUE INDEX f ON t "
        "(a); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'f'::regclass; "
        "CREATE UNIQUE INDEX g ON t (b) NULLS NOT DISTINCT",
        ".t: it has neither a primary key nor another replica identity (unique index d, which is partial, unique index "
        "e, which is on an expression, unique index f, which is not valid, unique index g, whose columns may be NULL, "
        "unique index t_b_key, whose columns may be NULL, unique index t_c_key, which is DEFERRABLE)",
    ),
    "a lost index": Case(
        "CREATE TABLE t (a integer NOT NULL UNIQUE); ALTER TABLE t REPLICA IDENTITY USING INDEX t_a_key; "
        "ALTER TABLE t DROP CONSTRAINT t_a_key",
        ".t: the index of its replica identity is gone",
    ),
    "full already with json and a key": Case(
        "CREATE TABLE t (a integer PRIMARY KEY, j json); ALTER TABLE t REPLICA IDENTITY FULL",
        '"t" REPLICA IDENTITY DEFAULT.',
    ),
    "full with json": Case("CREATE TABLE t (a integer, j json)", "columns of type json", "full"),
    "full already, with points": Case(
        "CREATE TABLE t (a integer, p point[]); ALTER TABLE t REPLICA IDENTITY FULL", "columns of type point"
    ),
    "a keyless partition": Case(
        "CREATE TABLE t (a integer) PARTITION BY RANGE (a); CREATE TABLE t1 PARTITION OF t DEFAULT",
        ".t1: it has neither",
    ),
    "hashed otherwise on another server": Case(
        "CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (a e PRIMARY KEY) PARTITION BY HASH (a); "
        "CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "its rows belong to other partitions on another server",
    ),
    "forced row security": Case(
        "CREATE TABLE t (a integer PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; "
        "ALTER TABLE t OWNER TO pg_monitor",
        "NO FORCE ROW LEVEL SECURITY",
    ),
    "full without index": Case(KEYLESS, "reads the whole table", "full", Severity.WARNING),
    "a trigger that fires always": Case(
        'CREATE TABLE t (a integer PRIMARY KEY); CREATE TRIGGER "al%ways" BEFORE UPDATE ON t FOR EACH ROW EXECUTE '
        'FUNCTION suppress_redundant_updates_trigger(); ALTER TABLE t ENABLE ALWAYS TRIGGER "al%ways"',
        '"al%ways" on ',
        severity=Severity.WARNING,
    ),
    "unlogged": Case(
        "CREATE UNLOGGED TABLE t (a integer)", "UNLOGGED tables are copied again", severity=Severity.WARNING
    ),
    "a materialized view": Case(
        "CREATE MATERIALIZED VIEW v AS SELECT 1 AS a", "1 materialized view refreshed", severity=Severity.WARNING
    ),
    "kept for the cutover": Case(KEYLESS, "so are ", "reload", Severity.WARNING),
    "referred to from elsewhere": Case(
        "CREATE TABLE t (a integer PRIMARY KEY)",
        "TRUNCATE ... CASCADE",
        severity=Severity.WARNING,
        in_target='CREATE TABLE t (a integer PRIMARY KEY); CREATE TABLE public."%theirs" (a integer REFERENCES t)',
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_tables_that_cannot_be_replicated_are_told_before(shared: Two, name: str) -> None:
    case, schema = CASES[name], f'"S.{name}"'
    shared.in_source(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {case.ddl}")
    if case.in_target:
        shared.in_target(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {case.in_target}")
    wanted = migration(shared, schema, no_identity=case.no_identity)
    if case.severity is Severity.ERROR:
        before = asked(shared.urls[0], "SELECT oid::regclass, relreplident FROM pg_class ORDER BY oid")
        assert case.told in found(wanted, Severity.ERROR)
        assert case.told in " ".join(migrate(wanted).failures)
        assert asked(shared.urls[0], "SELECT oid::regclass, relreplident FROM pg_class ORDER BY oid") == before
        assert shared.in_source("SELECT pubname FROM pg_publication") == ""
    else:
        assert found(wanted, Severity.ERROR) == ""
        assert case.told in found(wanted, Severity.WARNING)


def test_full_breaks_generated_columns_from_18_on(postgres18: PostgresServer) -> None:
    """There the source would refuse every update of such a table."""
    ddl = "CREATE TABLE t (a integer, g integer GENERATED ALWAYS AS (a) STORED); INSERT INTO t VALUES (1)"
    with two(postgres18, postgres18, ddl) as pair:
        refused(pair, migration(pair, no_identity="full"), "it has generated columns")
        assert migrate(migration(pair, no_identity="reload")).failures == ()
        pair.in_source("UPDATE t SET a = 2")
        assert abandon(migration(pair)).failures == ()


KEYED = "CREATE TABLE t (a integer PRIMARY KEY)"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"port": "1"}, "PG_MIGRATION_REPLICATION_URL"),
        ({"dbname": "no such %"}, "PG_MIGRATION_REPLICATION_URL"),
        ({"dbname": "postgres"}, "would follow another database"),
    ],
)
def test_the_targets_way_to_the_source_is_tried(shared: Two, change: dict[str, str], told: str) -> None:
    shared.in_source(f"CREATE SCHEMA IF NOT EXISTS way; SET search_path = way; DROP TABLE IF EXISTS t; {KEYED}")
    refused(shared, migration(shared, "way", replication_url=make_dsn(shared.urls[0], **change)), told)


@contextmanager
def role(server: PostgresServer, database: str, attributes: str, then: str = "") -> Iterator[str]:
    """A role with a password of its own, by the URL of a database."""
    server.psql(database, f"CREATE ROLE \"ro.le%\" LOGIN PASSWORD 'secret' {attributes}; {then}")
    try:
        yield make_dsn(database, user="ro.le%", password="secret")
    finally:
        server.psql(database, 'REASSIGN OWNED BY "ro.le%" TO postgres; DROP OWNED BY "ro.le%"; DROP ROLE "ro.le%"')


SOURCE_RIGHTS = """
    GRANT ALL ON DATABASE {database} TO "ro.le%"; ALTER DATABASE {database} OWNER TO "ro.le%";
    GRANT pg_signal_backend TO "ro.le%"; ALTER SCHEMA public OWNER TO "ro.le%";
    CREATE TABLE t (a integer PRIMARY KEY); ALTER TABLE t OWNER TO "ro.le%";
    CREATE TABLE none (a integer); ALTER TABLE none OWNER TO "ro.le%";
    INSERT INTO t SELECT generate_series(1, 10);
"""
TARGET_RIGHTS = """
    GRANT ALL ON DATABASE {database} TO "ro.le%"; GRANT pg_create_subscription TO "ro.le%";
    ALTER SCHEMA public OWNER TO "ro.le%";
"""


def test_a_source_role_that_is_no_superuser_needs_replication_and_its_tables(pair: Two) -> None:
    database = pair.urls[0].rpartition("/")[2]
    with role(pair.source, pair.urls[0], "", SOURCE_RIGHTS.format(database=database)) as url:
        mine = replace(pair, urls=(url, pair.urls[1]))
        options: dict[str, Any] = {"no_identity": "full", "owners": False, "privileges": False}
        refused(pair, migration(mine, **options), 'ALTER ROLE "ro.le%" REPLICATION')
        pair.in_source('ALTER ROLE "ro.le%" REPLICATION; ALTER TABLE t OWNER TO postgres; GRANT ALL ON t TO "ro.le%"')
        refused(pair, migration(mine, **options), "is not the owner of public.t")
        pair.in_source(f'ALTER TABLE t OWNER TO "ro.le%"; ALTER DATABASE {database} OWNER TO postgres')
        refused(pair, migration(mine, **options), "can't make it read only")
        pair.in_source(f'ALTER DATABASE {database} OWNER TO "ro.le%"; REVOKE pg_signal_backend FROM "ro.le%"')
        refused(pair, migration(mine, **options), "GRANT pg_signal_backend")
        pair.in_source('GRANT pg_signal_backend TO "ro.le%"')
        target = pair.urls[1].rpartition("/")[2]
        rights = TARGET_RIGHTS.format(database=target)
        with role(pair.target, pair.urls[1], "", rights) as other:
            both = replace(pair, urls=(url, other))
            pair.in_target('REVOKE pg_create_subscription FROM "ro.le%"')
            refused(pair, migration(both, **options), "GRANT pg_create_subscription")
            pair.in_target('GRANT pg_create_subscription TO "ro.le%"')
            assert migrate(migration(both, **options)).failures == ()
            pair.in_source("INSERT INTO t VALUES (11); UPDATE none SET a = 1")
            for _ in range(600):
                if asked(pair.urls[1], "SELECT count(*) FROM t") == [(11,)]:
                    break
                psycopg2.connect(pair.urls[1]).close()
            assert asked(pair.urls[1], "SELECT count(*) FROM t") == [(11,)]
            assert abandon(migration(both, **options)).failures == ()
            assert pair.left_in_source() == ""


def test_who_may_not_publish_is_told_how(pair: Two) -> None:
    database = pair.urls[0].rpartition("/")[2]
    rights = (
        f'GRANT ALL ON SCHEMA public TO "ro.le%"; {KEYED}; ALTER TABLE t OWNER TO "ro.le%"; '
        f"REVOKE CREATE ON DATABASE {database} FROM PUBLIC"
    )
    with role(pair.source, pair.urls[0], "REPLICATION", rights) as url:
        mine = replace(pair, urls=(url, pair.urls[1]))
        assert "GRANT CREATE ON DATABASE" in found(migration(mine, owners=False), Severity.ERROR)


def test_only_superusers_subscribe_before_16(postgres15: PostgresServer) -> None:
    with two(postgres15, postgres15, KEYED) as pair:
        database = pair.urls[1].rpartition("/")[2]
        rights = f'GRANT ALL ON DATABASE {database} TO "ro.le%"; ALTER SCHEMA public OWNER TO "ro.le%"'
        with role(pair.target, pair.urls[1], "", rights) as url:
            mine = replace(pair, urls=(pair.urls[0], url))
            assert "before PostgreSQL 16 only those" in found(migration(mine, owners=False), Severity.ERROR)


@contextmanager
def server(folder: Path, version: int = 16, **settings: str) -> Iterator[PostgresServer]:
    account = servers.server_account()
    usable = servers.usable(servers.embedded(version), account, folder)
    made = servers.Server(usable, folder / f"own {version}", account, {**SETTINGS, **settings})
    made.start()
    try:
        yield PostgresServer(made)
    finally:
        made.stop("immediate")
        servers.demolish(made.folder)


def restarted(made: PostgresServer, **settings: str) -> PostgresServer:
    made.server.stop()
    other = replace(made.server, settings={**SETTINGS, **settings})
    other.start()
    return PostgresServer(other)


@pytest.mark.longer
def test_what_servers_have_to_offer_is_told_before(servers_folder: Path, postgres18: PostgresServer) -> None:
    with ExitStack() as stack:
        source = stack.enter_context(server(servers_folder, wal_level="replica"))
        pair = Two(source, postgres18, (source.create_database("s"), postgres18.create_database()))
        stack.callback(lambda: postgres18.drop_database(pair.urls[1]))
        pair.in_source(KEYED)
        refused(pair, migration(pair), "wal_level of the source is replica")
        cases: list[tuple[dict[str, str], str]] = [
            ({"max_replication_slots": "0"}, "no free replication slot: 0 of max_replication_slots = 0"),
            ({"max_wal_senders": "0"}, "no free walsender"),
        ]
        for settings, told in cases:
            source = restarted(source, **settings)
            pair = replace(pair, source=source, urls=(source.url("s"), pair.urls[1]))
            refused(pair, migration(pair), told)
        source = restarted(source, max_slot_wal_keep_size="20MB")
        pair = replace(pair, source=source, urls=(source.url("s"), pair.urls[1]))
        everything = found(migration(pair), Severity.PASSED)
        assert "20.0 MiB of WAL for the target (max_slot_wal_keep_size of the source)" in everything
        assert migrate(migration(pair)).failures == ()
        limit = asked(pair.urls[1], "SELECT max_retained_wal FROM _pg_migration.replication")
        assert limit == [(20 * 2**20,)]
        assert abandon(migration(pair)).failures == ()
        stack.callback(source.server.stop)


@pytest.mark.longer
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_logical_replication_workers": "0"}, "no free worker for replication"),
        ({"max_active_replication_origins": "0"}, "max_active_replication_origins is 0"),
    ],
)
def test_what_the_target_has_to_offer_is_told_before(
    servers_folder: Path, postgres16: PostgresServer, settings: dict[str, str], told: str
) -> None:
    with server(servers_folder, 18, io_method="sync", **settings) as target, two(postgres16, target, KEYED) as pair:
        refused(pair, migration(pair), told)


@pytest.mark.longer
def test_a_slot_that_a_server_drops_when_nobody_reads_it_is_told_before(
    servers_folder: Path, postgres18: PostgresServer
) -> None:
    settings = {"io_method": "sync", "idle_replication_slot_timeout": "1h"}
    with server(servers_folder, 18, **settings) as source, two(source, postgres18, KEYED) as pair:
        refused(pair, migration(pair), "idle_replication_slot_timeout of the source is 3600 s")


@pytest.mark.longer
def test_a_standby_cannot_be_followed(
    servers_folder: Path, postgres16: PostgresServer, postgres18: PostgresServer
) -> None:
    with two(postgres16, postgres18, KEYED) as pair, standby_of(postgres16, servers_folder) as standby:
        url = standby.url(pair.urls[0].rpartition("/")[2])
        mine = replace(pair, source=standby, urls=(url, pair.urls[1]))
        refused(mine, migration(mine), "the source is a standby")
        with pytest.raises(ConfigurationError, match="Take its primary"):
            demand(preflight(migration(mine)))


def test_what_will_be_kept_is_measured_for_a_long_copy(shared: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.in_source(f"CREATE SCHEMA IF NOT EXISTS wal; SET search_path = wal; DROP TABLE IF EXISTS t; {KEYED}")
    monkeypatch.setattr(prerequisites, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(prerequisites, "SAMPLE_SECONDS", 0.1)
    wanted = migration(shared, "wal")
    assert "a second now, so that about 0 B will be kept" in found(wanted, Severity.PASSED)
    monkeypatch.setattr(prerequisites, "TIMES_FORECAST", 1e12)

    def sleep(_: float) -> None:
        shared.in_source("SELECT pg_logical_emit_message(false, '', 'x')")

    monkeypatch.setattr("pg_migration.postgres.replication.prerequisites.time.sleep", sleep)
    shared.in_source("INSERT INTO wal.t SELECT generate_series(1, 10000)")
    assert "Raise max_retained_wal" in found(wanted, Severity.WARNING)


def test_no_more_is_kept_than_half_of_what_is_free(shared: Two) -> None:
    shared.in_source(f"CREATE SCHEMA IF NOT EXISTS disk; SET search_path = disk; DROP TABLE IF EXISTS t; {KEYED}")
    assert "(half of what is free in " in found(migration(shared, "disk", max_retained_wal="90000TB"), Severity.PASSED)
    assert "keep 1.0 GiB of WAL" in found(migration(shared, "disk", max_retained_wal="1GB"), Severity.PASSED)


def test_a_target_that_follows_is_told_before(pair: Two) -> None:
    pair.in_source(KEYED)
    assert migrate(migration(pair)).failures == ()
    assert "pg_migration abandon" in found(migration(pair), Severity.ERROR)
    assert "pg_migration abandon" in found(migration(pair, follow=False), Severity.ERROR)
    assert abandon(migration(pair)).failures == ()
    assert found(migration(pair), Severity.ERROR) == ""


def test_one_database_cannot_follow_itself(shared: Two) -> None:
    shared.in_source(f"CREATE SCHEMA IF NOT EXISTS own; SET search_path = own; DROP TABLE IF EXISTS t; {KEYED}")
    itself = replace(shared, urls=(shared.urls[0], shared.urls[0]))
    refused(itself, migration(itself, "own"), "the same database")
