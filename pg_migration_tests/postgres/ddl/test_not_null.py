"""NOT NULL, which became a constraint with a name that children inherit in 18, between servers before and after."""

import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.conftest import pair_of
from pg_migration_tests.postgres.ddl.round_trip import Migrated, Pair, migrate

HELPERS = """
    CREATE FUNCTION ok(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 IS NOT NULL';
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TABLE o (id int PRIMARY KEY);
    CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, o_id int NOT NULL);
"""
# A constraint that has the name which 18 gives to NOT NULL of table t, column a.
TAKEN = {
    "check": "ALTER TABLE t ADD CONSTRAINT t_a_not_null CHECK (a <> '')",
    "check not valid": "ALTER TABLE t ADD CONSTRAINT t_a_not_null CHECK (a <> '') NOT VALID",
    "check that calls a function": "ALTER TABLE t ADD CONSTRAINT t_a_not_null CHECK (ok(a))",
    "check with the next name too": """
        ALTER TABLE t ADD CONSTRAINT t_a_not_null CHECK (a <> '') NOT VALID;
        ALTER TABLE t ADD CONSTRAINT t_a_not_null1 CHECK (a <> ' ') NOT VALID;
    """,
    "foreign key": "ALTER TABLE t ADD CONSTRAINT t_a_not_null FOREIGN KEY (o_id) REFERENCES o",
    "unique": "ALTER TABLE t ADD CONSTRAINT t_a_not_null UNIQUE (a)",
    "primary key": """
        ALTER TABLE t DROP CONSTRAINT t_pkey;
        ALTER TABLE t ADD CONSTRAINT t_a_not_null PRIMARY KEY (id);
    """,
    "exclusion": "ALTER TABLE t ADD CONSTRAINT t_a_not_null EXCLUDE (a WITH =)",
    "constraint trigger": """
        CREATE CONSTRAINT TRIGGER t_a_not_null AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf();
    """,
    "check of a child": """
        CREATE TABLE child () INHERITS (t);
        CREATE TABLE grandchild () INHERITS (child);
        ALTER TABLE grandchild ADD CONSTRAINT t_a_not_null CHECK (a <> '') NOT VALID;
    """,
    "check of a parent that comes late": """
        CREATE TABLE above (b text);
        CREATE TABLE below (c text NOT NULL) INHERITS (above);
        ALTER TABLE above ADD CONSTRAINT below_c_not_null CHECK (b <> '') NOT VALID;
    """,
    "check of a partition": """
        CREATE TABLE p (a text NOT NULL) PARTITION BY LIST (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('x');
        ALTER TABLE p1 ADD CONSTRAINT p_a_not_null CHECK (a <> '') NOT VALID;
        ALTER TABLE p ADD CONSTRAINT p1_a_not_null CHECK (a <> '') NOT VALID;
    """,
    "check of another table": """
        CREATE TABLE aaa (a text, CONSTRAINT t_a_not_null CHECK (a <> ''));
    """,
    "names that are cut": f"""
        CREATE TABLE {"t" * 63} ({"c" * 63} text NOT NULL, é text NOT NULL);
        ALTER TABLE {"t" * 63} ADD CONSTRAINT {"t" * 27}_{"c" * 26}_not_null CHECK (é <> '') NOT VALID;
        ALTER TABLE {"t" * 63} ADD CONSTRAINT {"t" * 26}_{"c" * 27}_not_null CHECK (é <> '') NOT VALID;
    """,
    "domain": """
        CREATE DOMAIN d AS text NOT NULL CONSTRAINT d_not_null CHECK (VALUE <> '');
        CREATE TABLE u (a d);
    """,
    "domain not valid": """
        CREATE DOMAIN d AS text NOT NULL;
        CREATE TABLE u (a d);
        ALTER DOMAIN d ADD CONSTRAINT d_not_null CHECK (VALUE <> '') NOT VALID;
    """,
}
CONSTRAINTS = """
    SELECT coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text), conname, contype, convalidated
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1, 2
"""
MARKS = """
    SELECT attrelid::regclass::text, attname, attnotnull FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
     WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND attnum > 0 ORDER BY 1, attnum
"""
DOMAIN_MARKS = "SELECT typname, typnotnull FROM pg_type WHERE typtype = 'd' AND typnamespace = 'public'::regnamespace"


def assert_same_constraints(pair: Pair) -> None:
    for statement in (CONSTRAINTS, MARKS, DOMAIN_MARKS):
        assert pair.query(statement) == pair.source.psql(pair.source_url, statement).strip()


@pytest.mark.parametrize("ddl", TAKEN.values(), ids=TAKEN.keys())
def test_another_constraint_has_the_name(upgrade: Pair, ddl: str) -> None:
    upgrade.load(HELPERS + ddl)
    assert migrate(upgrade).failures == []
    assert_same_constraints(upgrade)
    again = migrate(upgrade)
    assert (again.failures, [item.identity for item in again.plan.create]) == ([], [])


