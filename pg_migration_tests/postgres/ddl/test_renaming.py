"""Other schema names in the target, and several schemas at once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import pytest

from pg_migration.postgres.catalog import Notice, discover
from pg_migration.postgres.catalog.schema_renaming import Renaming, search_path_clause
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_identical, migrate, pair_of, session

TWO_SCHEMAS = """
    CREATE SCHEMA "A b";
    CREATE SCHEMA c;
    CREATE TYPE c.mood AS ENUM ('x', 'c.mood');
    CREATE SEQUENCE c.seq;
    CREATE TABLE "A b".parent (id int PRIMARY KEY DEFAULT nextval('c.seq'), m c.mood DEFAULT 'x', CHECK (id > 0));
    CREATE TABLE c.child (extra text) INHERITS ("A b".parent);
    CREATE TABLE c.c (c int REFERENCES "A b".parent, name text DEFAULT 'c.c');
    CREATE FUNCTION c.f("A b".parent) RETURNS c.mood LANGUAGE sql SET search_path = c, "A b", pg_temp
        AS 'SELECT m FROM c.child';
    CREATE FUNCTION c.g() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM "A b".parent; END;
    CREATE VIEW c.v AS SELECT c.c, c.name, parent.m::c.mood FROM c.c JOIN "A b".parent ON parent.id = c.c;
    CREATE VIEW "A b".w AS SELECT v.name, 'c.v'::regclass AS r, 'c'::regnamespace AS n FROM c.v;
    CREATE INDEX ON c.c (lower(name));
    CREATE FUNCTION c.tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER tr BEFORE INSERT ON "A b".parent FOR EACH ROW EXECUTE FUNCTION c.tf();
    CREATE POLICY p ON c.c USING (EXISTS (SELECT 1 FROM "A b".parent WHERE parent.id = c.c));
    CREATE TABLE "A b".part (a int) PARTITION BY LIST (a);
    CREATE TABLE c.part1 PARTITION OF "A b".part FOR VALUES IN (1);
    CREATE STATISTICS c.st ON c, name FROM c.c;
    COMMENT ON COLUMN c.c.c IS 'c.c.c';
    COMMENT ON SCHEMA c IS 'the c';
    CREATE TRIGGER c BEFORE UPDATE ON c.c FOR EACH ROW EXECUTE FUNCTION c.tf();
    COMMENT ON TRIGGER c ON c.c IS 'on c.c';
