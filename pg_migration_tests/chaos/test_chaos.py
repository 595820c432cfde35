"""The program that lets accidents happen tells what became of each."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("accident", ["sessions on the target terminated", "kill -9 during foreign keys"])
def test_an_accident(accident: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pg_migration.chaos", "--kills", "0", "--only", accident, "--seed", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 1\n" in done.stdout
    assert f"{accident}: exit status" in done.stdout
    assert "1 of 1 accidents survived" in done.stdout
