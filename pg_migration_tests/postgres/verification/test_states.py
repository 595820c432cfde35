"""The checks of constraints and of what a load may leave behind."""

import pytest

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.ledger import schema
from pg_migration.postgres.verification.constraints import compare_constraints
from pg_migration.postgres.verification.leftovers import find_leftovers
from pg_migration_tests.postgres.verification.harness import Pair

SCHEMA = {"public": "public"}
TABLES = """
    CREATE TABLE a (id int PRIMARY KEY, v int CHECK (v > 0), w int);
    CREATE TABLE b (id int UNIQUE, a int, CONSTRAINT b_a FOREIGN KEY (a) REFERENCES a);
    ALTER TABLE a ADD CONSTRAINT w_small CHECK (w < 10) NOT VALID;
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER fires BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();
    CREATE TRIGGER sleeps BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();
    ALTER TABLE a DISABLE TRIGGER sleeps;
    CREATE UNLOGGED TABLE scratch (id int);
    CREATE INDEX b_on_a ON b (a);
    -- An index ON ONLY a partitioned table is not valid before its partitions have it.
    CREATE TABLE parts (id int) PARTITION BY LIST (id);
    CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
    CREATE INDEX pending ON ONLY parts (id);
    CREATE TABLE pg_migration_plans (id int)
"""


@pytest.fixture
def ends(pair: Pair) -> Pair:
    pair.both(TABLES)
    schema.create(pair.links.open(pair.ends[Side.TARGET]))
    return pair


def constraints(pair: Pair) -> tuple[int, list[tuple[str, bool]]]:
    source, target = (pair.links.open(pair.ends[side]) for side in Side)
    names = {("public", "a"), ("public", "b"), ("public", "scratch")}
    count, found = compare_constraints(source, target, SCHEMA, names)
    return count, [(str(seen), seen.wrong) for seen in found]


def leftovers(pair: Pair) -> list[str]:
    source, target = (pair.links.open(pair.ends[side]) for side in Side)
    tables = {("public", name) for name in ("a", "b", "scratch", "parts", "part")}
    found = find_leftovers(source, target, SCHEMA, tables)
    assert all(seen.wrong for seen in found)
    return [str(seen) for seen in found]


def test_constraints_of_both_sides(ends: Pair) -> None:
    assert constraints(ends) == (5, [("constraint w_small on public.a: NOT VALID on both sides", False)])
    ends.source("ALTER TABLE a VALIDATE CONSTRAINT w_small")
    ends.target(
        "ALTER TABLE b DROP CONSTRAINT b_a, ADD CONSTRAINT b_a FOREIGN KEY (a) REFERENCES a NOT VALID;"
        "ALTER TABLE a DROP CONSTRAINT a_v_check; ALTER TABLE a ADD CONSTRAINT more CHECK (v < 5) NOT VALID;"
        "ALTER TABLE parts ADD CONSTRAINT not_ours CHECK (id > 0) NOT VALID"
    )
    assert constraints(ends) == (
        5,
        [
            ("constraint a_v_check on public.a: missing in the target", True),
            ("constraint w_small on public.a: NOT VALID in the target, valid in the source", True),
            ("constraint b_a on public.b: NOT VALID in the target, valid in the source", True),
            ("constraint more on public.a: NOT VALID, in the target only", False),
        ],
    )


def test_a_constraint_that_the_target_does_not_enforce(ends: Pair) -> None:
    ends.target("ALTER TABLE b ALTER CONSTRAINT b_a NOT ENFORCED")
    assert ("constraint b_a on public.b: NOT ENFORCED in the target, valid in the source", True) in constraints(ends)[1]


def test_nothing_is_left_where_both_sides_are_alike(ends: Pair) -> None:
    assert leftovers(ends) == []


def test_what_a_load_may_leave(ends: Pair) -> None:
    ends.target(
        "ALTER TABLE b SET UNLOGGED; ALTER TABLE a DISABLE TRIGGER fires;"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'b_on_a'::regclass;"
        "INSERT INTO _pg_migration.suspended VALUES ('public', 'b', 'index', 'x', 'CREATE INDEX x ON public.b (id)');"
        "CREATE SCHEMA _pg_migration_shadow; CREATE TABLE public._pg_migration_chunk ();"
        "CREATE FUNCTION pg_migration_f() RETURNS int LANGUAGE sql RETURN 1"
    )
    assert sorted(leftovers(ends)) == [
        "b_on_a on public.b: not valid, which it is not in the source",
        "fires on public.a: disabled, which it is not in the source",
        "function public.pg_migration_f: called like our bookkeeping, outside schema _pg_migration",
        'index "x" on public.b: set aside for a load, and not brought back',
        "public.b: UNLOGGED, which it is not in the source",
        "relation public._pg_migration_chunk: called like our bookkeeping, outside schema _pg_migration",
        "schema _pg_migration_shadow: called like our bookkeeping, outside schema _pg_migration",
    ]


def test_what_is_the_target_s_own_affair(ends: Pair) -> None:
    ends.target(
        "CREATE UNLOGGED TABLE cache (id int);"
        "CREATE TRIGGER audit BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();"
        "ALTER TABLE a DISABLE TRIGGER audit;"
        "CREATE TABLE pieces (id int) PARTITION BY LIST (id); CREATE TABLE piece PARTITION OF pieces FOR VALUES IN (1);"
        "CREATE INDEX later ON ONLY pieces (id)"
    )
    assert leftovers(ends) == []


def test_a_foreign_key_that_does_not_fire(ends: Pair) -> None:
    ends.target("ALTER TABLE b DISABLE TRIGGER ALL")
    assert leftovers(ends) == ["b_a on public.b: disabled, which it is not in the source"]


def test_a_not_null_that_a_partition_only_inherits_is_its_parents(pair: Pair) -> None:
    late = "ADD CONSTRAINT late NOT NULL a NOT VALID"
    pair.target(
        f"CREATE SCHEMA one; CREATE TABLE one.p (a int) PARTITION BY LIST (a); ALTER TABLE one.p {late};"
        "CREATE TABLE one.p1 (a int); ALTER TABLE one.p1 ADD CONSTRAINT other NOT NULL a NOT VALID;"
        "ALTER TABLE one.p ATTACH PARTITION one.p1 FOR VALUES IN (1);"
        "CREATE SCHEMA two; CREATE TABLE two.p (a int) PARTITION BY LIST (a);"
        f"CREATE TABLE two.p1 PARTITION OF two.p FOR VALUES IN (1); ALTER TABLE two.p {late};"
    )
    newest = pair.links.open(pair.ends[Side.TARGET])
    count, found = compare_constraints(newest, newest, {"one": "two"}, {("one", "p"), ("one", "p1")})
    pair.target("DROP SCHEMA one, two CASCADE")
    assert [(str(seen), seen.wrong) for seen in found] == [("constraint late on two.p: NOT VALID on both sides", False)]
    assert count == 1
