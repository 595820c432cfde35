"""``python -m pg_migration.compare``."""

import subprocess
import sys

import pytest

from pg_migration import compare
from pg_migration_tests.postgres.ddl.round_trip import Pair, migrate

DDL = "CREATE TABLE t (a int PRIMARY KEY, b text DEFAULT 'x' CHECK (b <> '')); CREATE VIEW v AS SELECT a FROM t;"


@pytest.fixture
def migrated(upgrade: Pair, monkeypatch: pytest.MonkeyPatch) -> Pair:
    upgrade.load(DDL)
    assert migrate(upgrade).failures == []
    monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", upgrade.source_url)
    monkeypatch.setenv("PG_MIGRATION_TARGET_URL", upgrade.target_url)
    monkeypatch.delenv("PG_MIGRATION_SOURCE_SCHEMA", raising=False)
    monkeypatch.delenv("PG_MIGRATION_TARGET_SCHEMA", raising=False)
    return upgrade


def test_equal_structures(migrated: Pair) -> None:
    done = subprocess.run([sys.executable, "-m", "pg_migration.compare"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no difference" in done.stdout
    assert migrated.target_url not in done.stdout


def test_differences_are_listed(migrated: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    migrated.prepare(
        "ALTER TABLE t ADD c int; ALTER TABLE t ALTER b SET DEFAULT 'y'; ALTER TABLE t DROP CONSTRAINT t_b_check;"
        "CREATE OR REPLACE VIEW v AS SELECT 1 AS a; CREATE INDEX mine ON t (b); ALTER VIEW v OWNER TO pg_monitor"
    )
    assert compare.main(["--no-owners"]) == 1
    told = capsys.readouterr().out
    for line in (
        "table public.t: column c is in the target only",
        "default b on public.t: defined otherwise",
        "check t_b_check on public.t: missing in the target",
        "view public.v: defined otherwise",
        "index mine on public.t: in the target only",
    ):
        assert line in told
    assert "owner" not in told
    assert compare.main([]) == 1
    assert "owner of view" in capsys.readouterr().out


def test_what_stops_it(migrated: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    migrated.prepare("DROP VIEW v")
    monkeypatch.setenv("PG_MIGRATION_SOURCE_SCHEMA", "absent")
    assert compare.main([]) == 2
    assert "no schema absent" in capsys.readouterr().err
    monkeypatch.delenv("PG_MIGRATION_SOURCE_URL")
    assert compare.main([]) == 2
    assert "PG_MIGRATION_SOURCE_URL is not set" in capsys.readouterr().err
