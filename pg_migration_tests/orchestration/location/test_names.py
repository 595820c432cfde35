"""Odd identifiers: every table gets an asset whose key is legal, readable and its own."""

import re

import dagster as dg

from pg_migration_tests.orchestration.harness import Platform

NAMES = [
    "plain",
    "Upper",
    "upper",
    "select",
    "with space",
    "with_space",
    'quo"ted',
    "per%cent",
    "per%scent",
    "naïve",
    "größe",
    "表",
    "表格",
    "line\nbreak",
    "a/b",
    "a,b",
    "a.b",
    "a__b",
    "_",
    "1st",
    "..",
    "all",
    "foreign_keys",
    'Order "Details"; drop table x;--',
    "x" * 63,
    "y" * 62 + "'",
    "y" * 62 + "-",
    "$money",
    "back\\slash",
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_every_table_has_a_key_of_its_own_and_arrives(platform: Platform) -> None:
    statements = [
        f"CREATE TABLE {quoted(name)} (id integer PRIMARY KEY, {quoted(name)} integer REFERENCES {quoted(name)});"
        f"INSERT INTO {quoted(name)} SELECT n, n FROM generate_series(1, {number}) AS n;"
        for number, name in enumerate(NAMES, 1)
    ]
    platform.source.psql("\n".join(statements))
    graph = platform.definitions.resolve_asset_graph()
    keys = {
        node.metadata["dagster/table_name"]: node.key
        for node in graph.asset_nodes
        if "dagster/table_name" in node.metadata
    }
    assert set(keys) == {f"public.{name}" for name in NAMES}
    assert len(set(keys.values())) == len(NAMES)
    for key in keys.values():
        assert all(re.fullmatch(r"[A-Za-z0-9_]+", part) for part in key.path)
    assert keys["public.plain"] == dg.AssetKey(["public", "plain"])
    assert keys["public.with space"].path[1].startswith("with_space_")
    assert keys["public.größe"].path[1].startswith("gr")

    done = platform.migrate(partition_threshold=10, max_partitions=2)
    assert done.success
    assert set(done.passed) == {key.to_user_string() for key in keys.values()}
    assert all(done.passed.values())
    counts = platform.target.psql(";".join(f"SELECT count(*) FROM {quoted(name)}" for name in NAMES))
    assert counts.split() == [str(number) for number, _ in enumerate(NAMES, 1)]
    for number, name in enumerate(NAMES, 1):
        ranges = platform.instance.get_dynamic_partitions(f"pk_ranges/public.{name}")
        assert len(ranges) == (2 if number > 10 else 1)
    foreign_keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
    assert platform.target.psql(foreign_keys) == str(len(NAMES))


def test_keys_do_not_change_when_other_tables_come(platform: Platform) -> None:
    platform.source.psql('CREATE TABLE "a b" (id integer)')
    before = platform.definitions.resolve_asset_graph().materializable_asset_keys
    platform.source.psql('CREATE TABLE "a-b" (id integer); CREATE TABLE a_b (id integer)')
    after = platform.reload().resolve_asset_graph().materializable_asset_keys
    assert before < after
    assert len(after) == len(before) + 2


def test_schemas_with_odd_names_and_tables_named_like_others(platform: Platform) -> None:
    """Tables of the same name in several schemas, and tables named like assets of the platform."""
    schema = 'My "Shop", main'
    like_assets = ("summary", "source_schema", "post_data", "tables")
    platform.source.psql(
        f"CREATE SCHEMA {quoted(schema)}; CREATE TABLE {quoted(schema)}.t (id integer PRIMARY KEY);"
        f"INSERT INTO {quoted(schema)}.t VALUES (1), (2);"
        "CREATE SCHEMA north; CREATE SCHEMA south;"
        "CREATE TABLE north.t (id integer PRIMARY KEY); INSERT INTO north.t VALUES (1);"
        "CREATE TABLE south.t (id integer PRIMARY KEY REFERENCES north.t); INSERT INTO south.t VALUES (1);"
        + "".join(f"CREATE TABLE {name} (id integer);" for name in like_assets)
    )
    listed = '"My ""Shop"", main"'
    platform.set(SOURCE_SCHEMA=f"{listed}, north, south, public", TARGET_SCHEMA=f"{listed}, n, s, public")
    done = platform.migrate()
    assert done.success
    (odd,) = done.passed.keys() - {"n/t", "s/t"} - {f"public/{name}" for name in like_assets}
    assert odd.startswith("My__Shop___main_")
    assert len(done.passed) == 7
    assert all(done.passed.values())
    assert platform.target.psql(f"SELECT count(*) FROM {quoted(schema)}.t") == "2"
    assert platform.target.psql("SELECT confrelid::regclass FROM pg_constraint WHERE contype = 'f'") == "n.t"
