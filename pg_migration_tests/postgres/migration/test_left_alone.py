"""What the source has dropped and a migration never drops, as others may use it, is named."""

from pg_migration.postgres.migration import Migration, migrate
from pg_migration_tests.conftest import PostgresServer

MADE = """
    CREATE SCHEMA lost; CREATE TABLE lost.t (id int);
    CREATE EXTENSION hstore; CREATE TABLE uses_it (h hstore);
"""
DROPPED = "DROP SCHEMA lost CASCADE; DROP TABLE IF EXISTS uses_it; DROP EXTENSION hstore;"


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
