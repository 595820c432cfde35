"""The component of `dg`: many pairs in one project, loaded from what is known of their sources."""

import asyncio
import json
import re
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
from dagster.components.core.component_tree import ComponentTree
from dagster.components.utils.project_paths import get_defs_module_path_for_project, get_local_state_path

from pg_migration import MigrationComponent, Pair
from pg_migration.orchestration import component
from pg_migration.orchestration.location.code_location import Location
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.project import Project
from pg_migration.postgres.catalog import ListedColumn, TableListing
from pg_migration.postgres.errors import MigrationError
from pg_migration_tests.orchestration.location.described import SCHEMAS, TABLES
from pg_migration_tests.orchestration.location.projects import (
    SHOP_AND_CRM,
    forget_all,
    importable,
    load_project,
    make_project,
)

# What Dagster itself uses, and says of what it has in beta.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`parse_obj_as`"),
    pytest.mark.filterwarnings("ignore:.*(beta|preview|have the same defs state key)"),
]
DOWN = "postgresql://ann:sesame@127.0.0.1:1/shop"
NOWHERE = Pair(name="any", source="A", target="B")
MAX_SECONDS = 10


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, and no connection to anywhere: only what a test allows."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(psycopg2, "connect", refuse)
    folder = tmp_path / "project"
    folder.mkdir()
    get_defs_module_path_for_project.cache_clear()
    with importable(folder):
        yield folder


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("a connection was asked for")


def write_state(folder: Path, name: str, tables: tuple[TableListing, ...], schemas: dict[str, str]) -> None:
    """As `dg utils refresh-defs-state` leaves it."""
    found = Location(NOWHERE, schemas, tables)
    get_local_state_path(f"pg_migration[{name}]", folder).write_text(found.as_json())


def test_two_documents_are_two_pairs(project: Path) -> None:
    make_project(project, SHOP_AND_CRM)
    write_state(project, "shop", TABLES, SCHEMAS)
    definitions = load_project(project)
    keys = {key.to_user_string() for key in definitions.resolve_all_asset_keys()}
    assert {"shop/public/orders", "shop/archive/log", "shop/summary", "crm/summary"} <= keys
    assert not [key for key in keys if key.startswith("crm/public")]  # of which nobody knows any table yet
    repository = definitions.get_repository_def()
    assert {"shop__migrate", "crm__migrate", "shop__validate", "prune_old_runs"} <= set(repository.job_names)
    assert [sensor.name for sensor in repository.sensor_defs].count("failed_runs") == 1
    schedules = {schedule.name: schedule.default_status.value for schedule in repository.schedule_defs}
    assert (schedules["shop__nightly_migrate"], schedules["crm__nightly_migrate"]) == ("RUNNING", "STOPPED")
    spec = definitions.resolve_asset_graph().get(dg.AssetKey(["shop", "public", "orders"]))
    assert list(spec.owners) == ["dba@example.org"]
    told = definitions.resolve_asset_graph().get(dg.AssetKey(["crm", "source_schema"])).description or ""
    assert "dg utils refresh-defs-state" in told


