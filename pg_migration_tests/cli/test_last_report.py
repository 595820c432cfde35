"""`pg_migration report` on an instance where several pairs of databases are migrated."""

from dataclasses import replace

from pg_migration_tests.cli.conftest import Terminal
from pg_migration_tests.orchestration.conftest import SHOP
from pg_migration_tests.orchestration.harness import Database


def test_the_last_run_is_that_of_this_pair(terminal: Terminal) -> None:
    server = terminal.source.server
    other = replace(terminal, source=Database(server, server.create_database()))
    other.source.psql(SHOP)
    try:
        assert terminal.command("plan").status == 0
        assert other.command("plan").status == 0
        name, others = (end.source.url.rpartition("/")[2] for end in (terminal, other))
        mine = terminal.command("report").output.splitlines()
        assert mine[0].startswith("report of plan, from ")
        assert name in mine[0]
        assert "ANOTHER PAIR" not in mine[1]
        assert others in other.command("report").output.splitlines()[0]
        third = terminal.command("report", PG_MIGRATION_SOURCE_URL="postgresql://u@nowhere.invalid/third")
        first, second, *_ = third.output.splitlines()
        assert others in first, "of that pair nothing ever ran, so it is the last of any"
        assert second.startswith(
            "That is ANOTHER PAIR than the environment names, which is from postgresql://u@nowhere"
        )
        told = terminal.command("report", "--json", PG_MIGRATION_SOURCE_URL="postgresql://u@nowhere.invalid/third")
        assert "ANOTHER PAIR" in told.errors
        assert told.output.startswith("{")
    finally:
        server.drop_database(other.source.url)
