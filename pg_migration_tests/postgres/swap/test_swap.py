"""A copy takes the place of the one before at once: whole, with what the target has added, or not at all."""

import threading
import time
from collections.abc import Iterator
from types import ModuleType

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration import Migration, Options, migrate, preflight, repair, use_cases, validate
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps import swap as swap_step
from pg_migration.postgres.migration.steps.copy_tables import copy_tables
from pg_migration.postgres.preflight import Severity
from pg_migration.postgres.swap import exchange
from pg_migration.postgres.transfer.events import Event
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.swap.harness import LIVE, ROWS, SHOP, Shop, asked, whole


@pytest.fixture(scope="module")
def shop(postgres16: PostgresServer, postgres18: PostgresServer) -> Shop:
    """One for all tests: each leaves the latest batch live."""
    made = Shop(postgres16, postgres18, (postgres16.create_database(), postgres18.create_database()))
    made.in_source(SHOP)
    batch, _ = made.refreshed()
    assert (made.live(), made.schemas_there()) == (batch, "Sh.op crm")
    return made


AROUND = """
    CREATE SCHEMA bi;
    CREATE VIEW bi.by_state WITH (security_barrier = true) AS SELECT state, count(*) AS n, max(batch) AS batch
        FROM "Sh.op".customers GROUP BY state;
    CREATE VIEW bi.readers AS SELECT n, batch FROM bi.by_state;
    CREATE VIEW bi.plain AS SELECT id, batch FROM "Sh.op"."or%ders";
    CREATE VIEW bi.above AS SELECT max(batch) AS batch FROM bi.plain;
    ALTER VIEW bi.by_state ALTER COLUMN n SET DEFAULT 3;
    COMMENT ON VIEW bi.by_state IS 'of "Sh.op"';
    COMMENT ON COLUMN bi.by_state.n IS 'how many';
    REVOKE ALL ON bi.plain FROM postgres;
    GRANT SELECT ON bi.plain TO postgres, {analyst} WITH GRANT OPTION;
    GRANT SELECT ON bi.by_state TO PUBLIC;
    GRANT SELECT (n) ON bi.readers TO {analyst};
    GRANT USAGE ON SCHEMA "Sh.op" TO {analyst};
    GRANT SELECT ON "Sh.op".customers TO {analyst};
    GRANT UPDATE (batch) ON "Sh.op"."or%ders" TO {analyst};
    GRANT EXECUTE ON FUNCTION "Sh.op".orders_of("Sh.op".state) TO {analyst};
    GRANT USAGE ON TYPE "Sh.op".state TO {analyst};
    ALTER DEFAULT PRIVILEGES IN SCHEMA "Sh.op" GRANT SELECT ON TABLES TO {analyst};
    CREATE PUBLICATION part FOR TABLE ONLY "Sh.op".customers (id, batch) WHERE (batch > 0), crm.notes;
    CREATE PUBLICATION every FOR TABLES IN SCHEMA "Sh.op";
    CREATE FUNCTION bi.no() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
    CREATE EVENT TRIGGER no_renames ON ddl_command_start WHEN TAG IN ('ALTER SCHEMA') EXECUTE FUNCTION bi.no();
"""
PUBLISHED = "SELECT pubname, schemaname, tablename, attnames, rowfilter FROM pg_publication_tables ORDER BY 1, 2, 3"


def dumped(server: PostgresServer, url: str, *schemas: str) -> str:
    """What pg_dump says of some words, less what is about the copy that was live before."""
    text = server.dump_schema(url)
    blocks = [block for block in text.split("\n--\n") if any(schema in block for schema in schemas)]
    return "\n--\n".join(block for block in blocks if "__previous" not in block)


