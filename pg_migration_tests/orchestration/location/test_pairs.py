"""Pairs of databases: what their definitions are called, and what can't be a pair."""

import json
from pathlib import Path

import pytest

from pg_migration.orchestration import environment
from pg_migration.orchestration.build import build
from pg_migration.orchestration.location.code_location import Location
from pg_migration_tests.orchestration.location.described import SCHEMAS, TABLES, described

NAMES_OF_ONE_PAIR = Path(__file__).with_name("names_of_one_pair.json")


@pytest.fixture
def urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", "postgresql://reader@old/shop")
    monkeypatch.setenv("PG_MIGRATION_TARGET_URL", "postgresql://mig@new/shop")


@pytest.mark.usefixtures("urls")
def test_names_of_the_pair_from_the_environment_stay_what_they_are() -> None:
    """People have them in run configuration, in scripts, in other projects and in Dagster's records."""
    found = described(build(Location(environment.pair(), SCHEMAS, TABLES)))
    assert found == json.loads(NAMES_OF_ONE_PAIR.read_text(encoding="utf-8"))
