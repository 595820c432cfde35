"""NOT NULL, which became a constraint with a name that children inherit in 18, between servers before and after."""

from collections.abc import Iterable, Mapping

import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import Migrated, Pair, assert_nothing_to_do, migrate, pair_of
from pg_migration_tests.postgres.ddl.together import Before, verdicts

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
      FROM pg_constraint WHERE connamespace = ANY ('{{{schemas}}}'::regnamespace[]) AND contype <> 'n' ORDER BY 1, 2
"""
MARKS = """
    SELECT attrelid::regclass::text, attname, attnotnull FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
     WHERE relkind IN ('r', 'p') AND relnamespace = ANY ('{{{schemas}}}'::regnamespace[]) AND attnum > 0
     ORDER BY 1, attnum
"""
DOMAIN_MARKS = """
    SELECT typnamespace::regnamespace, typname, typnotnull FROM pg_type
     WHERE typtype = 'd' AND typnamespace = ANY ('{{{schemas}}}'::regnamespace[]) ORDER BY 1, 2
"""


def assert_same_constraints(pair: Pair, schemas: Iterable[str] = ("public",)) -> None:
    for statement in (CONSTRAINTS, MARKS, DOMAIN_MARKS):
        text = statement.format(schemas=",".join(schemas))
        assert pair.query(text) == pair.source.psql(pair.source_url, text).strip()


def assert_constraints_arrive(pair: Pair, schemas: Mapping[str, str]) -> None:
    done = migrate(pair, schemas)
    assert done.failures == []
    assert_same_constraints(pair, schemas)
    assert_nothing_to_do(pair, done.source)


LATER = {case: ddl for case, ddl in TAKEN.items() if not case.startswith("domain")}


@pytest.fixture(scope="module")
def taken(postgres16: PostgresServer, postgres18: PostgresServer) -> Mapping[str, str]:
    """What is wrong with each case where the name is taken, at once or after a first migration."""
    cases = {case: [Before(""), HELPERS + ddl] for case, ddl in TAKEN.items()}
    before = Before("CREATE TABLE other (a int NOT NULL);" + HELPERS)
    later = {f"later: {case}": [before, ddl] for case, ddl in LATER.items()}
    return verdicts(postgres16, postgres18, cases | later, assert_constraints_arrive)


@pytest.mark.parametrize("case", TAKEN)
def test_another_constraint_has_the_name(taken: Mapping[str, str], case: str) -> None:
    assert not taken[case], taken[case]


@pytest.mark.parametrize("case", LATER)
def test_the_name_is_taken_later(taken: Mapping[str, str], case: str) -> None:
    assert not taken[f"later: {case}"], taken[f"later: {case}"]


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
     WHERE relkind = 'r' AND relnamespace = ANY ('{{{schemas}}}'::regnamespace[]) AND attnum > 0 ORDER BY 1, attnum
"""


def assert_columns_arrive(pair: Pair, schemas: Mapping[str, str]) -> Migrated:
    done = migrate(pair, schemas)
    assert done.failures == []
    assert_same_constraints(pair, schemas)
    inherited = INHERITED.format(schemas=",".join(schemas))
    assert pair.query(inherited) == pair.source.psql(pair.source_url, inherited).strip()
    assert_nothing_to_do(pair, done.source)
    return done


@pytest.fixture(scope="module")
def more_than_the_parent(postgres16: PostgresServer, postgres18: PostgresServer) -> Mapping[str, str]:
    """What is wrong with each case within 16, or from there to 18, or with what was made on 18 within it and back."""

    def check_there_and_back(pair: Pair, schemas: Mapping[str, str]) -> None:
        done = assert_columns_arrive(pair, schemas)
        made = ";".join(statement for item in done.source.objects for statement in item.statements)
        for target in (postgres18, postgres16):
            for later in pair_of(postgres18, target):
                later.load(f"BEGIN; {made}; COMMIT")
                assert_columns_arrive(later, schemas)

    cases = {case: [ddl] for case, ddl in MORE_THAN_THE_PARENT.items()}
    within = verdicts(postgres16, postgres16, cases, assert_columns_arrive)
    upgraded = verdicts(postgres16, postgres18, cases, check_there_and_back)
    return {case: within[case] or upgraded[case] for case in cases}


@pytest.mark.parametrize("case", MORE_THAN_THE_PARENT)
def test_a_child_allows_null_where_its_parent_does_not(more_than_the_parent: Mapping[str, str], case: str) -> None:
    assert not more_than_the_parent[case], more_than_the_parent[case]