LATER = {case: ddl for case, ddl in TAKEN.items() if not case.startswith("domain")}


@pytest.mark.parametrize("ddl", LATER.values(), ids=LATER.keys())
def test_the_name_is_taken_later(upgrade: Pair, ddl: str) -> None:
    upgrade.load("CREATE TABLE other (a int NOT NULL);" + HELPERS)
    assert migrate(upgrade).failures == []
    upgrade.load(ddl)
    assert migrate(upgrade).failures == []
    assert_same_constraints(upgrade)


# Children may allow NULL where a parent does not.
MORE_THAN_THE_PARENT = {
    "NOT NULL of the parent only": """
        CREATE TABLE p (a int, b int); CREATE TABLE c () INHERITS (p); ALTER TABLE ONLY p ALTER a SET NOT NULL;
    """,
    "primary key of the parent only": """
        CREATE TABLE p (a int, b int, d int); CREATE TABLE c () INHERITS (p);
        ALTER TABLE ONLY p ADD PRIMARY KEY (a, b);
        ALTER TABLE ONLY c ALTER b SET NOT NULL;
    """,
    "a column of the child's own": """
        CREATE TABLE p (a int); CREATE TABLE c (a int) INHERITS (p); ALTER TABLE ONLY p ADD PRIMARY KEY (a);
    """,
    "three levels": """
        CREATE TABLE p (a int, b int, d int);
        CREATE TABLE c () INHERITS (p);
        CREATE TABLE g () INHERITS (c);
        CREATE TABLE h () INHERITS (c);
        ALTER TABLE ONLY p ADD PRIMARY KEY (a, b);
        ALTER TABLE ONLY c ADD PRIMARY KEY (a);
        ALTER TABLE ONLY g ALTER b SET NOT NULL;
        ALTER TABLE h ALTER a SET NOT NULL;
        ALTER TABLE ONLY p ALTER d SET NOT NULL;
        ALTER TABLE ONLY g ALTER d SET NOT NULL;
    """,
    "several parents": """
        CREATE TABLE p (a int, b int);
        CREATE TABLE q (b int, a int);
        CREATE TABLE c () INHERITS (p, q);
        CREATE TABLE d (e int) INHERITS (q, p);
        CREATE TABLE g () INHERITS (c, d);
        ALTER TABLE ONLY p ADD PRIMARY KEY (a);
        ALTER TABLE ONLY q ALTER b SET NOT NULL;
        ALTER TABLE ONLY g ALTER a SET NOT NULL;
        ALTER TABLE ONLY d ALTER b SET NOT NULL;
    """,
    "children out of order": """
        CREATE TABLE p (a int NOT NULL, b int);
        CREATE TABLE c (b int, a int NOT NULL);
        ALTER TABLE c INHERIT p;
        ALTER TABLE p ADD COLUMN late int NOT NULL;
        ALTER TABLE ONLY c ALTER a DROP NOT NULL;
        ALTER TABLE ONLY c ALTER late DROP NOT NULL;
        CREATE TABLE g () INHERITS (c);
        ALTER TABLE ONLY p ADD PRIMARY KEY (late);
    """,
    "with the name taken": """
        CREATE TABLE p (a int, b int); CREATE TABLE c () INHERITS (p); ALTER TABLE ONLY p ADD PRIMARY KEY (a);
        ALTER TABLE p ADD CONSTRAINT p_a_not_null CHECK (a > 0) NOT VALID;
    """,
}
INHERITED = """
    SELECT attrelid::regclass::text, attname, attislocal, attinhcount
      FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0 ORDER BY 1, attnum
"""


def statements_of(done: Migrated) -> str:
    return ";".join(statement for item in done.source.objects for statement in item.statements)


@pytest.mark.parametrize("ddl", MORE_THAN_THE_PARENT.values(), ids=MORE_THAN_THE_PARENT.keys())
def test_a_child_allows_null_where_its_parent_does_not(
    postgres16: PostgresServer, postgres18: PostgresServer, ddl: str
) -> None:
    # The second stage reads on 18 what the first one made there.
    stages = [(postgres16, postgres16), (postgres16, postgres18), (postgres18, postgres18), (postgres18, postgres16)]
    made_on_18 = ""
    for source, target in stages:
        for pair in pair_of(source, target):
            if source is postgres16:
                pair.load(ddl)
            else:
                pair.load(made_on_18)
            done = migrate(pair)
            assert done.failures == []
            assert_same_constraints(pair)
            assert pair.query(INHERITED) == pair.source.psql(pair.source_url, INHERITED).strip()
            again = migrate(pair)
            assert (again.failures, [item.identity for item in again.plan.create]) == ([], [])
            if source is postgres16 and target is postgres18:
                made_on_18 = f"BEGIN; {statements_of(done)}; COMMIT"