def test_a_source_that_is_down_leaves_the_others_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pair shows what was known last, and why."""
    make_project(project, SHOP_AND_CRM)
    write_state(project, "shop", TABLES, SCHEMAS)
    monkeypatch.undo()
    monkeypatch.setenv("DAGSTER_HOME", str(project))
    monkeypatch.setenv("SHOP_OLD_URL", DOWN)
    (shop,) = (
        found
        for found in ComponentTree.for_project(project).get_all_components(MigrationComponent)
        if found.pair.name == "shop"
    )
    with pytest.raises(MigrationError, match="pair shop: can't connect to the source") as refused:
        asyncio.run(shop.refresh_state(project))  # by `dg utils refresh-defs-state`
    assert "sesame" not in str(refused.value)
    monkeypatch.setenv("DAGSTER_IS_DEV_CLI", "1")
    definitions = load_project(project)  # by `dagster dev`, which asks all
    keys = {key.to_user_string() for key in definitions.resolve_all_asset_keys()}
    assert {"shop/summary", "crm/summary"} <= keys
    graph = definitions.resolve_asset_graph()
    assert "can't connect to the source" in (graph.get(dg.AssetKey(["shop", "source_schema"])).description or "")
    assert "CRM_OLD_URL is not set" in (graph.get(dg.AssetKey(["crm", "source_schema"])).description or "")


def test_all_sources_are_asked_at_once_and_again_when_reloaded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(project, SHOP_AND_CRM)
    monkeypatch.setenv("DAGSTER_IS_DEV_CLI", "1")
    together, asked = threading.Barrier(2, timeout=20), []

    def load(pair: Pair) -> Location:
        together.wait()
        asked.append(pair.name)
        return Location(pair, {"public": pair.name}, TABLES[:1])

    monkeypatch.setattr(component, "load", load)
    for times in (1, 2):
        forget_all()
        keys = {key.to_user_string() for key in load_project(project).resolve_all_asset_keys()}
        assert {"shop/shop/orders", "crm/crm/orders"} <= keys
        assert sorted(asked) == sorted(["shop", "crm"] * times)


@pytest.mark.deployment
def test_forty_pairs_load_in_seconds_without_a_connection(project: Path) -> None:
    names = [f"pair{number:02}" for number in range(40)]
    columns = tuple(ListedColumn(f"column{number}", "integer", number == 0) for number in range(8))
    tables = tuple(
        TableListing("public", f"t{number}", "r", None, columns, (("public", "t0"),) if number % 3 == 1 else ())
        for number in range(50)
    )
    document = "type: pg_migration.MigrationComponent\nattributes: {{name: {0}, source: {0}_OLD, target: {0}_NEW}}\n"
    make_project(project, "---\n".join(map(document.format, names)))
    for name in names:
        write_state(project, name, tables, {"public": "public"})
    begun = time.process_time()  # others work on this machine
    repository = load_project(project).get_repository_def()
    seconds = time.process_time() - begun
    assert len(repository.asset_graph.materializable_asset_keys) == 40 * (50 + 1 + 6)
    assert seconds < MAX_SECONDS


POST_PROCESSING = """post_processing:
  assets:
    - target: "group:shop__public"
      attributes:
        group_name: shop
        tags: {domain: sales}
        automation_condition: "{{ dg.AutomationCondition.on_cron('0 3 * * *') }}"
"""


def test_a_project_gives_the_assets_groups_tags_and_conditions_of_its_own(project: Path) -> None:
    first, end, second = SHOP_AND_CRM.partition("---\n")
    make_project(project, first + POST_PROCESSING + end + second)
    write_state(project, "shop", TABLES, SCHEMAS)
    definitions = load_project(project)
    found = definitions.resolve_asset_graph().get(dg.AssetKey(["shop", "public", "orders"]))
    assert (found.group_name, found.tags["domain"]) == ("shop", "sales")
    assert found.automation_condition is not None
    definitions.get_repository_def().load_all_definitions()


TRANSLATION = """
  translation:
    key: "{{ table.schema }}/{{ spec.key.path[-1] }}"
    key_prefix: [lake, raw]
    group_name: raw_{{ table.schema }}
    tags: {domain: sales, columns: "{{ table.columns | length }}"}
    metadata: {origin: "{{ spec.metadata.source_table }}"}
    description: "{{ table.comment or 'a table' }}"
    kinds: [parquet]
    owners: ["team:{{ table.name.split(' ')[0] }}"]
