"""What the search_path gives a meaning to: the copy finds the operators that the source found, or is not made."""

from collections.abc import Mapping, Sequence
from contextlib import closing

import pytest

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.ddl import Difference, differences, remember
from pg_migration.postgres.errors import StructureConflict
from pg_migration.postgres.ledger import schema as ledger
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.meaning import meaning_of
from pg_migration_tests.postgres.ddl.round_trip import (
    Pair,
    assert_identical,
    assert_same_dump,
    migrate,
    pair_of,
)

# Text that is compared without regard to case, by operators of its own: what citext is, on servers without contrib.
LOOSE = """
    CREATE TYPE loose AS (t text);
    CREATE FUNCTION loose_eq(loose, loose) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT lower($1.t) = lower($2.t)';
    CREATE FUNCTION loose_lt(loose, loose) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT lower($1.t) < lower($2.t)';
    CREATE FUNCTION loose_cmp(loose, loose) RETURNS int IMMUTABLE LANGUAGE sql
        AS 'SELECT bttextcmp(lower($1.t), lower($2.t))';
    CREATE OPERATOR = (LEFTARG = loose, RIGHTARG = loose, FUNCTION = loose_eq, MERGES);
    CREATE OPERATOR < (LEFTARG = loose, RIGHTARG = loose, FUNCTION = loose_lt);
    CREATE OPERATOR <= (LEFTARG = loose, RIGHTARG = loose, FUNCTION = loose_lt);
    CREATE OPERATOR >= (LEFTARG = loose, RIGHTARG = loose, FUNCTION = loose_lt);
    CREATE OPERATOR > (LEFTARG = loose, RIGHTARG = loose, FUNCTION = loose_lt);
    CREATE OPERATOR CLASS loose_ops DEFAULT FOR TYPE loose USING btree
        AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 loose_cmp;
"""
TABLES = """
    CREATE TABLE n (id int PRIMARY KEY, c {type});
    CREATE TABLE m (c {type}, x int);
"""
ROWS = """
    INSERT INTO n VALUES (1, '{Q}'), (2, '{z}');
    INSERT INTO m VALUES ('{q}', 5), ('{Z}', 6);
    INSERT INTO g VALUES ('{Q}'), ('{x}');
    INSERT INTO k VALUES ('{Q}'), ('{x}');
    INSERT INTO dt VALUES (1);
    REFRESH MATERIALIZED VIEW mj;
    REFRESH MATERIALIZED VIEW mi;
"""
OBJECTS = """
    -- Constructs.
    CREATE VIEW v1 AS SELECT id, c IS DISTINCT FROM '{q}'::{type} AS a, c IS NOT DISTINCT FROM '{q}'::{type} AS b,
        c = '{q}'::{type} AS e, id IS DISTINCT FROM 1 AS i FROM n;
    CREATE VIEW v2 AS SELECT id, nullif(c, '{q}') AS x, nullif(id, 1) AS y FROM n;
    CREATE VIEW v3 AS SELECT id, CASE c WHEN '{q}' THEN 1 WHEN '{Z}' THEN 2 ELSE 0 END AS x FROM n;
    CREATE VIEW v4 AS SELECT n.id, m.x FROM n JOIN m USING (c);
    CREATE VIEW v5 AS SELECT id FROM n JOIN (SELECT c, x - 4 AS id FROM m) AS m USING (c, id);
    CREATE VIEW v6 AS SELECT n.id, m.x FROM n NATURAL LEFT JOIN m;
    CREATE VIEW v7 AS SELECT id, c IN ('{q}', '{x}') AS a, c IN (SELECT c FROM m) AS b FROM n;
    CREATE VIEW v8 AS SELECT id FROM n WHERE (id, c) IN (SELECT x - 4, c FROM m);
    CREATE VIEW v9 AS SELECT id FROM n WHERE (c, id) IN (SELECT c, x - 4 FROM m);
    CREATE VIEW va AS SELECT id FROM n WHERE (id, c) < (1, '{r}'::{type});
    CREATE VIEW vb AS SELECT id, 'OPERATOR("public".<) ''' AS x FROM n WHERE (c, id) < ('{z}', 1);
    CREATE VIEW vc AS SELECT id FROM n WHERE (c, id) IS DISTINCT FROM ('{q}'::{type}, 1);
    CREATE VIEW vd AS SELECT id, nullif(c, '{q}') AS c, ':opno 5' AS ":opno (" FROM n;
    CREATE VIEW ve AS SELECT vd.id, m.x FROM vd LEFT JOIN m USING (c);
    CREATE VIEW vf AS SELECT c, count(*) FROM n WHERE nullif(c, '{q}') IS NULL GROUP BY c ORDER BY c DESC;
    CREATE VIEW vg AS SELECT nullif(c, '{q}') AS a, nullif(c, '{q}') IS NULL AS b FROM n GROUP BY nullif(c, '{q}');
    -- Kinds of objects.
    CREATE MATERIALIZED VIEW mj AS SELECT n.id, m.x FROM n NATURAL JOIN m;
    CREATE MATERIALIZED VIEW mi AS SELECT id, c FROM n;
    CREATE INDEX mii ON mi (id) WHERE c IS DISTINCT FROM '{q}'::{type};
    CREATE TABLE g (c {type}, b bool GENERATED ALWAYS AS (c IS DISTINCT FROM '{q}'::{type}) STORED);
    CREATE TABLE dt (a int, b bool DEFAULT '{Q}'::{type} IS DISTINCT FROM '{q}'::{type});
    CREATE VIEW vh AS SELECT * FROM dt;
    CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC SELECT x FROM n JOIN m USING (c); END;
    CREATE VIEW vi AS SELECT f();
    CREATE FUNCTION fd(a bool DEFAULT '{Q}'::{type} IS DISTINCT FROM '{q}'::{type}) RETURNS bool LANGUAGE sql
        AS 'SELECT a';
    CREATE VIEW vj AS SELECT fd();
    ALTER TABLE n ADD CHECK (nullif(c, '{w}') IS NOT NULL);
    ALTER TABLE m ADD CHECK (c IS DISTINCT FROM '{w}'::{type}) NOT VALID;
    CREATE TABLE p (c {type} CHECK (c IS DISTINCT FROM '{w}'::{type}));
    CREATE TABLE k (b bool GENERATED ALWAYS AS (c IS DISTINCT FROM '{q}'::{type}) STORED) INHERITS (p);
    CREATE DOMAIN d AS {type} DEFAULT nullif('{x}'::{type}, '{y}'::{type}) CHECK (VALUE IS DISTINCT FROM '{w}'::{type});
    CREATE TABLE td (a d);
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER tr BEFORE UPDATE ON n FOR EACH ROW WHEN (old.c IS DISTINCT FROM new.c) EXECUTE FUNCTION tf();
    CREATE RULE r AS ON UPDATE TO m WHERE old.c IS DISTINCT FROM new.c DO ALSO DELETE FROM td;
    CREATE POLICY po ON n USING (c IS DISTINCT FROM '{q}'::{type}) WITH CHECK (nullif(c, '{w}') IS NOT NULL);
    CREATE INDEX i1 ON n (id) WHERE c IS DISTINCT FROM '{q}'::{type};
    CREATE INDEX i2 ON n ((CASE c WHEN '{q}'::{type} THEN 1 ELSE 0 END));
    ALTER TABLE n ADD EXCLUDE USING btree (id WITH =) WHERE (c IS DISTINCT FROM '{q}'::{type});
    CREATE STATISTICS s ON (c IS DISTINCT FROM '{q}'::{type}), id FROM n;
    CREATE TABLE pk (c {type}) PARTITION BY LIST ((c IS DISTINCT FROM '{q}'::{type}));
    CREATE TABLE p1 PARTITION OF pk FOR VALUES IN (true);
    CREATE INDEX ON pk ((nullif(c, '{q}')));
    CREATE TRIGGER tr BEFORE UPDATE ON pk FOR EACH ROW WHEN (old.c IS DISTINCT FROM new.c) EXECUTE FUNCTION tf();
"""


