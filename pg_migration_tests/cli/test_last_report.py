"""`pg_migration report` on an instance where several pairs of databases are migrated."""

from dataclasses import replace

import pytest

from pg_migration_tests.cli.conftest import Terminal
from pg_migration_tests.conftest import SHOP
from pg_migration_tests.orchestration.harness import Database


@pytest.mark.longer
def test_the_last_run_is_that_of_this_pair(terminal: Terminal) -> None:
    server = terminal.source.server
    other = replace(terminal, source=Database(server, server.create_database()))
    other.source.psql(SHOP)
    try:
        assert terminal.command("plan").status == 0
        assert other.command("plan").status == 0
        name, others = (end.source.url.rpartition("/")[2] for end in (terminal, other))
        mine = terminal.command("report")
        first, source, *_ = mine.output.splitlines()
        assert first.startswith("plan succeeded")
        assert f"/{name} (" in source
        assert mine.errors == ""
        assert f"/{others} (" in other.command("report").output.splitlines()[1]
        third = terminal.command("report", "--json", PG_MIGRATION_SOURCE_URL="postgresql://u@nowhere.invalid/third")
        assert third.errors.startswith("This report is of ANOTHER PAIR, from postgresql://")
        assert others in third.errors, "of that pair nothing ever ran, so it is the last of any"
        assert "names one from postgresql://u@nowhere.invalid/third to" in third.errors
        assert third.output.startswith("{")
    finally:
        server.drop_database(other.source.url)
