"""Other schema names in the target, and several schemas at once."""

import pytest

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.catalog.schema_renaming import Renaming, search_path_clause
from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_identical, migrate, session

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


def test_texts_that_hold_an_old_name_are_named(upgrade: Pair) -> None:
    upgrade.load("CREATE SCHEMA old;")
    for (kind, name, text), ddl in TEXTS.items():
        upgrade.load(
            "DROP SCHEMA old CASCADE; CREATE SCHEMA old; CREATE TABLE old.t (id int, k text);"
            f"COMMENT ON TABLE old.t IS 'old.t'; {ddl}"
        )
        with session(upgrade.source_url) as source:
            (told,) = discover(source, {"old": "new"}).notices
            assert (told.kind, told.name) == (kind, name)
            assert told.reason == f"it holds the name of schema old as text and is left as it is: {text}"
            assert discover(source, {"old": "old"}).notices == ()


def test_text_that_is_cast_to_an_object_follows(upgrade: Pair) -> None:
    upgrade.load(
        'CREATE SCHEMA old; CREATE SEQUENCE old.sq; CREATE SEQUENCE old."S q";'
        "CREATE TABLE old.t (a int DEFAULT nextval('old.sq'::text), b int DEFAULT nextval('OLD.\"S q\"'::text));"
        "CREATE VIEW old.v AS SELECT 'old.t'::text::regclass AS a, 'pg_catalog.int4'::text::regtype AS b"
    )
    for name in ("new", 'it\'s "New"'):
        done = migrate(upgrade, {"old": name})
        assert done.failures == []
        assert done.source.notices == ()
        quoted = '"' + name.replace('"', '""') + '"'
        assert upgrade.query(f"INSERT INTO {quoted}.t DEFAULT VALUES RETURNING a, b") == "1|1"
        assert upgrade.query(f"SELECT a = '{quoted.replace(chr(39), chr(39) * 2)}.t'::regclass FROM {quoted}.v") == "t"
        assert migrate(upgrade, {"old": name}).plan.create == ()


@pytest.mark.parametrize("schema", ["old", "new", "excluded"])
def test_a_schema_with_the_name_of_rows_in_triggers_and_rules(upgrade: Pair, schema: str) -> None:
    path = f"SET search_path = {schema};"
    upgrade.load(
        f"""
        CREATE SCHEMA {schema}; {path} CREATE TABLE t (id int PRIMARY KEY, c text);
        CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
        CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW WHEN (old.c IS DISTINCT FROM new.c) EXECUTE FUNCTION tf();
        CREATE RULE r AS ON UPDATE TO t WHERE old.id > 5 DO ALSO
            INSERT INTO t AS u VALUES (new.id + 1, old.c) ON CONFLICT (id) DO UPDATE SET c = excluded.c || u.c;
        CREATE TABLE s (LIKE t INCLUDING ALL);
        CREATE FUNCTION f(s) RETURNS SETOF s LANGUAGE sql BEGIN ATOMIC
            INSERT INTO s VALUES (($1).id, 'x') ON CONFLICT (id) DO UPDATE SET c = excluded.c RETURNING s.*; END;
        """
    )
    assert migrate(upgrade, {schema: "renamed"}).failures == []
    definitions = (
        "SELECT pg_get_triggerdef(oid, true) FROM pg_trigger WHERE tgname = 'tr';"
        "SELECT pg_get_ruledef(oid, true) FROM pg_rewrite WHERE rulename = 'r';"
        "SELECT pg_get_function_sqlbody(oid) FROM pg_proc WHERE proname = 'f'"
    )
    ours = upgrade.source.psql(upgrade.source_url, path + definitions)
    assert "old.c IS DISTINCT FROM new.c" in ours
    assert "excluded.c" in ours
    assert upgrade.query("SET search_path = renamed;" + definitions) == ours.strip()


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