def of(kind: str, text: str) -> str:
    """DDL for a type whose values are written as plain text or, with parentheses, as rows."""
    for name in "QqZzwxyr":
        text = text.replace("{" + name + "}", name if kind.endswith("citext") else f"({name})")
    return text.replace("{type}", kind)


def check_same_meaning(pair: Pair) -> None:
    ours, theirs = (
        meaning_of(server, url) for server, url in ((pair.source, pair.source_url), (pair.target, pair.target_url))
    )
    assert theirs == ours


def test_operators_of_a_type_of_ones_own(upgrade: Pair) -> None:
    """Also in a schema that has another name in the target. 16 and 18 write their trees in two ways."""
    upgrade.load(f"{LOOSE} {of('loose', TABLES + OBJECTS)}")
    upgrade.load(f"CREATE SCHEMA old; SET search_path = old; {LOOSE} {of('loose', TABLES + OBJECTS)}")
    schemas = {"public": "public", "old": "new"}
    assert migrate(upgrade, schemas).failures == []
    assert_same_dump(upgrade)
    for load, schema in ((upgrade.load, "old"), (upgrade.prepare, "new")):
        load(of("loose", ROWS))
        load(f"SET search_path = {schema};" + of("loose", ROWS))
    ours, theirs = (
        meaning_of(server, url)
        for server, url in ((upgrade.source, upgrade.source_url), (upgrade.target, upgrade.target_url))
    )
    assert any(what.startswith("old.") or " old." in what for what in ours), [*ours]
    assert theirs == {what.replace("old.", "new."): told for what, told in ours.items()}
    assert migrate(upgrade, schemas).plan.create == ()


