"""The program that lets accidents happen tells what became of each."""

import os
import subprocess
import sys

import pytest

from pg_migration_tests.conftest import TEMPORARY

pytestmark = pytest.mark.system

ACCIDENTS = ["sessions on the target terminated", "kill -9 during foreign keys"]


def test_accidents() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pg_migration.devtools.chaos", "--kills", "0", "--seed", "1"),
            *(argument for name in ACCIDENTS for argument in ("--only", name)),
        ],
        env={**os.environ, "TMPDIR": str(TEMPORARY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 1\n" in done.stdout
    verdicts = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    assert sorted(row[0] for row in verdicts[2:]) == sorted(ACCIDENTS)
    assert {(row[2], row[-1]) for row in verdicts[2:]} == {("0", "well")}
    assert "2 of 2 accidents survived" in done.stdout