@pytest.mark.longer
def test_what_the_target_has_around_a_copy_follows_it(shop: Shop) -> None:
    analyst, before = f"analyst_{time.time_ns()}", shop.live()
    assert dumped(shop.target, shop.urls[1], "Sh.op", "crm") == dumped(shop.source, shop.urls[0], "Sh.op", "crm")
    for create in (shop.in_source, shop.in_target):  # of a role that both have the source decides
        create(f"CREATE ROLE {analyst}_both")
    shop.in_target(f"CREATE ROLE {analyst}")
    shop.in_target(AROUND.format(analyst=analyst))
    around = dumped(shop.target, shop.urls[1], "bi.", analyst, "PUBLICATION")
    shop.in_target(f'GRANT SELECT ON "Sh.op".customers TO {analyst}_both')
    published = shop.in_target(PUBLISHED)
    batch, result = shop.refreshed()
    assert result.outcomes.swap is not None
    done = result.outcomes.swap.done
    assert sorted(done.made_anew) == ["bi.by_state", "bi.readers"]
    assert sorted(done.views) == ["bi.by_state", "bi.plain"]
    assert done.seconds < 1
    assert "locks were held for" in "".join(result.notes)
    assert shop.in_target("SELECT evtenabled FROM pg_event_trigger WHERE evtname = 'no_renames'") == "O"
    assert shop.in_target("SELECT n, batch FROM bi.readers") == f"{ROWS}|{batch}"
    assert shop.in_target("SELECT batch FROM bi.above") == str(batch)
    assert dumped(shop.target, shop.urls[1], "bi.", analyst, "PUBLICATION") == around
    assert shop.in_target(PUBLISHED) == published
    may = "SELECT has_table_privilege('{}', '\"Sh.op\".customers', 'SELECT')"
    assert [shop.in_target(may.format(role)) for role in (analyst, f"{analyst}_both")] == ["t", "f"]
    assert shop.back().failures == ()
    assert (shop.live(), shop.in_target("SELECT batch FROM bi.above")) == (before, str(before))
    shop.in_target(f'REVOKE SELECT ON "Sh.op".customers FROM {analyst}_both')  # that copy had it
    assert dumped(shop.target, shop.urls[1], "bi.", analyst, "PUBLICATION") == around
    assert shop.back().failures == ()
    shop.in_target("DROP SCHEMA bi CASCADE; DROP PUBLICATION part; DROP PUBLICATION every")


