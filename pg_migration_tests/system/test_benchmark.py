"""The benchmark runs every method on a little data, and writes its table and its picture."""

import shlex
import sys
import tempfile
from pathlib import Path

import pytest

from pg_migration.devtools.benchmark.__main__ import main
from pg_migration.devtools.benchmark.datasets import DATASETS
from pg_migration.devtools.benchmark.measuring import Cost, Failed, measure
from pg_migration.devtools.benchmark.methods import METHODS, Setting
from pg_migration.devtools.benchmark.report import (
    BEGIN,
    END,
    FLOOR,
    OURS,
    Result,
    draw_scaling,
    inserted,
    markdown,
    scaling_markdown,
)
from pg_migration.devtools.servers import embedded
from pg_migration_tests.conftest import TEMPORARY, PostgresServer

pytestmark = pytest.mark.system

OTHERS = [name for name in METHODS if not name.startswith(("pg_migration", "dagster", "pgcopydb"))]
DATASET, DISTANT = "indexed", "wan"


@pytest.mark.longer
def test_a_little_by_every_other_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With programs in a folder that only its owner can enter: root's servers then run a copy, which goes with them."""
    pytest.importorskip("matplotlib")
    bindir = embedded(16).bindir
    wheel = bindir.parents[1]
    tmp_path.chmod(0o700)
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        (tmp_path / part.name).symlink_to(part)
    monkeypatch.setattr(tempfile, "tempdir", str(TEMPORARY))
    docs = tmp_path / "docs" / "figures.md"
    docs.parent.mkdir()
    docs.write_text(f"Before\n{BEGIN}\nold\n{END}\nAfter\n")
    chosen = ["--scale", "0.0005", "--output", str(tmp_path), "--docs", str(docs), "--methods", *OTHERS]
    chosen += ["--datasets", DATASET, DISTANT, "--round-trip", "5"]
    hidden = str(tmp_path / bindir.relative_to(wheel.parent))
    monkeypatch.setattr(sys, "argv", ["benchmark", *chosen, "--bindir", hidden])
    main()
    table = (tmp_path / "benchmark.md").read_text()
    assert table in capsys.readouterr().out
    assert "PostgreSQL 16, source" in table
    assert table.count(f"\n| {DATASET} |") == table.count(f"\n| {DISTANT} |") == len(OTHERS)
    assert "each server is 5 ms away" in table
    assert docs.read_text() == f"Before\n{BEGIN}\n\n{table}\n{END}\nAfter\n"
    assert (docs.parent / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.longer
def test_a_little_by_ours(
    postgres18: PostgresServer,
    source_db: str,
    target_db: str,
    tmp_path: Path,
) -> None:
    """Once: the program starts it several times."""
    postgres18.psql(source_db, DATASETS[DATASET].sql(100))
    setting = Setting(source_db, target_db, (DATASET,), 2, postgres18.bindir, tmp_path)
    variables = {**setting.environment, "PG_MIGRATION_REPORTS": "off"}  # whose pictures take two seconds
    cost = measure(METHODS[OURS](setting), variables, tmp_path / "log", [postgres18.server.pid])
    assert min(cost.servers) > 0
    rows = f"SELECT * FROM {DATASET} ORDER BY id"
    assert postgres18.psql(target_db, rows) == postgres18.psql(source_db, rows) != ""


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "small"])
def test_datasets_have_as_many_rows_as_are_asked_for(postgres18: PostgresServer, source_db: str, name: str) -> None:
    postgres18.psql(source_db, DATASETS[name].sql(200) + "; SELECT pg_stat_force_next_flush()")
    counts = "SELECT count(*), max(n_live_tup) FROM pg_stat_user_tables"
    tables, most = map(int, postgres18.psql(source_db, counts).split("|"))
    assert tables == {"app": 173, "both": 2}.get(name, 1)
    assert most >= 200


def test_cost_of_a_program(tmp_path: Path) -> None:
    cost = measure("sleep 0.2; python3 -c 'x = bytearray(200_000_000)'", {"PATH": "/usr/bin:/bin"}, tmp_path / "log")
    assert cost.wall > 0.2
    assert 0 < cost.cpu < cost.wall
    assert cost.memory > 200_000_000
    assert cost.servers == ()
    with pytest.raises(Failed, match="ended with 3:\nno such luck"):
        measure("echo no such luck; false | exit 3", {"PATH": "/usr/bin:/bin"}, tmp_path / "log")


