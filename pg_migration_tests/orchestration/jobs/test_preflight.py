"""What preflight says before a migration: each thing that stands in the way, and what to do about it."""

from collections import namedtuple
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from pg_migration.orchestration import environment
from pg_migration.orchestration.jobs.preflight import look_at_notifications
from pg_migration.orchestration.runs.resource import MigrationResource
from pg_migration.postgres.connection import lock_waits
from pg_migration.postgres.migration import prerequisites
from pg_migration.postgres.migration.prerequisites import look
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.preflight import Finding, Severity, activity, resources, servers
from pg_migration.postgres.preflight.objects import is_older
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform, Role, shown

CHECKS = {
    "configuration",
    "notifications",
    "source",
    "target",
    "source and target",
    "target can be written",
    "server versions",
    "encodings",
    "collations of the databases",
    "collations of columns in the target",
    "collation versions",
    "source schema",
    "sequences of the source can be read",
    "row-level security on the source",
    "roles in the target",
    "owners in the target",
    "features of the target's version",
    "meaning of values in the target",
    "extensions in the target",
    "free connections on the source",
    "free connections on the target",
    "disk space on the target",
    "long transactions on the source",
    "locks on both sides",
    "room for locks on the source",
    "room for locks on the target",
    "rows of the target that would be deleted",
    "replication of both sides",
    "primary keys of the source",
    "event triggers in the target",
    "not copied",
    "structure of the target",
}


def findings(*, workers: int = 2, threshold: int = 1_000_000, create_roles: bool = False) -> list[Finding]:
    """Everything that preflight says of the databases that the environment names."""
    options = MigrationResource(workers=workers, partition_threshold=threshold, create_roles=create_roles).options()
    run = MigrationRun("preflight", options, lambda: environment.pair().migration(options))
    try:
        return [*look_at_notifications(), *look(run)]
    finally:
        run.close()


def the(found: Sequence[Finding], severity: Severity) -> Finding:
    """The one finding of a severity."""
    (one,) = (finding for finding in found if finding.severity is severity)
    return one


