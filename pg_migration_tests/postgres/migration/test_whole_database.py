"""What belongs to a whole database comes along as far as the role may make it; event triggers are not in the way."""

from collections.abc import Iterator

import psycopg2
import pytest

from pg_migration.postgres.ddl.changes import event_triggers
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration import Migration, Options, compare, migrate, repair, validate
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.test_whole_database import NO_SUBSCRIPTIONS

SHOP = """
    CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
    CREATE TABLE orders (id integer PRIMARY KEY, customer integer REFERENCES customers);
    INSERT INTO customers VALUES (1, 'ann'); INSERT INTO orders VALUES (1, 1);
"""
OF_THE_DATABASE = """
    CREATE PUBLICATION part FOR TABLE orders; CREATE PUBLICATION every FOR ALL TABLES;
    CREATE PUBLICATION whole FOR TABLES IN SCHEMA public;
    CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION et();
    COMMENT ON EVENT TRIGGER watch IS 'x';
    CREATE SUBSCRIPTION s CONNECTION 'host=nowhere password=sesame' PUBLICATION a
        WITH (connect = false, slot_name = NONE);
"""
# In the target: whatever DDL is run in its database fails.
REFUSING = """
    CREATE SCHEMA guard;
    CREATE FUNCTION guard.refuse() RETURNS event_trigger LANGUAGE plpgsql AS
      $$BEGIN IF tg_tag <> 'DROP EVENT TRIGGER' THEN RAISE 'no DDL here'; END IF; END$$;
    CREATE EVENT TRIGGER "a guard" ON ddl_command_start EXECUTE FUNCTION guard.refuse();
    CREATE EVENT TRIGGER always ON sql_drop EXECUTE FUNCTION guard.refuse();
    ALTER EVENT TRIGGER always ENABLE ALWAYS;
    CREATE EVENT TRIGGER off ON ddl_command_start EXECUTE FUNCTION guard.refuse();
    ALTER EVENT TRIGGER off DISABLE;
"""
STATES = "SELECT string_agg(concat(evtname, ' ', evtenabled), ', ' ORDER BY evtname) FROM pg_event_trigger"
GUARDED = "a guard O, always A, off D"


class Databases:
    """Two databases, the first one filled."""

    def __init__(self, source: PostgresServer, target: PostgresServer, source_url: str, target_url: str) -> None:
        self.source, self.target, self.urls = source, target, (source_url, target_url)
        self.in_source(SHOP)

    def in_source(self, statement: str) -> str:
        return self.source.psql(self.urls[0], statement).strip()

    def in_target(self, statement: str) -> str:
        return self.target.psql(self.urls[1], statement).strip()

    def migration(self, target: str | None = None, **options: object) -> Migration:
        return Migration.between(
            self.urls[0], target or self.urls[1], schemas="*", options=Options.model_validate(options)
        )

    def dumps(self) -> tuple[str, str]:
        left_out = "--exclude-schema=_pg_migration", "--exclude-schema=guard"
        source, target = self.source.dump_schema(self.urls[0]), self.target.dump_schema(self.urls[1], None, *left_out)
        return source, target


