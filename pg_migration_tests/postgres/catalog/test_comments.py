"""Comments that PostgreSQL leaves behind."""

from contextlib import closing

import psycopg2

from pg_migration.postgres.catalog.reading.catalog_session import catalog_session
from pg_migration_tests.conftest import PostgresServer


def subscription(name: str) -> str:
    return (
        f"CREATE SUBSCRIPTION {name} CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false);"
        f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE); COMMENT ON SUBSCRIPTION {name} IS 'of {name}';"
    )


def test_the_comment_of_a_subscription_that_is_gone(postgres16: PostgresServer, source_db: str) -> None:
    """Before 14 a server says nothing of any comment when it is asked what this one is of."""
    for name in ("here", "gone"):
        postgres16.psql(source_db, subscription(name))
    postgres16.psql(source_db, "DROP SUBSCRIPTION gone")
    try:
        assert postgres16.psql(source_db, "SELECT count(*) FROM pg_description WHERE description = 'of gone'") == "1\n"
        with closing(psycopg2.connect(source_db)) as connection:
            connection.autocommit = True
            with catalog_session(connection, {"public": "public"}) as session:
                rows = session.read("comments")["comments"]
        assert [row["name"] for row in rows] == ['subscription "here"']
    finally:
        postgres16.psql(source_db, "DROP SUBSCRIPTION here")