def test_sessions_that_are_about_to_end_are_in_the_cost(postgres18: PostgresServer, tmp_path: Path) -> None:
    query = "SELECT count(*) FROM generate_series(1, 1000000)"
    command = shlex.join([str(postgres18.bindir / "psql"), "-d", postgres18.url(), "-c", query])
    costs = [measure(command, {}, tmp_path / "log", [postgres18.server.pid]).servers[0] for _ in range(5)]
    assert min(costs) > max(costs) / 5


def result(method: str, wall: float, startup: float, dataset: str = "narrow", tables: int = 1) -> Result:
    """All of a wall time is CPU time, half of it the client's."""
    costs = [Cost(seconds, seconds / 2, (seconds / 8, seconds * 3 / 8), 2**20) for seconds in (wall, startup)]
    return Result(dataset, method, 4_000_000, 2, tables, *costs)


def test_ratios_leave_out_the_start() -> None:
    results = [
        *(result("pg_migration", 10.0, 2.0), result("pg_dump | psql", 16.5, 0.5), result(FLOOR, 5.0, 1.0)),
        *(result("pg_migration", 3.0, 2.0, "wide"), result(FLOOR, 3.0, 1.0, "wide")),
    ]
    lines = markdown(results, "On a machine.").splitlines()
    assert lines[:2] == ["On a machine.", ""]
    assert lines[4:8] == [
        "| method | narrow | wide |",
        "| --- | ---: | ---: |",
        r"| pg_dump \| psql | 0.50, 0.50 |  |",
        r"| floor: psql \| psql | 2.00, 2.00 | 0.50, 0.50 |",
    ]
    assert lines[-5:-2] == [
        "| narrow | pg_migration | 10.0 | 2.0 | 2.00 | 8.0 | 4.0 | 1.0 | 3.0 | 2.00 | 1 |",
        r"| narrow | pg_dump \| psql | 16.5 | 0.5 | 4.00 | 16.0 | 8.0 | 2.0 | 6.0 | 4.00 | 1 |",
        r"| narrow | floor: psql \| psql | 5.0 | 1.0 | 1.00 | 4.0 | 2.0 | 0.5 | 1.5 | 1.00 | 1 |",
    ]


def test_a_document_has_a_place_for_what_was_measured() -> None:
    for document in ("", f"{BEGIN} text", f"{END}{BEGIN}"):
        with pytest.raises(ValueError, match="no place"):
            inserted("new", document)


def test_the_cost_of_a_small_table() -> None:
    results = [result("pg_migration", 14.0, 2.0, "small", 300), result("pgcopydb", 7.0, 1.0, "small", 300)]
    assert markdown(results, "On a machine.").splitlines()[-2:] == [
        "- small, pg_migration: 40 ms a table (40 of CPU time), +20 ms (+20) against pgcopydb",
        "- small, pgcopydb: 20 ms a table (20 of CPU time)",
    ]


def test_scaling_by_workers_and_by_rows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cases = [(1, 4_000_000, 20.0), (2, 4_000_000, 12.0), (2, 8_000_000, 22.0)]
    costs = [Cost(seconds, 4.0, (4.0, 10.0), 2**27) for _, _, seconds in cases]
    start = Cost(2.0, 2.0, (0.0, 0.0), 0)
    results = [
        Result("narrow", "pg_migration", n, jobs, 1, cost, start)
        for (jobs, n, _), cost in zip(cases, costs, strict=True)
    ]
    assert scaling_markdown(results).splitlines()[2:] == [
        "| 4,000,000 | 1 | 20.0 | 18.0 | 4.50 | 4.00 | 128 |",
        "| 4,000,000 | 2 | 12.0 | 10.0 | 2.50 | 4.00 | 128 |",
        "| 8,000,000 | 2 | 22.0 | 20.0 | 2.50 | 2.00 | 128 |",
    ]
    draw_scaling(results, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
