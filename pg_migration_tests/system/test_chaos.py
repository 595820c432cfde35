"""The program that lets accidents happen tells what became of one; `make chaos` lets all happen, to more rows."""

import sys
import tempfile
from pathlib import Path

import pytest

from pg_migration.devtools.chaos.__main__ import main
from pg_migration_tests.conftest import TEMPORARY
from pg_migration_tests.programs import PYTHON

pytestmark = pytest.mark.system

ACCIDENT = "kill -9 during the copy"


@pytest.mark.longer
def test_an_accident(programs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(TEMPORARY))
    monkeypatch.setattr(sys, "executable", str(programs / PYTHON))
    monkeypatch.setattr(sys, "argv", ["chaos", "--kills", "0", "--seed", "1", "--scale", "0.05", "--only", ACCIDENT])
    monkeypatch.setenv("PG_MIGRATION_REPORTS", "off")
    status = main()
    output, errors = capfd.readouterr()
    assert status == 0, output + errors
    assert "seed 1\n" in output
    (row,) = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("|")][2:]
    assert row[0] == ACCIDENT
    assert row[1] != "0"
    assert (row[2], row[-1]) == ("0", "well")
    assert "1 of 1 accidents survived" in output