PLACES = {
    "public": "CREATE EXTENSION citext;",
    "another schema": "CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions;",
    "another schema on the path": "CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions;"
    " DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, extensions', current_database()); END $$",
}


@pytest.mark.parametrize(
    "ddl",
    [
        PLACES["public"],
        *(
            pytest.param(PLACES[place], marks=pytest.mark.longer)
            for place in ("another schema", "another schema on the path")
        ),
    ],
    ids=PLACES,
)
def test_citext(complete: Pair, ddl: str) -> None:
    complete.load(ddl)
    complete.prepare(ddl if "ALTER DATABASE" in ddl else "")
    kind = "citext" if ddl == PLACES["public"] else "extensions.citext"
    # Who makes objects has the schema on the path in one way or another.
    complete.load("SET search_path = public, extensions;" + of(kind, TABLES + OBJECTS))
    assert_identical(complete, "")
    for load in (complete.load, complete.prepare):
        load("SET search_path = public, extensions;" + of(kind, ROWS))
    check_same_meaning(complete)


HIDING = """
    CREATE FUNCTION eq(text, text) RETURNS bool IMMUTABLE LANGUAGE sql
        AS 'SELECT lower($1) OPERATOR(pg_catalog.=) lower($2)';
    CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = eq);
    SET search_path = public, pg_catalog;
    CREATE TABLE t (a text, b text);
    CREATE VIEW v AS SELECT nullif(a, b) FROM t;
    CREATE FUNCTION upper(text) RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$;
    CREATE VIEW w AS SELECT nullif(a, upper(b)) FROM t;
"""


def test_an_operator_that_hides_a_built_in_one(upgrade: Pair) -> None:
    assert_identical(upgrade, HIDING)
    for load in (upgrade.load, upgrade.prepare):
        load("INSERT INTO t VALUES ('a', 'A'), ('mine', 'A')")
    check_same_meaning(upgrade)


def test_what_no_path_can_say_is_not_made(upgrade: Pair) -> None:
    upgrade.load(
        HIDING + "CREATE VIEW x AS SELECT nullif(a, b) AS a, a OPERATOR(pg_catalog.=) b AS b FROM t;"
        "CREATE VIEW y AS SELECT a FROM x"
    )
    ours = migrate(upgrade)
    told = "\n".join(ours.failures)
    assert told.startswith("view public.x: means something else:"), told
    assert 'public"."="' not in told
    assert "for NULLIF" in told
    assert "view public.y: it needs view public.x, which could not be made" in told
    assert upgrade.query("SELECT to_regclass('x') IS NULL AND to_regclass('w') IS NOT NULL") == "t"


