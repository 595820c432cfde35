"""Masks by way of the command and Dagster: nothing of a person in any file that a run leaves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pg_migration_tests.cli.conftest import Ended, Terminal
from pg_migration_tests.postgres.transform.harness import BEFORE, KEY, MASKS, SHOP, Shop


@pytest.mark.system
def test_no_file_of_a_run_holds_a_personal_value(terminal: Terminal, tmp_path: Path) -> None:
    """Reports, logs, the events of Dagster: also of runs that name rows which differ, and that fail at the source."""
    source, target = terminal.source, terminal.target
    source.psql("DROP TABLE orders, customers;" + BEFORE + SHOP)
    shop = Shop(source.server, target.server, (source.url, target.url))
    values = shop.personal_values()
    file = tmp_path / "transform.yaml"

    def command(*arguments: str, document: object = MASKS) -> Ended:
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        variables = {"PG_MIGRATION_TRANSFORM": str(file), "MASK_KEY": KEY, "PG_MIGRATION_REPORTS": ""}
        return terminal.command(*arguments, **variables)

    planned = command("plan")
    assert planned.status == 0, planned.output
    assert "public.users: id masked by permute, email masked by email" in planned.output
    assert "public.sessions: no rows" in planned.output
    copied = command("run", "--json")
    assert copied.status == 0, copied.errors
    report = json.loads(copied.output)
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["personal_data"]["passed"]
    found = {seen["object"]: seen["what"] for seen in checks["masked_columns"]["findings"]}
    assert found["public.users.email"] == "email: 0 % NULL, 250 different values, as before"
    assert found["public.users.referrer"] == "permute: 0.4 % NULL, 249 different values, as before"
    assert found["public.users.card"] == ("null: 0 % NULL and 250 different values before, 100 % NULL and 0 after")
    told = {check["verdict"] for check in report["checks"]}
    assert "the same rows on both sides, 9 columns masked" in told
    assert f"{250:,} rows on both sides, 9 columns masked" in told
    target.psql("UPDATE users SET phone = '1' WHERE id = (SELECT min(id) FROM users)")
    assert command("validate").status == 1
    source.psql("UPDATE users SET card = card || ' x' WHERE id = 250")
    failing = {
        **MASKS,
        "tables": {**MASKS["tables"], "public.users": {"mask": {"card": "sql: right(card, 1)::int::text"}}},
    }
    refused = command("run", document=failing)
    assert refused.status == 1
    assert "InvalidTextRepresentation (SQLSTATE 22P02)" in refused.output + refused.errors
    files = [path for path in terminal.home.rglob("*") if path.is_file()]
    contents = (
        b"".join(path.read_bytes() for path in files) + (copied.output + refused.output + refused.errors).encode()
    )
    assert any(path.name == "report.json" for path in files)
    assert any(path.suffix == ".db" for path in files)
    assert [value for value in values if value.encode() in contents] == []
    assert KEY.encode() not in contents


def test_a_file_that_can_not_be_read_stops_a_run_and_loads_all_the_same(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "transform.yaml"
    file.write_text("tables: {public.orders: {where: x, where: y}}")
    ended = replace(terminal).command("run", PG_MIGRATION_TRANSFORM=str(file))
    assert ended.status != 0
    assert "can't be read: line 1: where is there twice" in ended.output + ended.errors
    assert terminal.target.psql("SELECT count(*) FROM pg_class WHERE relname = 'orders'") == "0"


def test_a_transform_is_suggested(terminal: Terminal, tmp_path: Path) -> None:
    terminal.source.psql("ALTER TABLE customers ADD COLUMN email text")
    file = tmp_path / "suggested.yaml"
    assert terminal.command("suggest-masks", "--output", str(file)).status == 0
    assert yaml.safe_load(file.read_text())["tables"] == {
        "public.customers": {"mask": {"name": "hash", "email": "email"}},
    }
    again = terminal.command("suggest-masks", "--output", str(file))
    assert again.status == 2
    assert "can't be written: File exists" in again.errors