def test_a_copy_that_differs_is_not_swapped_in(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before, batch, copy = shop.live(), shop.fill(), copy_tables

    def copy_and_change(run: MigrationRun) -> Iterator[Event]:
        yield from copy(run)
        shop.in_target("UPDATE crm__next.notes SET batch = 0 WHERE customer = 1")

    with monkeypatch.context() as patched:
        patched.setattr(use_cases, "copy_tables", copy_and_change)
        (failure,) = shop.run().failures
    assert failure.startswith("crm.notes: ")
    assert failure.endswith("Next: see crm__next.notes, and start the run again; what is live has not changed")
    assert (shop.live(), shop.copy("__next")) == (before, whole(batch).removesuffix(f"{batch} {batch}") + f"0 {batch}")
    assert shop.validated() != ()  # of what is live, with what the source has now


def test_a_run_that_dies_leaves_a_whole_copy(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the swap, in the middle of its transaction, and after it; the server ends the sessions in each case."""

    def succeeds(holder: ModuleType, name: str, afterwards: bool = False) -> bool:
        done = getattr(holder, name)

        def die(*arguments: object) -> object:
            found = done(*arguments) if afterwards else None
            shop.in_target(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name LIKE 'pg_migration%'"
            )
            return found if afterwards else done(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(holder, name, die)
            return shop.run().succeeded

    before, batch = shop.live(), shop.fill()
    for holder, name in ((swap_step, "swap_in"), (exchange, "_republish")):
        assert not succeeds(holder, name)
        assert shop.live() == before
        assert shop.validated(against="ledger") == ()
    assert succeeds(swap_step, "swap_in", afterwards=True)  # nothing was left to do
    assert (shop.live(), shop.validated(), shop.validated(against="ledger")) == (batch, (), ())
    after, _ = shop.refreshed()
    assert (shop.live(), shop.copy("__previous")) == (after, whole(batch))
    assert shop.schemas_there() == "Sh.op Sh.op__previous crm crm__previous"


@pytest.mark.longer
def test_an_old_snapshot_is_waited_for(shop: Shop) -> None:
    before, batch = shop.live(), shop.fill()
    with shop.session(autocommit=False) as old:
        old.set_session("REPEATABLE READ")
        pid = asked(old, "SELECT pg_backend_pid()")
        (failure,) = shop.run(swap_wait_seconds=0).failures
        assert f"pid {pid} (postgres" in failure
        assert shop.live() == before
        # Several chunks of a table are not frozen when they are copied.
        result = shop.run(swap_wait_seconds=0, swap_anyway=True, partition_threshold=50)
        assert result.failures == ()
        assert f"swapped all the same while there was pid {pid}" in "".join(result.notes)
        assert shop.live() == batch
        assert asked(old, 'SELECT count(*) FROM "Sh.op".customers') == "0"  # which is what the wait is for
        old.rollback()
        asked(old, "SELECT count(*) FROM crm.notes")
        ending = threading.Timer(4, old.rollback)
        ending.start()
        _, result = shop.refreshed()
        ending.join()
    assert f"waiting for pid {pid}" in "".join(result.notes)


# What stands in the way of a swap: how it is made, what is said of it, and how it goes again.
IN_THE_WAY = {
    "a foreign key": (
        'CREATE TABLE o.referring (c integer REFERENCES "Sh.op".customers)',
        "constraint referring_c_fkey on table o.referring",
        "DROP TABLE o.referring",
    ),
    "a function in standard SQL": (
        'CREATE FUNCTION o.f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM "Sh.op".customers; END',
        "function o.f()",
        "DROP FUNCTION o.f()",
    ),
    "a materialized view": (
        "CREATE MATERIALIZED VIEW o.m AS SELECT batch FROM crm.notes",
        "materialized view o.m",
        "DROP MATERIALIZED VIEW o.m",
    ),
    "a column": ('CREATE TABLE o.typed (s "Sh.op".state)', "table o.typed", "DROP TABLE o.typed"),
    "a trigger": (
        """CREATE TABLE o.fired ();
        CREATE TRIGGER g BEFORE UPDATE ON o.fired FOR EACH ROW EXECUTE FUNCTION "Sh.op".touch()""",
        "trigger g on table o.fired",
        "DROP TABLE o.fired",
    ),
    "an index": (
        """CREATE FUNCTION "Sh.op".own(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
        CREATE TABLE o.t (a integer); CREATE INDEX i ON o.t ("Sh.op".own(a))""",
        "index o.i",
        'DROP TABLE o.t; DROP FUNCTION "Sh.op".own(integer)',
    ),
    "a partition": (
        "CREATE TABLE o.p PARTITION OF \"Sh.op\".visits FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')",
        "table o.p",
        "DROP TABLE o.p",
    ),
    "a table": ("CREATE TABLE crm.own (id integer)", "only the target has", "DROP TABLE crm.own"),
    "an index of the target's own": (
        "CREATE INDEX own_index ON crm.notes (customer)",
        "index own_index on crm.notes",
        "DROP INDEX crm.own_index",
    ),
    "a trigger inside": (
        'CREATE TRIGGER own_trigger BEFORE UPDATE ON crm.notes FOR EACH ROW EXECUTE FUNCTION "Sh.op".touch()',
        "trigger own_trigger",
        "DROP TRIGGER own_trigger ON crm.notes",
    ),
    "a policy": ("CREATE POLICY own_policy ON crm.notes", "policy own_policy", "DROP POLICY own_policy ON crm.notes"),
    "a cast": (
        'CREATE CAST ("Sh.op".state AS bytea) WITH INOUT',
        'cast "Sh.op"."state" AS',
        'DROP CAST ("Sh.op".state AS bytea)',
    ),
    "a view inside": ("CREATE VIEW crm.own_view AS SELECT 1 AS one", "view crm.own_view", "DROP VIEW crm.own_view"),
    "a schema of others": (
        "DROP SCHEMA IF EXISTS crm__next CASCADE; CREATE SCHEMA crm__next",
        "a schema crm__next that no run",
        "DROP SCHEMA crm__next",
    ),
    "a view on the copy before": (
        "CREATE VIEW o.v AS SELECT * FROM crm__previous.notes",
        "others lean on it: view o.v",
        "DROP VIEW o.v",
    ),
}


def test_what_a_swap_would_lose_is_refused(shop: Shop) -> None:
    shop.in_target("CREATE SCHEMA o")
    if "__previous" not in shop.schemas_there():
        shop.refreshed()
    before = shop.live()
    shop.in_target(";".join(made for made, *_ in IN_THE_WAY.values()))
    refused = shop.refusals()
    assert [name for name, (_, said, _) in IN_THE_WAY.items() if said not in refused] == []
    shop.in_target(";".join(gone for *_, gone in IN_THE_WAY.values()))
    assert shop.refusals() == ""
    shop.in_target(IN_THE_WAY["a foreign key"][0])
    assert "constraint referring_c_fkey" in "".join(shop.run().failures)
    shop.in_target("DROP SCHEMA o CASCADE")
    assert (shop.live(), "__next" in shop.schemas_there()) == (before, False)


@pytest.mark.longer
def test_tables_of_a_subscription_and_large_objects_are_refused(shop: Shop) -> None:
    before = shop.live()
    shop.in_target("""
        CREATE SUBSCRIPTION arriving CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE);
        INSERT INTO pg_subscription_rel SELECT oid, 'crm.notes'::regclass, 'i', NULL FROM pg_subscription
         WHERE subname = 'arriving';
    """)
    assert "a subscription has table crm.notes is in the way of a swap" in shop.refusals()
    assert "a subscription has table crm.notes" in "".join(shop.run().failures)
    shop.in_target("DROP SUBSCRIPTION arriving")
    shop.in_source("CREATE TABLE crm.files (o oid); INSERT INTO crm.files VALUES (lo_from_bytea(0, 'x'))")
    assert "the source has large objects, which have no schema" in shop.refusals()
    assert "the source has large objects" in "".join(shop.run().failures)
    assert (shop.live(), "__next" in shop.schemas_there()) == (before, False)
    assert shop.refusals(large_objects=False) == ""
    shop.in_source("SELECT lo_unlink(o) FROM crm.files \\g /dev/null\nDROP TABLE crm.files")
    assert shop.refusals() == ""


def test_what_comes_during_the_load_is_refused_then(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before, copy = shop.live(), copy_tables

    def copy_and_refer(run: MigrationRun) -> Iterator[Event]:
        yield from copy(run)
        shop.in_target(
            'CREATE TABLE public.late (c integer REFERENCES "Sh.op".customers); CREATE TABLE crm.theirs AS SELECT 1;'
            "CREATE INDEX late_index ON crm.notes (batch)"
        )

    shop.fill()
    with monkeypatch.context() as patched:
        patched.setattr(use_cases, "copy_tables", copy_and_refer)
        (failure,) = shop.run().failures
    for said in ("late_c_fkey", "table crm.theirs", "late_index"):
        assert said in failure
    assert shop.live() == before  # of both schemas
    shop.in_target("DROP TABLE public.late; DROP TABLE crm.theirs; DROP INDEX crm.late_index")
    with shop.session(autocommit=False) as other:  # which holds a lock that the swap needs
        shop.in_target("CREATE VIEW public.held AS SELECT batch FROM crm.notes")
        asked(other, "SELECT count(*) FROM public.held")
        monkeypatch.setattr(exchange, "LOCK_TIMEOUT", "100ms")
        (failure,) = shop.run(swap_wait_seconds=0, swap_anyway=True).failures
        assert "nothing has changed for readers: canceling statement due to lock timeout" in failure
        assert shop.live() == before
    shop.in_target("DROP VIEW public.held")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"drop_existing_tables": True}, "drop_existing_tables"),
        ({"spread_over": 1}, "spread_over"),
        ({"keep_previous": 2}, "keep_previous"),
        ({"swap_wait_seconds": -1}, "swap_wait_seconds"),
        ({"exclude_tables": ["notes"]}, "left out of the migration"),
    ],
)
def test_options_that_go_with_no_swap(shop: Shop, options: dict[str, object], said: str) -> None:
    before = shop.live()
    try:
        told = shop.refusals(**options)
    except ConfigurationError as error:
        told = str(error)
    assert said in told
    assert shop.live() == before


def test_schemas_that_can_not_be_swapped() -> None:
    swapping = Options.model_validate({"refresh": "swap"})
    with pytest.raises(ConfigurationError, match="by name"):
        Migration.between("postgresql://a/a", "postgresql://b/b", schemas="*", options=swapping)


@pytest.mark.longer
def test_publications_are_those_of_the_source(shop: Shop) -> None:
    """What the source takes out goes, what it publishes otherwise is so here, and what the target has added stays."""
    published = "SELECT pubname, schemaname, tablename, attnames, rowfilter FROM pg_publication_tables ORDER BY 1, 2, 3"
    shop.in_source("""
        CREATE PUBLICATION own FOR TABLE ONLY "Sh.op".customers, ONLY "Sh.op"."or%ders", ONLY crm.notes;
        CREATE PUBLICATION whole FOR TABLE ONLY crm.notes;
        COMMENT ON PUBLICATION whole IS 'its own';
    """)
    shop.refreshed()
    said = "SELECT obj_description(oid), pubowner::regrole FROM pg_publication WHERE pubname = 'whole'"
    assert shop.in_target(said) == "its own|postgres"
    assert shop.in_target(published) == shop.in_source(published)
    for change in (
        'ALTER PUBLICATION own DROP TABLE "Sh.op"."or%ders"',
        "ALTER PUBLICATION own SET (publish = 'insert'); ALTER PUBLICATION own DROP TABLE crm.notes",
        'ALTER PUBLICATION own ADD TABLE "Sh.op"."or%ders", crm.notes',
        "DROP PUBLICATION whole",
    ):
        shop.in_source(change)
        shop.refreshed()
        assert shop.in_target(published) == shop.in_source(published)
        assert shop.in_target("SELECT pubname, pubupdate FROM pg_publication") == shop.in_source(
            "SELECT pubname, pubupdate FROM pg_publication"
        )
    shop.in_target("CREATE PUBLICATION theirs FOR TABLE crm.notes")
    shop.in_source("DROP PUBLICATION own")
    for _ in range(2):
        shop.refreshed()
        assert shop.in_target("SELECT pubname, tablename FROM pg_publication_tables") == "theirs|notes"
    shop.in_target("DROP PUBLICATION theirs")


@pytest.mark.longer
def test_copies_follow_one_another_and_back(shop: Shop) -> None:
    """Last, as it leaves other tables in the source."""
    first, _ = shop.refreshed()
    assert shop.validated() == ()
    assert shop.validated(against="ledger") == ()
    shop.in_source('DROP TABLE "Sh.op".visits; CREATE TABLE "Sh.op".visits (batch integer, at date)')
    shop.in_source("DROP TABLE crm.notes; CREATE TABLE crm.notes (batch integer, customer integer, more text)")
    second, _ = shop.refreshed()
    assert shop.back().failures == ()
    assert (shop.live(), shop.copy("__previous")) == (first, whole(second))
    assert shop.validated(against="ledger") == ()
    batch, _ = shop.refreshed(keep_previous=0)  # what the source has taken back since came from there
    assert (shop.live(), shop.schemas_there()) == (batch, "Sh.op crm")
    assert shop.in_target('SELECT "Sh.op".newest(), "Sh.op".orders_of(\'new\')') == f"{batch}|{ROWS}"
    assert "no earlier copy" in "".join(shop.back().failures)
    shop.in_target("UPDATE crm.notes SET batch = 0 WHERE customer = 3")
    assert repair(shop.migration()).failures == ()
    assert (shop.live(), shop.validated()) == (batch, ())
    shop.in_target(
        "CREATE VIEW public.narrow AS SELECT more FROM crm.notes; CREATE VIEW public.wide AS TABLE crm.notes"
    )
    shop.in_source("ALTER TABLE crm.notes ALTER batch TYPE bigint")  # as which a view can't be replaced
    batch, result = shop.refreshed()
    assert result.outcomes.swap is not None
    assert list(result.outcomes.swap.done.made_anew) == ["public.wide"]
    shop.in_source("ALTER TABLE crm.notes DROP more")
    shop.fill()
    (failure,) = shop.run().failures
    assert (
        'view public.narrow, which reads what is swapped, can\'t be made anew: column "more" does not exist' in failure
    )
    assert shop.live() == batch
    shop.in_target("DROP VIEW public.narrow, public.wide")
    batch, _ = shop.refreshed()
    batch, _ = shop.refreshed(refresh="in_place")
    assert shop.live() == batch


@pytest.mark.longer
def test_other_names_in_one_database(postgres16: PostgresServer, source_db: str) -> None:
    """The copy never takes the place of what it was copied from."""
    shop = Shop(postgres16, postgres16, (source_db, source_db))
    shop.in_source(SHOP)
    batch, options = shop.fill(), Options.model_validate({"refresh": "swap", "workers": 1})

    def between(source: str, target: str) -> Migration:
        return Migration.between(source_db, source_db, schemas=source, target_schemas=target, options=options)

    assert migrate(between(LIVE, "a,b")).failures == ()
    assert validate(between(LIVE, "a,b")).failures == ()
    assert shop.in_target("SELECT a.newest(), (SELECT max(batch) FROM b.notes)").endswith(f"{batch}|{batch}")
    long = "l" * 54
    shop.in_source(
        f"CREATE SCHEMA a__previous; CREATE TABLE a__previous.t (); CREATE SCHEMA {long}; CREATE TABLE {long}.t ()"
    )
    for source, target, said in (
        (LIVE, LIVE, "the same schema Sh.op, crm"),
        ("a__previous", "a", "the same schema a__previous"),
        ("a,crm", "crm,crm__next", "is a live schema and one beside a live schema"),
        (long, f"x{long}", "too long names"),
    ):
        found = preflight(between(source, target))
        assert said in "".join(str(each) for each in found if each.severity is Severity.ERROR)
    assert said in "".join(migrate(between(source, target)).failures)
    assert shop.in_source("SELECT count(*) FROM crm.notes") == str(ROWS)


PUBLIC = """
    CREATE TYPE e AS ENUM ('a', 'b');
    CREATE FUNCTION f(e) RETURNS e LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
    CREATE CAST (e AS bytea) WITH INOUT;
    CREATE TABLE t (id serial PRIMARY KEY, email text NOT NULL, x e DEFAULT 'a', y timestamptz DEFAULT now(),
        CHECK (f(x) IS NOT NULL), CHECK (EXTRACT(year FROM y) > 1900));
    INSERT INTO t (email) SELECT 'a' || n FROM generate_series(1, 100) AS n;
    CREATE PUBLICATION of_the_source FOR TABLE t;
"""


@pytest.mark.longer
def test_public_by_a_role_that_is_no_superuser(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> None:
    postgres16.psql(source_db, PUBLIC)
    role, database = f"mig_{time.time_ns()}", parse_dsn(target_db)["dbname"]
    postgres18.psql(target_db, f"CREATE ROLE {role} LOGIN PASSWORD 'x'; ALTER DATABASE {database} OWNER TO {role}")
    url = make_dsn(target_db, user=role, password="x")
    masked: dict[str, object] = {"transform": {"tables": {"public.t": {"mask": {"email": {"fixed": "masked"}}}}}}
    postgres18.psql(url, "CREATE TABLE t (id integer); INSERT INTO t VALUES (7)")
    theirs: dict[str, object] = {"overwrite_existing_rows": True}
    postgres18.psql(
        target_db,
        "CREATE PUBLICATION all_of_it FOR TABLES IN SCHEMA public; CREATE SCHEMA o;"
        "CREATE VIEW o.theirs AS TABLE public.t",
    )
    options = Options.model_validate({"refresh": "swap", "overwrite_existing_rows": True, "owners": False})
    told = "".join(str(found) for found in preflight(Migration.between(source_db, url, options=options)))
    assert "publication all_of_it has all tables of a schema" in told
    assert "view o.theirs reads what is swapped, and belongs to postgres" in told
    postgres18.psql(target_db, "DROP PUBLICATION all_of_it; DROP SCHEMA o CASCADE")
    for refused in ({}, masked):
        options = Options.model_validate({"refresh": "swap", "workers": 1, "owners": False, **refused})
        assert "public.t (1 row)" in "".join(migrate(Migration.between(source_db, url, options=options)).failures)
    for more in (theirs, {**theirs, **masked}):
        options = Options.model_validate(
            {"refresh": "swap", "owners": False, "privileges": False, "workers": 1, **more}
        )
        migration = Migration.between(source_db, url, options=options)
        result = migrate(migration)
        assert result.failures == ()
        assert validate(migration).failures == ()
        assert postgres18.psql(url, "SELECT * FROM pg_publication_tables").startswith("of_the_source|public|t|")
    assert postgres18.psql(url, "SELECT DISTINCT email FROM t").strip() == "masked"
    assert postgres18.psql(url, "SELECT count(*) FROM public__previous.t").strip() == "100"
    ours, copied = (
        server.dump_schema(url, "public", "--no-owner", "--no-privileges", "--no-publications")
        for server, url in ((postgres16, source_db), (postgres18, target_db))
    )
    assert copied == ours


@pytest.mark.longer
def test_extensions_have_to_be_elsewhere(postgres15: PostgresServer) -> None:
    source, target = postgres15.create_database(), postgres15.create_database()
    postgres15.psql(source, "CREATE EXTENSION hstore; CREATE TABLE h (id integer PRIMARY KEY, x hstore)")
    migration = Migration.between(source, target, options=Options.model_validate({"refresh": "swap"}))
    assert "extension hstore would be made in a schema" in "".join(migrate(migration).failures)
    postgres15.psql(target, "CREATE EXTENSION hstore")
    assert "extension hstore is in the way of a swap" in "".join(migrate(migration).failures)
    postgres15.psql(target, "CREATE SCHEMA elsewhere; ALTER EXTENSION hstore SET SCHEMA elsewhere")
    for _ in range(2):
        assert migrate(migration).failures == ()