def test_a_view_of_the_same_text_that_finds_another_operator(upgrade: Pair) -> None:
    upgrade.load(LOOSE + of("loose", TABLES) + "CREATE VIEW v AS SELECT id FROM n JOIN m USING (c);")
    source = migrate(upgrade).source
    upgrade.prepare(
        "SET search_path = pg_catalog;"
        "CREATE OR REPLACE VIEW public.v AS SELECT id FROM public.n JOIN public.m USING (c);"
    )
    assert_same_dump(upgrade)
    _, target = upgrade.sessions
    found = discover(target, {"public": "public"})
    (told,) = differences(source, found)
    assert str(told) == (
        'view public.v: means something else: it finds "public".=("public"."loose","public"."loose") for USING in '
        "the source alone"
    )
    assert told.meaning
    remember(target, source, found, source.objects)
    assert len(differences(source, discover(target, {"public": "public"}))) == 1
    assert "view public.v" in [item.identity for item in migrate(upgrade).plan.create]
    check_same_meaning(upgrade)


OF_ANOTHER_MEANING = {
    "view": "CREATE OR REPLACE VIEW public.o AS SELECT nullif(c, '(q)'::public.loose) AS x FROM public.n;",
    "materialized view": "CREATE MATERIALIZED VIEW public.o AS SELECT id FROM public.n JOIN public.m USING (c);",
    "index": "CREATE INDEX o ON public.n (id) WHERE c IS DISTINCT FROM '(q)'::public.loose;",
    "check": "ALTER TABLE public.n ADD CONSTRAINT o CHECK (nullif(c, '(w)'::public.loose) IS NULL);",
    "default": "ALTER TABLE public.n ADD o bool DEFAULT '(Q)'::public.loose IS DISTINCT FROM '(q)'::public.loose;",
    "domain": "CREATE DOMAIN public.o AS public.loose CHECK (VALUE IS DISTINCT FROM '(w)'::public.loose);",
    "policy": "CREATE POLICY o ON public.n USING (c IS DISTINCT FROM '(q)'::public.loose);",
    "function": "CREATE FUNCTION public.o() RETURNS SETOF int LANGUAGE sql "
    "BEGIN ATOMIC SELECT x FROM public.n JOIN public.m USING (c); END;",
}


@pytest.fixture(scope="module")
def told_of_another_meaning(
    postgres16: PostgresServer, postgres18: PostgresServer
) -> Mapping[str, Sequence[Difference]]:
    """What is told of each case after everything was remembered as it is; each case has a schema of its own."""
    schemas = {f"case_{number}": f"case_{number}" for number in range(len(OF_ANOTHER_MEANING))}
    cases = dict(zip(schemas, OF_ANOTHER_MEANING.values(), strict=True))
    with closing(pair_of(postgres16, postgres18)) as pairs:
        pair = next(pairs)
        for load, path in ((pair.load, "public, pg_catalog"), (pair.prepare, "pg_catalog")):
            for schema, ddl in cases.items():
                text = f"{LOOSE} {of('loose', TABLES)} SET search_path = {path}; {ddl}"
                load(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {text.replace('public', schema)}")
        ours, theirs = pair.sessions
        ledger.create(theirs)
        source, found = discover(ours, schemas), discover(theirs, schemas)
        remember(theirs, source, found, [*source.objects, *source.parts])
        told = differences(source, discover(theirs, schemas))
    return {
        case: [difference for difference in told if f"{schema}." in str(difference).partition(": ")[0]]
        for case, schema in zip(OF_ANOTHER_MEANING, schemas, strict=True)
    }


@pytest.mark.parametrize("case", OF_ANOTHER_MEANING)
def test_what_is_remembered_hides_no_other_meaning(
    told_of_another_meaning: Mapping[str, Sequence[Difference]], case: str
) -> None:
    told = told_of_another_meaning[case]
    assert any(difference.meaning for difference in told), told


def test_a_generated_column_that_finds_another_operator(upgrade: Pair) -> None:
    upgrade.load(
        LOOSE + "CREATE TABLE t (c loose, b bool GENERATED ALWAYS AS (nullif(c, '(q)'::public.loose) IS NULL) STORED);"
    )
    upgrade.prepare(
        LOOSE + "SET search_path = pg_catalog; CREATE TABLE public.t (c public.loose,"
        " b bool GENERATED ALWAYS AS (nullif(c, '(q)'::public.loose) IS NULL) STORED);"
    )
    with pytest.raises(StructureConflict, match=r"public\.t: means something else: it finds .* for NULLIF"):
        migrate(upgrade)
    assert migrate(upgrade, drop_existing=True).failures == []
    check_same_meaning(upgrade)
