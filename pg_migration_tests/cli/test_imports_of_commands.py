"""What commands import, and what they do not: that is most of what it takes to start them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pg_migration_tests.conftest import SHOP, PostgresServer

PROGRAM = """
import sys
from pg_migration.cli import main
sys.argv = ["pg_migration", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    status = ended.code
sys.stderr.write("\\n".join(["", f"status {status or 0}", *sys.modules]))
"""

# What no migration needs.
NEVER = {
    *("matplotlib", "numpy", "pandas", "polars", "requests", "slack_sdk", "graphql", "starlette"),
    *("dagster_graphql", "dagster_webserver", "dagster._cli", "dagster._daemon.cli", "grpc"),
}
DAGSTER = {"alembic", "dagster", "dagster_postgres", "dagster_shared", "jinja2", "sqlalchemy", "yaml"}


def imported(arguments: list[str], environment: Mapping[str, str]) -> set[str]:
    """The modules that a command has imported when it ends well."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    ended = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    _, _, told = ended.stderr.rpartition("\nstatus ")
    status, *modules = told.split("\n")
    assert status == "0", ended.stderr
    return set(modules)


@pytest.fixture
def environment(
    postgres16: PostgresServer, postgres18: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, str]:
    source, target = postgres16.create_database(), postgres18.create_database()
    postgres16.psql(source, SHOP)
    monkeypatch.chdir(tmp_path)
    known = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "PG_MIGRATION_"))}
    places = {"PG_MIGRATION_SOURCE_URL": source, "PG_MIGRATION_TARGET_URL": target, "DAGSTER_HOME": str(tmp_path)}
    return {**known, **places}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        *(
            pytest.param([command, "--help"], marks=pytest.mark.longer)
            for command in ("validate", "compare", "status", "ui")
        ),
    ],
    ids=" ".join,
)
def test_help_needs_no_dagster(arguments: list[str], environment: Mapping[str, str]) -> None:
    found = imported(arguments, environment)
    assert found & (NEVER | DAGSTER - ({"yaml"} if arguments[0] in ("run", "validate") else set())) == set()


@pytest.mark.longer
def test_a_run_imports_nothing_that_it_has_no_use_for(environment: Mapping[str, str]) -> None:
    """Then what looks at it, which needs no Dagster."""
    assert imported(["run"], environment) & NEVER == set()
    for arguments in (["status"], ["status", "--json"]):
        assert imported(arguments, environment) & (NEVER | DAGSTER) == set()