@pytest.fixture
def databases(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> Iterator[Databases]:
    made = Databases(postgres16, postgres18, source_db, target_db)
    try:
        yield made
    finally:
        made.in_source(NO_SUBSCRIPTIONS)
        made.in_target(NO_SUBSCRIPTIONS)


def test_event_triggers_of_the_target_wait(databases: Databases) -> None:
    databases.in_target(REFUSING)
    assert migrate(databases.migration()).failures == ()
    assert databases.in_target(STATES) == GUARDED
    # A run that fails brings them back, too.
    databases.in_source("CREATE VIEW v AS SELECT 1 AS a; ALTER TABLE orders ADD b int")
    assert "column b is missing" in " ".join(migrate(databases.migration()).failures)
    assert databases.in_target(STATES) == GUARDED


def test_event_triggers_come_back_when_a_run_can_not_begin(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.in_target(REFUSING)

    def refuse(*_: object) -> None:
        assert databases.in_target(STATES) == "a guard D, always D, off D"
        raise MigrationError("not today")

    monkeypatch.setattr("pg_migration.postgres.ledger.runs.open_run", refuse)
    assert migrate(databases.migration()).failures == ("not today",)
    assert databases.in_target(STATES) == GUARDED


def test_what_a_killed_run_has_disabled_comes_back(databases: Databases) -> None:
    assert migrate(databases.migration()).failures == ()
    databases.in_target(REFUSING)
    connection = psycopg2.connect(databases.urls[1])
    connection.autocommit = True
    try:
        event_triggers.set_aside(connection, event_triggers.present(connection))
    finally:
        connection.close()
    assert databases.in_target(STATES) == "a guard D, always D, off D"
    assert migrate(databases.migration()).failures == ()
    assert databases.in_target(STATES) == GUARDED


def test_event_triggers_of_the_source_end_as_they_are_there(databases: Databases) -> None:
    databases.in_source(OF_THE_DATABASE)
    assert migrate(databases.migration()).failures == ()
    databases.in_source("ALTER EVENT TRIGGER watch DISABLE; CREATE TABLE more (a int)")
    for state in ("DISABLE", "ENABLE REPLICA"):
        databases.in_source(f"ALTER EVENT TRIGGER watch {state}")
        assert migrate(databases.migration()).failures == ()
        source, target = databases.dumps()
        assert source == target
        assert compare(databases.migration()) == []


def test_a_role_that_is_no_superuser(databases: Databases) -> None:
    databases.in_source(OF_THE_DATABASE)
    name = databases.urls[1].rpartition("/")[2]
    databases.in_target(f"""
        CREATE ROLE brings LOGIN PASSWORD 'x'; GRANT CREATE ON SCHEMA public TO brings;
        GRANT CREATE ON DATABASE "{name}" TO brings; CREATE SCHEMA elsewhere;
    """)
    url = "postgresql://brings:x@" + databases.urls[1].rpartition("@")[2]
    try:
        for _ in range(2):
            done = migrate(databases.migration(url, owners=False))
            assert done.failures == ()
            told = {note.partition(":")[0] for note in done.notes if "brings" in note or "needs" in note}
            assert told == {
                "event trigger watch",
                "publication every",
                "publication schema public.whole",
                "subscription s",
            }
            assert "sesame" not in str(done)
        assert databases.in_target("SELECT string_agg(pubname, ' ' ORDER BY 1) FROM pg_publication") == "part whole"
    finally:
        databases.in_target("DROP OWNED BY brings CASCADE; DROP ROLE brings")


FOREIGN = """
    CREATE FOREIGN DATA WRAPPER w; CREATE SERVER elsewhere FOREIGN DATA WRAPPER w OPTIONS (password 'sesame');
    CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (password 'sesame');
    CREATE TABLE log (id int, at date) PARTITION BY RANGE (at);
    CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
    CREATE FOREIGN TABLE log_old PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2024-01-01') SERVER elsewhere;
    CREATE INDEX ON log (at);
    INSERT INTO log SELECT n, date '2024-01-01' + n FROM generate_series(1, 500) AS n;
    CREATE VIEW old AS SELECT * FROM log_old; CREATE VIEW older AS SELECT id FROM old;
"""
# What the statistics of a table would take in, and where the position of a sequence would be looked for.
AROUND = """
    CREATE TABLE parent (a int); INSERT INTO parent VALUES (1);
    CREATE FOREIGN TABLE child () INHERITS (parent) SERVER elsewhere;
    CREATE SEQUENCE numbers; CREATE FOREIGN TABLE far (a int DEFAULT nextval('numbers')) SERVER elsewhere;
    ALTER SEQUENCE numbers OWNED BY far.a;
    CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY) PARTITION BY RANGE (id);
    CREATE FOREIGN TABLE counted_far PARTITION OF counted DEFAULT SERVER elsewhere;
"""


@pytest.mark.longer
def test_rows_of_a_foreign_partition_are_left_where_they_are(databases: Databases) -> None:
    """A wrapper without a handler refuses to read: so nobody asks the server of the partition, in neither database."""
    databases.in_source(FOREIGN + AROUND)
    for change in ("INSERT INTO log SELECT 1, '2025-01-01'; DELETE FROM log_new WHERE id = 7", ""):
        done = migrate(databases.migration())
        assert (done.failures, done.notes) == ((), ())
        source, target = databases.dumps()
        assert source == target
        assert databases.in_target("SELECT count(*) FROM log_new") == "500"
        databases.in_source(change)
    assert validate(databases.migration()).failures == ()
    # Which rows of the partitioned table differ, and why, is found without them, too.
    databases.in_source("DELETE FROM log_new WHERE id = 8")
    databases.in_target("DELETE FROM log_new WHERE id = 9")
    failures = "\n".join(validate(databases.migration()).failures)
    assert "can't be read" not in failures
    for table in ("public.log", "public.log_new"):
        assert f"{table}: 2 rows differ; the source changed since the copy" in failures
    repaired = repair(databases.migration())
    assert repaired.failures == ()
    assert validate(databases.migration()).failures == ()


def test_rows_that_might_go_to_another_server(databases: Databases) -> None:
    """Enumerations are hashed by their OIDs."""
    databases.in_source(
        FOREIGN
        + """
        CREATE TYPE mood AS ENUM ('a', 'b', 'c');
        CREATE TABLE hashed (m mood) PARTITION BY HASH (m);
        CREATE TABLE h0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE FOREIGN TABLE h1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1) SERVER elsewhere;
        """
    )
    (told,) = migrate(databases.migration()).failures
    assert "some would go to the servers of public.h1" in told
    assert migrate(databases.migration(exclude_tables=["hashed", "h1"])).failures == ()


@pytest.mark.longer
def test_a_role_that_may_not_use_a_wrapper(databases: Databases) -> None:
    databases.in_source(FOREIGN)
    name = databases.urls[1].rpartition("/")[2]
    databases.in_target(f"""
        CREATE ROLE brings LOGIN PASSWORD 'x'; GRANT CREATE ON SCHEMA public TO brings;
        GRANT CREATE ON DATABASE "{name}" TO brings;
    """)
    url = "postgresql://brings:x@" + databases.urls[1].rpartition("@")[2]
    try:
        done = migrate(databases.migration(url, owners=False))
        assert done.failures == ()
        told = {note.partition(":")[0] for note in done.notes if "brings" in note or "needs" in note}
        assert told == {
            "foreign-data wrapper w",
            "server elsewhere",
            "user mapping for PUBLIC on server elsewhere",
            "foreign table public.log_old",
            "view public.old",
            "view public.older",
        }
        assert databases.in_target("SELECT count(*) FROM log") == "500"
        # What a superuser has made is kept, and what it makes possible comes with the next run.
        databases.in_target("CREATE FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN DATA WRAPPER w TO brings")
        done = migrate(databases.migration(url, owners=False))
        assert (done.failures, [note for note in done.notes if "foreign" in note]) == ((), [])
        assert databases.in_target("SELECT count(*) FROM pg_views WHERE schemaname = 'public'") == "2"
        assert "sesame" not in str(done)
    finally:
        databases.in_target("DROP OWNED BY brings CASCADE; DROP ROLE brings")


def test_secrets_that_the_role_of_the_source_may_not_read(databases: Databases) -> None:
    databases.in_source(OF_THE_DATABASE)
    databases.in_source("""
        CREATE FOREIGN DATA WRAPPER w; CREATE SERVER elsewhere FOREIGN DATA WRAPPER w;
        CREATE USER MAPPING FOR postgres SERVER elsewhere OPTIONS (password 'sesame');
        CREATE ROLE reads LOGIN PASSWORD 'x'; GRANT SELECT ON customers, orders TO reads;
    """)
    unread = "the role of the source may not read its options, such as a password"
    told = [
        "subscription s: only a superuser of the source may read how it connects",
        f"user mapping for postgres on server elsewhere: {unread}",
    ]
    url = "postgresql://reads:x@" + databases.urls[0].rpartition("@")[2]
    try:
        for options in ("", "{password=own}"):
            done = migrate(Migration.between(url, databases.urls[1], schemas="*", options=Options(create_roles=True)))
            assert done.failures == ()
            assert sorted(done.notes) == told
            mapped = "SELECT umoptions FROM pg_user_mappings"
            assert databases.in_target(mapped) == options
            # Somebody else knows it, and that stays.
            if not options:
                databases.in_target("ALTER USER MAPPING FOR postgres SERVER elsewhere OPTIONS (ADD password 'own')")
    finally:
        databases.in_source("DROP OWNED BY reads; DROP ROLE reads")
        databases.in_target("DROP OWNED BY reads; DROP ROLE reads")


def test_grants_on_what_the_target_has_no_more(postgres15: PostgresServer, postgres18: PostgresServer) -> None:
    source, target = postgres15.create_database(), postgres18.create_database()
    postgres15.psql(
        source,
        """
        CREATE TABLE t (a int);
        GRANT EXECUTE ON FUNCTION pg_read_file(text) TO pg_monitor; REVOKE SELECT ON pg_roles FROM PUBLIC;
        GRANT SELECT (daticulocale, datname) ON pg_database TO pg_monitor;
        """,
    )
    held = "SELECT proacl IS NOT NULL FROM pg_proc WHERE oid = 'pg_read_file(text)'::regprocedure"
    try:
        for _ in range(2):
            done = migrate(Migration.between(source, target, schemas="*"))
            assert done.failures == ()
            reason = "the target's PostgreSQL has nothing of this name"
            assert done.notes == (f'privileges table column "pg_catalog"."pg_database"."daticulocale": {reason}',)
        assert postgres18.psql(target, held).strip() == "t"
    finally:
        postgres15.drop_database(source)
        postgres18.drop_database(target)


def test_an_extension_that_nothing_uses_and_the_role_may_not_make(postgres15: PostgresServer) -> None:
    source, target = postgres15.create_database(), postgres15.create_database()
    name = target.rpartition("/")[2]
    postgres15.psql(source, "CREATE TABLE t (a int); CREATE SCHEMA lib; CREATE EXTENSION pageinspect SCHEMA lib")
    postgres15.psql(source, "CREATE EXTENSION hstore SCHEMA lib; ALTER EXTENSION pageinspect SET SCHEMA pg_catalog")
    postgres15.psql(target, "CREATE ROLE brings LOGIN PASSWORD 'x'; GRANT CREATE ON SCHEMA public TO brings")
    postgres15.psql(target, f'GRANT CREATE ON DATABASE "{name}" TO brings')
    url = "postgresql://brings:x@" + target.rpartition("@")[2]
    try:
        for made in ("", "CREATE EXTENSION pageinspect"):
            postgres15.psql(target, made)
            done = migrate(Migration.between(source, url, schemas="*", options=Options(owners=False)))
            assert done.failures == ()
            told = [note.partition(":")[0] for note in done.notes if "extension" in note]
            assert told == ([] if made else ["extension pageinspect"])
    finally:
        postgres15.psql(target, "DROP OWNED BY brings CASCADE; DROP ROLE brings")
        postgres15.drop_database(source)
        postgres15.drop_database(target)


@pytest.mark.longer
def test_versions_of_extensions(postgres15: PostgresServer) -> None:
    source, *targets = (postgres15.create_database() for _ in range(3))
    postgres15.psql(source, "CREATE TABLE t (a int); CREATE EXTENSION hstore VERSION '1.4'; CREATE EXTENSION citext")
    postgres15.psql(source, "UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'citext'")
    found = "SELECT string_agg(extversion, ' ' ORDER BY extname) FROM pg_extension WHERE extname <> 'plpgsql'"
    newest = postgres15.psql(
        source, "SELECT default_version FROM pg_available_extensions WHERE name = 'hstore'"
    ).strip()
    try:
        told = []
        for url, choice in zip(targets, ("source", "default"), strict=True):
            options = Options(extension_versions=choice)
            for _ in range(2):
                done = migrate(Migration.between(source, url, options=options))
                assert done.failures == ()
                told.append(done.notes)
        citext, four = postgres15.psql(targets[0], found).split()
        assert four == "1.4"
        assert told[0] == (f"extension citext: it is made in version {citext}, since the target does not offer 0.9",)
        assert told[1:] == [(), (), ()]
        assert postgres15.psql(targets[1], found).split() == [citext, newest]
    finally:
        for url in (source, *targets):
            postgres15.drop_database(url)
