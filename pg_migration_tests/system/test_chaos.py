"""The program that lets accidents happen tells what became of one; `make chaos` lets all happen, to more rows."""

import os
import subprocess
import sys

import pytest

from pg_migration_tests.conftest import TEMPORARY

pytestmark = pytest.mark.system

ACCIDENT = "kill -9 during the copy"


def test_an_accident() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pg_migration.devtools.chaos", "--kills", "0", "--seed", "1"),
            *("--scale", "0.1", "--only", ACCIDENT),
        ],
        env={**os.environ, "TMPDIR": str(TEMPORARY), "PG_MIGRATION_REPORTS": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 1\n" in done.stdout
    (row,) = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert row[0] == ACCIDENT
    assert row[1] != "0"
    assert (row[2], row[-1]) == ("0", "well")
    assert "1 of 1 accidents survived" in done.stdout
