"""What the source has dropped and a migration never drops, as others may use it, is named."""

import pytest

from pg_migration.postgres.migration import Migration, migrate
from pg_migration_tests.conftest import PostgresServer

DROPPED = {
    "a schema": ("CREATE SCHEMA lost; CREATE TABLE lost.t (id int)", "DROP SCHEMA lost CASCADE", "schema lost"),
    "an extension": (
        "CREATE EXTENSION hstore; CREATE TABLE uses_it (h hstore)",
        "DROP TABLE IF EXISTS uses_it; DROP EXTENSION hstore",
        "extension hstore",
    ),
}


@pytest.mark.parametrize("case", DROPPED)
def test_named_as_long_as_it_is_there(postgres15: PostgresServer, case: str) -> None:
    made, dropped, name = DROPPED[case]
    source, target = postgres15.create_database(), postgres15.create_database()
    postgres15.psql(source, f"CREATE TABLE stays (id int); {made}")

    def notes() -> list[str]:
        done = migrate(Migration.between(source, target, schemas="*"))
        assert done.failures == ()
        return [note for note in done.notes if note.startswith("left alone in the target")]

    assert notes() == []
    postgres15.psql(source, dropped)
    for _ in range(2):
        (note,) = notes()
        assert note.endswith(f"only you can drop it: {name}")
    postgres15.psql(target, dropped)
    assert notes() == []
    for url in (source, target):
        postgres15.drop_database(url)