"""


def test_assets_of_tables_are_what_a_project_calls_them(project: Path) -> None:
    """All that is downstream of them, and their checks, are at their keys; what else a pair has stays."""
    old, end, new = SHOP_AND_CRM.partition("---\n")
    make_project(project, old.rstrip("\n") + TRANSLATION + end + new)
    write_state(project, "shop", TABLES, SCHEMAS)
    definitions = load_project(project)
    graph = definitions.resolve_asset_graph()
    orders, log = dg.AssetKey(["lake", "raw", "public", "orders"]), dg.AssetKey(["lake", "raw", "archive", "log"])
    found = graph.get(orders)
    assert (found.group_name, found.description, found.kinds) == ("raw_public", "What was bought", {"parquet"})
    assert (found.tags["domain"], found.tags["columns"]) == ("sales", "1")
    assert found.owners == ["team:orders"]
    assert graph.get(dg.AssetKey(["shop", "summary"])).owners == ["dba@example.org"]
    assert graph.get(log).metadata["origin"] == "sales.log"
    assert graph.get(log).metadata["dagster/table_name"] == "archive.log"
    assert found.partitions_def == graph.get(orders).partitions_def is not None
    assert found.parent_keys == {dg.AssetKey(["shop", "target_ddl"])}
    assert found.child_keys >= {dg.AssetKey(["shop", "public", "foreign_keys"])}
    assert {key.name for key in found.check_keys} >= {"row_count", "content"}
    assert not [key for key in graph.get_all_asset_keys() if key.path[:2] in (["shop", "public"], ["shop", "archive"])][
        1:
    ]
    definitions.get_repository_def().load_all_definitions()
    on_the_command_line = Project(project, "moves.definitions").pairs()["shop"]
    assert Relations(Location(on_the_command_line, SCHEMAS, TABLES)).keys["archive", "log"] == log


def test_a_template_may_give_all_of_the_translation(project: Path) -> None:
    first, end, second = SHOP_AND_CRM.partition("---\n")
    words = "  translation: \"{{ {'key': 'x/' ~ table.schema ~ '/' ~ spec.key.path[-1], 'group_name': 'x'} }}\"\n"
    make_project(project, first + words + end + second)
    write_state(project, "shop", TABLES, SCHEMAS)
    found = load_project(project).resolve_asset_graph().get(dg.AssetKey(["x", "public", "orders"]))
    assert found.group_name == "x"
    forget_all()
    for wanted, said in [
        ("{'deps': ['x']}", "other deps"),
        ("{'skippable': False}", "other skippable"),
        ("7", "defs.yaml:11:3"),
    ]:
        (project / "moves" / "defs" / "pairs_0" / "defs.yaml").write_text(
            first + f'  translation: "{{{{ {wanted} }}}}"\n'
        )
        assert said in refusal(project)


OWNERS = "  owners: [dba@example.org]"
WRONG: list[tuple[str, str, str]] = [
    # what is replaced in the documents, by what, and what is said
    ("defaults: {workers: 4", "defaults: {workerz: 4", r"attributes\.defaults\.workerz at .*defs\.yaml:8"),
    ("defaults: {workers: 4", "defaults: {workers: many", r"attributes\.defaults\.workers.* at .*defs\.yaml:8"),
    ("defaults: {workers: 4", "defaults: {workers: 0", r"defs\.yaml:8:3: pair shop has defaults .*workers is 0"),
    ("  target: SHOP", "  targett: SHOP", r"attributes\.targett at .*defs\.yaml:5"),
    (
        "source: SHOP_OLD_URL",
        "source: postgresql://ann:sesame@h/d",
        r"defs\.yaml:4:3: the source of pair shop has to be",
    ),
    ("source: SHOP_OLD_URL", "source: host=h password=sesame", r"defs\.yaml:4:3: the source of pair shop has to be"),
    ("name: shop", "name: Shop", r"defs\.yaml:3:3: a pair can't be called 'Shop'"),
    ("name: shop", "name: my__shop", r"defs\.yaml:3:3: a pair can't be called"),
    ("name: shop", "name: ''", r"defs\.yaml:3:3: a pair of a component has to have a name"),
    ("[public, archive]", "[public]", r"defs\.yaml:6:3: pair shop: 2 schemas of the source .* have 1 names"),
    ("schedule: {migrate", "schedule: {migrat", r"attributes\.schedule.* at .*defs\.yaml:9"),
    ("name: crm", "name: shop", r"two pairs are called shop"),
    *(
        (OWNERS, f"{OWNERS}\n  translation: {wanted}", said)
        for wanted, said in [
            ("{keyy: x}", r"attributes\.translation.*keyy.* at .*defs\.yaml:11"),
            ("{deps: [x]}", r"attributes\.translation.*deps.* at .*defs\.yaml:11"),
            ("{partitions_def: {type: daily}}", r"attributes\.translation.*partitions_def.* at .*defs\.yaml:11"),
        ]
    ),
    *(
        (OWNERS, f"{OWNERS}\n  translation:\n    tags: {{domain: sales}}\n    {wanted}", said)
        for wanted, said in [
            (
                "key: '{{ tabel.name }}'",
                r"defs\.yaml:13:5: the translation .* public\.orders: .*'tabel' not found",
            ),
            (
                "key: '{{ table.nam }}'",
                r"defs\.yaml:13:5: the translation .* table public\.orders: .*no attribute 'nam'",
            ),
            ("key: '{{ 1 / 0 }}'", r"defs\.yaml:13:5: the translation .* public\.orders: ZeroDivisionError"),
            ("key: '{{ table.name'", r"defs\.yaml:13:5: the translation .* table public\.orders: .*unexpected end"),
            ("group_name: 'a b'", r"defs\.yaml:13:5: the translation .* table public\.orders: .*\"?a b"),
            ("owners: [nobody]", r"defs\.yaml:13:5: the translation .* table public\.orders: .*nobody"),
            (
                "key: '{{ table.schema }}'",
                r"defs\.yaml:11:3: .*table archive\.log and table archive\.odd name the same key archive",
            ),
            ("key: a/{{ table.name }}", r"defs\.yaml:11:3: .*table archive\.odd name the key 'a/odd name'"),
            (
                "key: shop/summary",
                r"defs\.yaml:11:3: .*the asset summary and table public\.orders the same key shop/summary",
            ),
            ("key_prefix: a__b\n    key: '{{ table.schema }}_x'", r"defs\.yaml:11:3: .*the same key a__b/archive_x"),
        ]
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=lambda value: value[:28])
def test_what_cannot_be_used_is_told_with_its_place(project: Path, old: str, new: str, said: str) -> None:
    assert old in SHOP_AND_CRM
    make_project(project, SHOP_AND_CRM.replace(old, new, 1))
    write_state(project, "shop", TABLES, SCHEMAS)
    messages = refusal(project)
    assert re.search(said, messages), messages
    assert "sesame" not in messages


def refusal(project: Path) -> str:
    """Everything that is said when a project can't be loaded."""
    try:
        load_project(project)
    except Exception as error:
        return "".join(traceback.format_exception(error))
    pytest.fail("it was loaded")