@contextmanager
def session(url: str, *statements: str) -> Iterator[None]:
    """A transaction that has run some statements and stays open."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        yield
    finally:
        connection.close()


def cells(line: str) -> list[str]:
    """Of one line of a table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_job_tells_everything_and_writes_nothing(idle_shop: Platform) -> None:
    before = idle_shop.target.dump()
    done = idle_shop.run(idle_shop.definitions.resolve_job_def("preflight"), {})
    assert done.success
    assert idle_shop.target.dump() == before
    table = done.log[-1]
    assert {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")} - {"check"} == CHECKS
    assert "PostgreSQL 16 to 18" in table
    assert "ERROR" not in table
    (output,) = (e for e in done.result.all_events if e.is_successful_output)
    page = shown(output.step_output_data.metadata["preflight"])
    assert [cells(line) for line in page.splitlines()[2:]] == [cells(line) for line in table.strip().splitlines()[2:]]


def test_the_job_fails_with_all_errors_at_once(shop: Platform, clerk: Role) -> None:
    shop.source.psql(f"CREATE ROLE boss; ALTER TABLE orders OWNER TO boss; ALTER TABLE customers OWNER TO {clerk.name}")
    shop.target.psql("CREATE TABLE orders (id integer)")
    shop.set(TARGET_URL=clerk.url(shop.target))
    try:
        before = shop.target.dump()
        done = shop.run(shop.definitions.resolve_job_def("preflight"), {"workers": 0})
        assert not done.success
        assert shop.target.dump() == before
        message = done.failures["preflight_checks"]
        for reason in (
            "workers is 0, but must be at least 1",
            "role clerk may not create tables in schema public",
            "role clerk may not create the bookkeeping schema _pg_migration",
            "name roles that the target does not have: boss",
            "role clerk does not own tables that are there and would be filled again: public.orders (of postgres)",
        ):
            assert reason in message
        assert clerk.password not in done.stored
    finally:
        shop.source.psql("DROP OWNED BY boss CASCADE; DROP ROLE boss")


def test_both_servers_are_tried(idle_shop: Platform) -> None:
    down = "postgresql://ann:sesame@127.0.0.1:1/shop"
    idle_shop.set(SOURCE_URL=down, TARGET_URL=down)
    errors = [f for f in findings() if f.severity is Severity.ERROR]
    assert [f.check for f in errors] == ["source", "target"]
    assert all("can't connect to the" in f.verdict and "sesame" not in str(f) for f in errors)


def test_a_migration_stops_with_all_errors_and_notes_the_warnings(shop: Platform, clerk: Role) -> None:
    shop.source.psql("CREATE ROLE boss; CREATE ROLE peon; ALTER TABLE orders OWNER TO boss")
    shop.target.psql(f"""
        CREATE ROLE peon; CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION f(); ALTER EVENT TRIGGER watch ENABLE ALWAYS;
        GRANT ALL ON SCHEMA public TO {clerk.name}
    """)
    try:
        shop.set(TARGET_URL=clerk.url(shop.target))
        shop.target.psql(f'GRANT CREATE ON DATABASE "{shop.target.psql("SELECT current_database()")}" TO {clerk.name}')
        (message,) = shop.migrate_directly(create_roles=True).failures
        assert "2 things stand in the way; nothing was changed" in message
        assert "role clerk of the target may not create roles, as create_roles asks for: boss" in message
        assert "role clerk of the target may not act for postgres, as it has to for owner of table" in message
        shop.set(TARGET_URL=shop.target.url)
        done = shop.migrate(create_roles=True)
        assert done.success
        assert "- event triggers in the target" not in done.log[-1]  # a superuser disables it meanwhile
        assert "| event triggers " in done.metadata("source_schema")["preflight"]
        assert shop.target.psql("SELECT evtenabled FROM pg_event_trigger") == "A"
    finally:
        shop.target.psql("DROP EVENT TRIGGER watch; DROP OWNED BY boss, peon CASCADE; DROP ROLE IF EXISTS boss, peon")
        shop.source.psql("DROP OWNED BY boss CASCADE; DROP ROLE boss, peon")


def test_large_tables_without_a_primary_key(shop: Platform) -> None:
    shop.source.psql("ALTER TABLE orders DROP CONSTRAINT orders_pkey; CREATE TABLE notes (n text); ANALYZE")
    assert "none in public.notes, public.orders" in str(
        next(f for f in findings() if f.check == "primary keys of the source")
    )
    found = the(findings(threshold=100), Severity.WARNING)
    assert found.verdict.endswith("can't be reloaded in parts: public.orders")


def test_what_the_target_would_lose(shop: Platform) -> None:
    shop.source.psql("CREATE VIEW once AS SELECT 1 AS a")
    assert shop.migrate_directly().succeeded
    shop.target.psql("CREATE INDEX mine ON orders (customer)")
    shop.source.psql("DROP VIEW once")
    assert "would be dropped in the target: view public.once, which" in the(findings(), Severity.WARNING).verdict


@pytest.mark.usefixtures("idle_shop")
def test_notifications_that_can_not_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_MIGRATION_SMTP_HOST", "mail.example.org")
    assert "PG_MIGRATION_MAIL_FROM and PG_MIGRATION_MAIL_TO" in the(findings(), Severity.WARNING).verdict


@pytest.mark.usefixtures("idle_shop")
def test_too_few_connections() -> None:
    found = [f for f in findings(workers=1000) if f.severity is Severity.WARNING]
    assert [f.check for f in found] == ["free connections on both sides"]
    assert "1003 are wanted: fewer workers will copy" in found[0].verdict


def test_space_on_the_target(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    (seen,) = (f for f in findings() if f.check == "disk space on the target")
    folder = shop.target.psql("SHOW data_directory")
    assert seen.severity is Severity.PASSED
    assert seen.verdict.endswith(f"are free in {folder}")
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(100))
    assert "100 B are free in" in the(findings(), Severity.WARNING).verdict


def test_space_that_can_not_be_seen(idle_shop: Platform, clerk: Role) -> None:
    idle_shop.set(TARGET_URL=clerk.url(idle_shop.target))
    (unseen,) = (f for f in findings() if f.check == "disk space on the target")
    assert unseen.severity is Severity.PASSED
    assert "can't be seen from here" in unseen.verdict


def test_sessions_that_are_in_the_way(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "LONG_LOCK_SECONDS", -60)
    monkeypatch.setattr("pg_migration.postgres.migration.prerequisites.LOCK_TIMEOUT", "50ms")
    shop.target.psql("CREATE TABLE orders AS SELECT 1 AS id")
    with (
        session(shop.source.url, "LOCK TABLE orders"),
        session(shop.target.url, "SELECT count(*) FROM orders"),
    ):
        found = findings()
    locked = [f.verdict for f in found if f.check.startswith("locks on")]
    assert [("on the source" in v, "on the target" in v) for v in locked] == [(True, False), (False, True)]
    assert all("has locks on public.orders: the migration waits" in verdict for verdict in locked)
    assert "canceling statement due to lock timeout" in the(found, Severity.ERROR).verdict


def test_a_transaction_that_is_open_for_long(idle_shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "LONG_TRANSACTION_SECONDS", -60)
    with session(idle_shop.source.url, "SELECT count(*) FROM orders"):
        found = the(findings(), Severity.WARNING)
    assert found.check == "long transactions on the source"
    assert "pg_terminate_backend(" in found.advice


def test_a_slot_that_nobody_reads(idle_shop: Platform) -> None:
    idle_shop.target.psql("SELECT pg_create_physical_replication_slot('idle', true)")
    try:
        found = the(findings(), Severity.WARNING)
    finally:
        idle_shop.target.psql("SELECT pg_drop_replication_slot('idle')")
    assert "nobody reads replication slot idle of the target" in found.verdict
    assert "pg_drop_replication_slot('idle')" in found.advice


@pytest.mark.parametrize(
    ("options", "check", "said"),
    [
        ("ENCODING LATIN1 LOCALE 'C'", "encodings", "UTF8 to LATIN1: text that is not valid in LATIN1"),
        ("ENCODING SQL_ASCII LOCALE 'C'", "encodings", "the target does not know what its bytes mean"),
        (
            "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
            "collations of the databases",
            "by C (libc) in the source and by C.UTF-8",
        ),
    ],
    ids=["latin1", "sql_ascii", "builtin"],
)
def test_a_target_with_another_encoding_or_locale(idle_shop: Platform, options: str, check: str, said: str) -> None:
    other = idle_shop.target.server.create_database(options=options)
    try:
        idle_shop.set(TARGET_URL=other)
        found = the(findings(), Severity.WARNING)
    finally:
        idle_shop.target.server.drop_database(other)
    assert (found.check, said in found.verdict) == (check, True)


def test_a_target_without_libxml(idle_shop: Platform) -> None:
    idle_shop.source.psql(
        "CREATE DOMAIN page AS xml; CREATE TABLE pages (id int, p page, q xml[]); CREATE TABLE xml (a int)"
    )
    try:
        found = the(findings(), Severity.WARNING)
    finally:
        idle_shop.source.psql("DROP TABLE pages, xml; DROP DOMAIN page")
    assert found.check == "features of the target's version"
    assert "without libxml. Rows with a value in public.pages.p, public.pages.q make the copy" in found.verdict


def test_an_older_target(
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    source_db: str,
    target_db: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """From 18 to 16: that it is older is a warning, what it lacks is an error."""
    for platform in serve(Database(postgres18, target_db), Database(postgres16, source_db), monkeypatch, tmp_path):
        platform.source.psql('CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a), c text COLLATE "pg_c_utf8")')
        found = {(f.check, f.severity): str(f) for f in findings()}
    assert "the target is older" in found["server versions", Severity.WARNING]
    assert "virtual generated column" in found["features of the target's version", Severity.ERROR]
    assert "pg_c_utf8. Install these locales" in found["collations of columns in the target", Severity.ERROR]


def test_extensions_and_library_versions(
    postgres15: PostgresServer,
    postgres18: PostgresServer,
    target_db: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """From a server with contrib and ICU to a newer one without."""
    url = postgres15.create_database(options="ENCODING UTF8 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'")
    for platform in serve(Database(postgres15, url), Database(postgres18, target_db), monkeypatch, tmp_path):
        platform.source.psql("""
            CREATE EXTENSION hstore; CREATE TABLE t (h hstore, s text COLLATE "de-x-icu");
            CREATE COLLATION mine (PROVIDER = icu, LOCALE = 'de'); CREATE TABLE p (a int, b int);
            CREATE TABLE c (b int GENERATED ALWAYS AS (a * 2) STORED) INHERITS (p);
            UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'de-x-icu';
            UPDATE pg_database SET datcollversion = '2.0' WHERE datname = current_database()
        """)
        found = findings()
        platform.source.psql("DROP TABLE t, c, p; DROP COLLATION mine")
    postgres15.drop_database(url)
    errors = {f.check: f.verdict for f in found if f.severity is Severity.ERROR}
    assert errors["extensions in the target"] == "the target's server does not have extension hstore"
    assert "de-x-icu" in errors["collations of columns in the target"]
    features = [f.verdict for f in found if f.check.startswith("features") and f.severity is Severity.ERROR]
    assert "without ICU, by which these sort: collation public.mine" in features[0]
    assert features[1].endswith("below others:\n  - public.c.b: not generated in public.p")
    outdated = [str(f) for f in found if f.check == "collation versions"]
    assert "of version 2.0 when indexes were built" in outdated[0]
    assert 'ALTER COLLATION pg_catalog."de-x-icu" REFRESH VERSION;' in outdated[1]


def test_extensions_that_somebody_has_to_see_to(
    postgres15: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that only a superuser may make (bloom), and one of an older version."""
    source, target = (Database(postgres15, postgres15.create_database()) for _ in range(2))
    source.psql("""
        CREATE EXTENSION bloom; CREATE EXTENSION hstore; CREATE TABLE t (h hstore, n int);
        CREATE INDEX ON t USING bloom (n)
    """)
    clerk = Role("clerk", "sesame")
    target.psql(f"""
        CREATE EXTENSION hstore VERSION '1.4'; CREATE ROLE {clerk.name} LOGIN PASSWORD '{clerk.password}'
    """)
    for platform in serve(source, target, monkeypatch, tmp_path):
        platform.set(TARGET_URL=clerk.url(target))
        told = sorted(str(found) for found in findings() if found.check == "extensions in the target")
    target.psql(f"DROP ROLE {clerk.name}")
    for end in (source, target):
        postgres15.drop_database(end.url)
    assert len(told) == 2
    assert told[0].startswith("extension hstore is 1.8 in the source and 1.4 in the target.")
    assert 'ALTER EXTENSION "hstore" UPDATE;' in told[0]
    assert told[1].startswith("only a superuser may create extension bloom in the target.")


@pytest.mark.parametrize(
    ("source", "target", "severity"),
    [
        (120000, 190000, Severity.PASSED),
        (160014, 160002, Severity.PASSED),
        (160014, 150000, Severity.WARNING),
        (190000, 200000, Severity.WARNING),
        (110022, 160000, Severity.ERROR),
    ],
)
def test_versions(source: int, target: int, severity: Severity) -> None:
    assert servers.versions(source, target).severity is severity


def test_a_target_is_older_before_it_is_not_tested() -> None:
    assert "the target is older" in servers.versions(210000, 200000).verdict


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [("1.8", "1.10", True), ("1.10", "1.8", False), ("3.4.1", "3.4.1", False), ("1.0", "2.0dev", False)],
)
def test_versions_of_extensions(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older


@pytest.mark.usefixtures("idle_shop")
def test_two_servers_with_nothing_to_mend() -> None:
    assert {f.severity for f in findings()} == {Severity.PASSED}


@pytest.mark.parametrize("powerless", [("SOURCE",), ("TARGET",), ("SOURCE", "TARGET")], ids=" and ".join)
def test_a_role_that_may_nothing_is_told_so_in_every_line(
    shop: Platform, clerk: Role, powerless: Sequence[str]
) -> None:
    ends = {"SOURCE": shop.source, "TARGET": shop.target}
    for end in powerless:
        ends[end].psql(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC;"
            "DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());"
            f"EXECUTE format('GRANT CONNECT ON DATABASE %I TO {clerk.name}', current_database()); END $$"
        )
    shop.set(**{f"{end}_URL": clerk.url(ends[end]) for end in powerless})
    found = findings()
    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    if "SOURCE" in powerless:  # of a source that can't be read nothing more can be told
        assert {finding.check for finding in found} < CHECKS
        assert found[-1] in errors
        assert "may not read 2 table(s): public.customers, public.orders. Grant it SELECT" in found[-1].verdict
    else:
        assert {finding.check for finding in found} == CHECKS
    # A server's bare refusal would say neither what was looked at nor what to do.
    assert not [str(finding) for finding in errors if "permission denied" in finding.verdict]


@pytest.mark.longer
def test_a_look_at_a_table_that_somebody_locks_comes_to_an_end(
    idle_shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prerequisites, "LOCK_TIMEOUT", "2s")
    monkeypatch.setattr(lock_waits, "LOOK_SECONDS", 0.05)
    with session(idle_shop.source.url, "LOCK TABLE orders"):
        told = "\n".join(str(finding) for finding in findings() if finding.severity is Severity.ERROR)
    assert "lock timeout" in told
    assert "orders" in told
