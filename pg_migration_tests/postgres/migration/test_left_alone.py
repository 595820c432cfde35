"""What the source has dropped and others may use, and what others made, is left alone in the target and named."""

import pytest

from pg_migration.postgres.migration import Migration, Options, compare, migrate
from pg_migration_tests.conftest import PostgresServer

MADE = """
    CREATE SCHEMA lost; CREATE TABLE lost.t (id int);
    CREATE EXTENSION hstore; CREATE TABLE uses_it (h hstore);
"""
DROPPED = "DROP SCHEMA lost CASCADE; DROP TABLE IF EXISTS uses_it; DROP EXTENSION hstore;"


@pytest.mark.longer
def test_named_as_long_as_it_is_there(postgres15: PostgresServer) -> None:
    source, target = postgres15.create_database(), postgres15.create_database()
    postgres15.psql(source, f"CREATE TABLE stays (id int); {MADE}")

    def notes() -> list[str]:
        done = migrate(Migration.between(source, target, schemas="*"))
        assert done.failures == ()
        return [note for note in done.notes if note.startswith("left alone in the target")]

    assert notes() == []
    postgres15.psql(source, DROPPED)
    for _ in range(2):
        (note,) = notes()
        assert note.endswith("only you can drop it: schema lost, extension hstore")
    postgres15.psql(target, DROPPED)
    assert notes() == []
    for url in (source, target):
        postgres15.drop_database(url)


def test_a_table_of_somebody_else_that_the_role_may_not_read(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> None:
    postgres16.psql(source_db, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    postgres18.psql(
        target_db,
        "CREATE ROLE brings LOGIN PASSWORD 'x'; GRANT CREATE ON SCHEMA public TO brings;"
        f'GRANT CREATE ON DATABASE "{target_db.rpartition("/")[2]}" TO brings;'
        "CREATE TABLE private (id int); INSERT INTO private VALUES (7)",
    )
    url = "postgresql://brings:x@" + target_db.rpartition("@")[2]
    try:
        for _ in range(2):
            done = migrate(Migration.between(source_db, url, options=Options(owners=False, privileges=False)))
            assert done.failures == ()
            assert done.notes == (
                "left alone in the target, since it never came from this source: table public.private",
            )
        assert postgres18.psql(target_db, "SELECT id FROM private").strip() == "7"
        found = compare(Migration.between(source_db, url, options=Options(owners=False, privileges=False)))
        assert [(d.identity, d.stays) for d in found] == [("table public.private", True)]
    finally:
        postgres18.psql(target_db, "DROP OWNED BY brings CASCADE; DROP ROLE brings")
