"""The benchmark runs every method on a little data, and writes its table and its picture."""

import subprocess
import sys
from pathlib import Path

import pytest

from pg_migration.benchmark.measuring import Cost, Failed, measure
from pg_migration.benchmark.methods import METHODS
from pg_migration.benchmark.report import Result, markdown

WITHOUT_EXTRAS = [name for name in METHODS if name != "pgcopydb"]


def test_a_little_by_every_method(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    chosen = ["toast", "indexed"]  # each more takes ten seconds
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pg_migration.benchmark", "--scale", "0.0005", "--output", str(tmp_path)),
            *("--datasets", *chosen, "--methods", *WITHOUT_EXTRAS),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "benchmark.md").read_text()
    for name in chosen:
        assert table.count(f"| {name} |") == len(WITHOUT_EXTRAS)
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_cost_of_a_program(tmp_path: Path) -> None:
    cost = measure("sleep 0.2; python3 -c 'x = bytearray(200_000_000)'", {"PATH": "/usr/bin:/bin"}, tmp_path / "log")
    assert 0.2 < cost.wall < 20
    assert 0 < cost.cpu < cost.wall
    assert cost.memory > 200_000_000
    with pytest.raises(Failed, match="ended with 3:\nno such luck"):
        measure("echo no such luck; false | exit 3", {"PATH": "/usr/bin:/bin"}, tmp_path / "log")


def test_ratios_leave_out_the_start() -> None:
    results = [
        Result("narrow", "pg_migration", Cost(10.0, 5.0, 2**20), 8.0),
        Result("narrow", "pg_dump | psql", Cost(16.0, 1.0, 2**20), 16.0),
    ]
    assert markdown(results, "On a machine.").splitlines()[-2:] == [
        "| narrow | pg_migration | 10.0 | 8.0 |  | 5.0 | 1 |",
        r"| narrow | pg_dump \| psql | 16.0 | 16.0 | 0.50 | 1.0 | 1 |",
    ]