"""


@pytest.mark.parametrize("pair", ["16 to 18", "18 to 18"], indirect=True)
def test_schemas_that_refer_to_each_other(pair: Pair) -> None:
    assert_identical(pair, TWO_SCHEMAS, ("A b", "c"))


def test_every_reference_follows_a_new_name(upgrade: Pair) -> None:
    upgrade.load(TWO_SCHEMAS)
    schemas = {"A b": "first", "c": 'Sec"ond'}
    done = migrate(upgrade, schemas)
    assert done.failures == []
    told = upgrade.target.dump_schema(upgrade.target_url, "first") + upgrade.target.dump_schema(
        upgrade.target_url, 'Sec"ond'
    )
    # Left: text in strings and bodies, and columns and tables of the same name.
    for old in ('"A b"', "c.mood,", "c.mood ", "c.tf", "c.seq", "c.v;"):
        assert old not in told
    assert "SET search_path TO 'Sec\"ond', 'first', 'pg_temp'" in told
    assert 'nextval(\'"Sec""ond".seq\'::regclass)' in told
    assert "DEFAULT 'c.c'::text" in told
    assert [(notice.kind, notice.name) for notice in done.source.notices] == [
        ("function body", 'c.f("A b"."parent")'),
        ("type", "c.mood"),
        ("default", "name on c.c"),
    ]
    assert migrate(upgrade, schemas).plan.create == ()


def test_names_swapped(upgrade: Pair) -> None:
    upgrade.load(
        "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (x int); CREATE TABLE b.t (y int);"
        "CREATE VIEW a.v AS SELECT * FROM b.t; CREATE VIEW b.v AS SELECT * FROM a.t;"
    )
    assert migrate(upgrade, {"a": "b", "b": "a"}).failures == []
    columns = "SELECT string_agg(attname, ',') FROM pg_attribute WHERE attnum > 0 AND attrelid = '{}'::regclass"
    assert [upgrade.query(columns.format(name)) for name in ("a.t", "b.t", "a.v", "b.v")] == ["y", "x", "x", "y"]


# What is named, as kind and name, and the text that it is named for.
TEXTS = {
    (
        "default",
        "w on old.u",
        "'old.k'",
    ): "CREATE TABLE old.u (a int, w text DEFAULT 'old.k', x text DEFAULT 'an old word')",
    ("check", "u_a_check on old.u", "'old.k'"): "CREATE TABLE old.u (a text CHECK (a <> 'old.k'))",
    ("table", "old.u", "'\"old\" . k'"): """
        CREATE TABLE old.u (a text, b bool GENERATED ALWAYS AS (a = '"old" . k') STORED)
    """,
    ("trigger", "tr on old.t", "'old.log'"): """
        CREATE FUNCTION old.tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
        CREATE TRIGGER tr AFTER INSERT ON old.t FOR EACH ROW EXECUTE FUNCTION old.tf('old.log')
    """,
    ("view", "old.v", "'old.t', 'old, public'"): """
        CREATE VIEW old.v AS SELECT to_regclass('old.t') AS a, set_config('search_path', 'old, public', true) AS b
    """,
    ("materialized view", "old.v", "'old'"): """
        CREATE MATERIALIZED VIEW old.v AS SELECT format('%I.%I', 'old', 't') AS a WITH NO DATA
    """,
    ("policy", "p on old.t", "'old.k'"): "CREATE POLICY p ON old.t USING (k = 'old.k')",
    ("rule", "r on old.t", "'old.k'"): "CREATE RULE r AS ON DELETE TO old.t DO ALSO SELECT 'old.k'::text",
    ("index", "i on old.t", "'old.k'"): "CREATE INDEX i ON old.t (id) WHERE k = 'old.k'",
    ("statistics", "s on old.t", "'old.k'"): "CREATE STATISTICS old.s ON (k = 'old.k'), id FROM old.t",
    ("partition", "q on old.q", "'old.k'"): """
        CREATE TABLE old.p (a text) PARTITION BY LIST (a); CREATE TABLE old.q PARTITION OF old.p FOR VALUES IN ('old.k')
    """,
    ("function", 'old.f("text")', "'old.k', 'old'"): """
        CREATE FUNCTION old.f(a text DEFAULT 'old.k') RETURNS int LANGUAGE sql SET my.place = 'old' AS 'SELECT 1'
    """,
    ("function", "old.f()", "'old.k'"): """
        CREATE FUNCTION old.f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT 'old.k'::text; END
    """,
    ("domain", "old.d", "'old.k'"): "CREATE DOMAIN old.d AS text DEFAULT 'old.k'",
    ("domain", "old.d", "'old.k\\x'"): "CREATE DOMAIN old.d AS text DEFAULT E'old.k\\\\x'",
}


@pytest.fixture(scope="module")
def told_of_texts(postgres16: PostgresServer) -> Mapping[tuple[str, str, str], Sequence[Notice]]:
    """What is told of each case, which has a schema of its own in place of ``old``."""
    cases = {case: f"old_{number}" for number, case in enumerate(TEXTS)}

    def of(case: tuple[str, str, str], text: str) -> str:
        return re.sub(r"\bold\b", cases[case], text)

    url = postgres16.create_database()
    table = "CREATE SCHEMA old; CREATE TABLE old.t (id int, k text); COMMENT ON TABLE old.t IS 'old.t';"
    postgres16.psql(url, "".join(of(case, f"{table} {ddl};\n") for case, ddl in TEXTS.items()))
    with session(url) as source:
        assert discover(source, {schema: schema for schema in cases.values()}).notices == ()
        told = discover(source, {schema: f"new_{schema}" for schema in cases.values()}).notices
    postgres16.drop_database(url)
    named = {case: [notice for notice in told if of(case, case[1]) == notice.name] for case in cases}
    assert sum(map(len, named.values())) == len(told)
    return named


@pytest.mark.parametrize(("kind", "name", "text"), TEXTS)
def test_texts_that_hold_an_old_name_are_named(
    told_of_texts: Mapping[tuple[str, str, str], Sequence[Notice]], kind: str, name: str, text: str
) -> None:
    (told,) = told_of_texts[kind, name, text]
    assert told.kind == kind
    said = re.sub(r"\bold_\d+\b", "old", told.reason)
    assert said == f"it holds the name of schema old as text and is left as it is: {text}"


def test_text_that_is_cast_to_an_object_follows(upgrade: Pair) -> None:
    upgrade.load(
        "".join(
            f'CREATE SCHEMA {old}; CREATE SEQUENCE {old}.sq; CREATE SEQUENCE {old}."S q";'
            f"CREATE TABLE {old}.t (a int DEFAULT nextval('{old}.sq'::text),"
            f" b int DEFAULT nextval('{old.upper()}.\"S q\"'::text));"
            f"CREATE VIEW {old}.v AS SELECT '{old}.t'::text::regclass AS a, 'pg_catalog.int4'::text::regtype AS b;"
            for old in ("old", "old2")
        )
    )
    schemas = {"old": "new", "old2": 'it\'s "New"'}
    done = migrate(upgrade, schemas)
    assert done.failures == []
    assert done.source.notices == ()
    for name in schemas.values():
        quoted = '"' + name.replace('"', '""') + '"'
        assert upgrade.query(f"INSERT INTO {quoted}.t DEFAULT VALUES RETURNING a, b") == "1|1"
        assert upgrade.query(f"SELECT a = '{quoted.replace(chr(39), chr(39) * 2)}.t'::regclass FROM {quoted}.v") == "t"
    assert migrate(upgrade, schemas).plan.create == ()


OF_ROWS = ("old", "new", "excluded")
TRIGGERS_AND_RULES = """
    CREATE SCHEMA {schema}; SET search_path = {schema}; CREATE TABLE t (id int PRIMARY KEY, c text);
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW WHEN (old.c IS DISTINCT FROM new.c) EXECUTE FUNCTION tf();
    CREATE RULE r AS ON UPDATE TO t WHERE old.id > 5 DO ALSO
        INSERT INTO t AS u VALUES (new.id + 1, old.c) ON CONFLICT (id) DO UPDATE SET c = excluded.c || u.c;
    CREATE TABLE s (LIKE t INCLUDING ALL);
    CREATE FUNCTION f(s) RETURNS SETOF s LANGUAGE sql BEGIN ATOMIC
        INSERT INTO s VALUES (($1).id, 'x') ON CONFLICT (id) DO UPDATE SET c = excluded.c RETURNING s.*; END;