def test_two_pairs_with_one_target_schema_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_NEW_URL", "postgresql://mig@new/all")
    monkeypatch.setenv("CRM_NEW_URL", "postgresql://other:secret@new:5432/all")
    make_project(project, SHOP_AND_CRM)
    write_state(project, "shop", TABLES, SCHEMAS)
    write_state(project, "crm", TABLES[:1], {"public": "public"})
    assert "pair crm and pair shop both write into public of new:5432/all" in refusal(project)
    write_state(project, "crm", TABLES[:1], {"public": "crm"})
    forget_all()
    assert load_project(project).get_repository_def().has_job("crm__migrate")


def test_the_schema_of_attributes_tells_what_there_is() -> None:
    """What editors complete, and what `dg check yaml` looks at."""
    model = MigrationComponent.get_model_cls()
    assert model is not None
    schema: dict[str, Any] = model.model_json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"name", "source", "target"}
    fields = {name for name in Pair.__dataclass_fields__ if not name.startswith("_")}
    assert set(schema["properties"]) == {*fields, "defs_state"}
    translation = schema["$defs"]["Translation"]
    assert translation["additionalProperties"] is False
    assert {"key", "key_prefix", "group_name", "tags", "kinds", "metadata", "description"} <= set(
        translation["properties"]
    )
    assert not {"deps", "partitions_def", "skippable"} & set(translation["properties"])
    assert schema["$defs"]["Defaults"]["additionalProperties"] is False
    assert "workers" in schema["$defs"]["Defaults"]["properties"]
    assert all(field["description"] for field in schema["properties"].values())


def test_a_listing_is_what_was_written() -> None:
    known = Location(NOWHERE, SCHEMAS, TABLES, "down")
    assert Location.from_json(NOWHERE, known.as_json()) == known
    assert json.loads(replace(known, problem=None).as_json())["problem"] is None
    for text in ("[]", "{}", '{"schemas": {}, "tables": [1]}'):
        with pytest.raises(ValueError, match="no listing of tables"):
            Location.from_json(NOWHERE, text)
