"""Tables left out, and what goes with them."""

from pg_migration.postgres.catalog import list_tables
from pg_migration_tests.postgres.ddl.round_trip import Pair, describe, migrate, session

DDL = """
    CREATE TABLE kept (id int PRIMARY KEY, other int);
    CREATE TABLE gone (id serial PRIMARY KEY, k int REFERENCES kept);
    ALTER TABLE kept ADD CONSTRAINT to_gone FOREIGN KEY (other) REFERENCES gone;
    CREATE VIEW over_gone AS SELECT * FROM gone;
    CREATE VIEW over_that AS SELECT * FROM over_gone;
    CREATE FUNCTION of_gone(gone) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE SEQUENCE shared OWNED BY gone.k;
    ALTER TABLE kept ALTER other SET DEFAULT nextval('shared');
    COMMENT ON TABLE gone IS 'gone';
    CREATE TABLE parts (a int) PARTITION BY LIST (a);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
"""


def test_what_hangs_on_an_excluded_table_goes(upgrade: Pair) -> None:
    upgrade.load(DDL)
    done = migrate(upgrade, exclude=["gon?", "public.parts", "nothing*"])
    assert done.failures == []
    assert done.source.unmatched_patterns == ("nothing*",)
    assert [table.name for table in done.source.tables] == ["kept"]
    assert [sequence.name for sequence in done.source.sequences] == ["shared"]
    assert sorted(f"{notice.kind} {notice.name}" for notice in done.source.notices) == [
        "foreign key to_gone on public.kept",
        'function public.of_gone("public"."gone")',
        "sequence public.gone_id_seq",
        "table public.gone",
        "table public.parts",
        "table public.parts_1",
        "view public.over_gone",
        "view public.over_that",
    ]


def test_a_partition_alone(upgrade: Pair) -> None:
    upgrade.load(DDL)
    catalog = describe(upgrade.source_url, exclude=["parts_1"])
    assert {table.name for table in catalog.tables} == {"kept", "gone", "parts"}


def test_the_listing_for_definitions(upgrade: Pair) -> None:
    upgrade.load(DDL)
    with session(upgrade.source_url) as source:
        listed = {table.name: table for table in list_tables(source, {"public": "public"}, ["parts*"])}
    assert list(listed) == ["gone", "kept"]
    assert listed["gone"].comment == "gone"
    assert [(column.name, column.type, column.not_null) for column in listed["gone"].columns] == [
        ("id", "integer", True),
        ("k", "integer", False),
    ]
    assert listed["gone"].references == (("public", "kept"),)