"""
DEFINITIONS = """
    SET search_path = {schema};
    SELECT pg_get_triggerdef(oid, true) FROM pg_trigger WHERE tgname = 'tr' AND tgrelid = 't'::regclass;
    SELECT pg_get_ruledef(oid, true) FROM pg_rewrite WHERE rulename = 'r' AND ev_class = 't'::regclass;
    SELECT pg_get_function_sqlbody('f'::regproc)
"""


@pytest.fixture(scope="module")
def of_rows(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Pair]:
    """A pair with schemas that have the names of rows, and got other names."""
    with closing(pair_of(postgres16, postgres18)) as pairs:
        pair = next(pairs)
        pair.load("".join(TRIGGERS_AND_RULES.format(schema=schema) for schema in OF_ROWS))
        assert migrate(pair, {schema: f"renamed_{schema}" for schema in OF_ROWS}).failures == []
        yield pair


@pytest.mark.parametrize("schema", OF_ROWS)
def test_a_schema_with_the_name_of_rows_in_triggers_and_rules(of_rows: Pair, schema: str) -> None:
    ours = of_rows.source.psql(of_rows.source_url, DEFINITIONS.format(schema=schema))
    assert "old.c IS DISTINCT FROM new.c" in ours
    assert "excluded.c" in ours
    assert of_rows.query(DEFINITIONS.format(schema=f"renamed_{schema}")) == ours.strip()


@pytest.mark.parametrize(
    ("ddl", "renamed"),
    [
        ('SELECT "s"."x" FROM "s"."t"', 'SELECT "n"."x" FROM "n"."t"'),
        ('SELECT "t"."s"."x"', 'SELECT "t"."s"."x"'),
        ('SELECT \'"s".x\', $$"s"."t"$$, E\'\\\'"s".\'', 'SELECT \'"s".x\', $$"s"."t"$$, E\'\\\'"s".\''),
        ('nextval(\'"s"."q"\'::"regclass")', 'nextval(\'"n"."q"\'::"regclass")'),
        ('\'"s"\'::"regnamespace"', '\'"n"\'::"regnamespace"'),
        ("'\"s\".\"it''s\"'::regclass", "'\"n\".\"it''s\"'::regclass"),
        ('1 OPERATOR("s".@>) 2', '1 OPERATOR("n".@>) 2'),
    ],
)
def test_tokens(ddl: str, renamed: str) -> None:
    assert Renaming({"s": "n", "other": "other"})(ddl) == renamed


def test_search_path() -> None:
    told = search_path_clause('"$user", s, "A, ""b"', {"s": "n", 'A, "b': "it's"})
    assert told == "\n SET \"search_path\" TO '$user', 'n', 'it''s'\n"
