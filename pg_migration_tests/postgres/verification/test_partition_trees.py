"""Partitioned tables whose partitions are compared too: what is read, what adds up, and what is found all the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.hashing.digests import Digest, Hashing, count_rows
from pg_migration.postgres.hashing.part import Part
from pg_migration.postgres.planning.planner import Planner
from pg_migration.postgres.verification.both_sides import Answers
from pg_migration.postgres.verification.digest_tables import digest_tables
from pg_migration.postgres.verification.partition_trees import ask_once, find_origins
from pg_migration.postgres.verification.slices import Slicing, slice_tables
from pg_migration_tests.postgres.verification.harness import Pair

TREE = """
    CREATE TABLE t (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE t_old PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
    CREATE TABLE t_new PARTITION OF t FOR VALUES FROM ('2020-01-01') TO (MAXVALUE) PARTITION BY HASH (id);
    CREATE TABLE t_new_0 PARTITION OF t_new FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE t_new_1 PARTITION OF t_new FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO t SELECT i, '2019-06-01'::date + i, 'v' || i FROM generate_series(1, 600) AS i
"""
LEAVES = ["t_new_0", "t_new_1", "t_old"]
Everything = Mapping[str, Answers[Digest]]


@dataclass(frozen=True)
class Recording(Hashing):
    """Notes what is read."""

    read: list[str] = field(default_factory=list)

    def __call__(self, connection: Connection, part: Part) -> Digest:
        self.read.append(part.name[1])
        return super().__call__(connection, part)


def slicings(pair: Pair, tables: Sequence[str] | None = None) -> list[Slicing]:
    """The tables of the source, or some of them, to be compared."""
    source, target = (pair.links.open(pair.ends[side]) for side in Side)
    found = discover(source, pair.schemas).tables
    names = {table: table.key for table in found if tables is None or table.name in tables}
    return slice_tables(Planner(source, pair.settings), target, names)


def compare(pair: Pair, hashing: Hashing, tables: Sequence[str] | None = None) -> Everything:
    """The digests of tables by name."""
    sides, wanted = pair.sides, slicings(pair, tables)
    origins = find_origins(sides, [slicing.table for slicing in wanted])
    return {found.table.name: found for found in digest_tables(sides, wanted, hashing, origins, 2)}


def whole(found: Answers[Digest]) -> tuple[Digest, Digest]:
    assert found.error is None
    assert isinstance(found.source, tuple)
    assert isinstance(found.target, tuple)
    return Digest.of(found.source), Digest.of(found.target)


def differing(found: Everything) -> list[str]:
    return sorted(name for name, answers in found.items() if whole(answers)[0] != whole(answers)[1])


def test_every_row_is_read_once(pair: Pair) -> None:
    pair.both(TREE)
    hashing = Recording()
    found = compare(pair, hashing)
    assert sorted(hashing.read) == sorted(LEAVES * 2)
    taken = {name: [origin for _, origin in answers.taken_from] for name, answers in found.items()}
    assert taken == {"t": LEAVES, "t_new": LEAVES[:2], **{leaf: [] for leaf in LEAVES}}
    # What is added up is what reading the partitioned tables gives.
    alone = compare(pair, hashing, ["t"]) | compare(pair, hashing, ["t_new"])
    assert not alone["t"].taken_from
    assert not alone["t_new"].taken_from
    assert {name: whole(answers) for name, answers in alone.items()} == {n: whole(found[n]) for n in ("t", "t_new")}
    assert whole(found["t"])[0] == whole(found["t"])[1]
    assert whole(found["t"])[0].rows == 600


def test_rows_are_counted_once(pair: Pair) -> None:
    pair.both(TREE)
    pair.target("DELETE FROM t WHERE id = 1")
    sides, wanted = pair.sides, slicings(pair)
    origins = find_origins(sides, [slicing.table for slicing in wanted])
    read: list[str] = []

    def count(connection: Connection, part: Part) -> int:
        read.append(part.name[1])
        return count_rows(connection, part)

    counts = {found.table.name: found for found in ask_once(sides, count, wanted, origins, 2)}
    assert sorted(read) == sorted(LEAVES * 2)
    found = counts["t"]
    assert isinstance(found.source, tuple)
    assert isinstance(found.target, tuple)
    assert (sum(found.source), sum(found.target)) == (600, 599)


def test_a_row_in_the_wrong_partition_is_found_in_the_partition(pair: Pair) -> None:
    pair.both("CREATE TABLE t (id int) PARTITION BY RANGE (id)")
    pair.source("CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10)")
    pair.source("CREATE TABLE high PARTITION OF t FOR VALUES FROM (10) TO (99)")
    pair.target("CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (11)")
    pair.target("CREATE TABLE high PARTITION OF t FOR VALUES FROM (11) TO (99)")
    pair.both("INSERT INTO t SELECT generate_series(1, 20)")
    found = compare(pair, Hashing())
    assert len(found["t"].taken_from) == 2
    assert differing(found) == ["high", "low"]


def test_a_changed_row_is_found_in_all_tables_that_it_is_in(pair: Pair) -> None:
    pair.both(TREE)
    pair.target("UPDATE t SET v = 'x' WHERE id = 599")
    found = compare(pair, Hashing())
    assert len(found["t"].taken_from) == 3
    (leaf,) = set(differing(found)) - {"t", "t_new"}
    assert leaf in LEAVES


UNLIKE = {
    "columns in another order": """
        CREATE TABLE t (id int, v text) PARTITION BY RANGE (id); CREATE TABLE a (v text, id int);
        ALTER TABLE t ATTACH PARTITION a FOR VALUES FROM (0) TO (9); INSERT INTO t VALUES (1, 'x')
    """,
    "another schema": """
        CREATE TABLE t (id int, v regclass) PARTITION BY RANGE (id);
        CREATE TABLE other.a PARTITION OF t FOR VALUES FROM (0) TO (9); INSERT INTO t VALUES (1, 'other.a')
    """,
}


@pytest.mark.parametrize("case", UNLIKE)
def test_a_table_that_its_partitions_do_not_add_up_to_is_read(pair: Pair, case: str) -> None:
    pair.both("CREATE SCHEMA other;" + UNLIKE[case])
    pair.schemas["other"] = "other"
    hashing = Recording()
    found = compare(pair, hashing)
    assert not found["t"].taken_from
    assert "t" in hashing.read
    assert differing(found) == []


def test_partitions_whose_rows_lie_elsewhere_on_another_server_have_those_of_the_table(pair: Pair) -> None:
    """The hash of an enum is one of its OID. All partitions together are compared, once."""
    pair.both(
        "CREATE TYPE mood AS ENUM ('ok', 'sad', 'so so', 'fine'); CREATE TABLE t (m mood, v int) PARTITION BY HASH (m);"
        "CREATE TABLE a PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE b PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY RANGE (v);"
        "CREATE TABLE b_low PARTITION OF b FOR VALUES FROM (MINVALUE) TO (5);"
        "CREATE TABLE b_high PARTITION OF b FOR VALUES FROM (5) TO (MAXVALUE);"
        "INSERT INTO t SELECT (enum_range(NULL::mood))[i % 4 + 1], i FROM generate_series(0, 19) AS i"
    )
    hashing = Recording()
    found = compare(pair, hashing)
    assert hashing.read == ["t", "t"]
    assert differing(found) == []
    assert {whole(answers)[0].rows for answers in found.values()} == {20}


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ("CREATE TABLE b PARTITION OF t FOR VALUES FROM (9) TO (99); INSERT INTO t VALUES (10)", (1, 2)),
        ("ALTER TABLE t DETACH PARTITION a", (1, 0)),
    ],
    ids=["a partition more", "a partition less"],
)
def test_a_tree_that_is_another_on_the_target_is_read(pair: Pair, change: str, rows: tuple[int, int]) -> None:
    pair.both(
        "CREATE TABLE t (id int) PARTITION BY RANGE (id); CREATE TABLE a PARTITION OF t FOR VALUES FROM (0) TO (9)"
    )
    pair.both("INSERT INTO t VALUES (1)")
    pair.target(change)
    found = compare(pair, Hashing())
    assert differing(found) == ["t"]
    assert tuple(digest.rows for digest in whole(found["t"])) == rows


def test_a_partition_that_is_not_compared_makes_the_table_be_read(pair: Pair) -> None:
    pair.both(TREE)
    pair.target("UPDATE t SET v = 'x' WHERE id = 1")
    assert differing(compare(pair, Hashing(), ["t", "t_new", "t_new_0", "t_new_1"])) == ["t"]


def test_a_partition_that_can_not_be_read_makes_the_table_be_read(pair: Pair) -> None:
    pair.both(
        "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE TABLE t (id int, m mood) PARTITION BY RANGE (id);"
        "CREATE TABLE a PARTITION OF t FOR VALUES FROM (0) TO (9); INSERT INTO t VALUES (1, 'sad')"
    )
    pair.target("DELETE FROM pg_enum WHERE enumlabel = 'sad'")
    found = compare(pair, Hashing())
    assert (found["t"].error or "").startswith("public.t can't be read on the target: invalid internal value for enum")
    assert (found["a"].error or "").startswith("public.a can't be read on the target: invalid internal value for enum")


def sampled(pair: Pair, percent: float = 10) -> Hashing:
    return Hashing.of_sample(percent, slicings(pair), least_rows=100)


def test_a_sample_of_the_partitions_is_one_of_the_table(pair: Pair) -> None:
    pair.both(TREE + "; ANALYZE t_old, t_new_0, t_new_1")
    found = compare(pair, sampled(pair))
    assert len(found["t"].taken_from) == 3
    source, target = whole(found["t"])
    assert source == target
    assert source.rows == 600
    assert 20 < source.hashed < 120


def test_a_table_of_which_no_sample_can_be_taken_is_read(pair: Pair) -> None:
    """Its rows are all hashed, although those of its partitions are not."""
    pair.both(TREE + "; ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t_old ADD PRIMARY KEY (id)")
    pair.both("ANALYZE t_old, t_new_0, t_new_1")
    found = compare(pair, sampled(pair))
    assert whole(found["t_old"])[0].hashed < whole(found["t_old"])[0].rows
    assert not found["t"].taken_from
    assert whole(found["t"])[0].hashed == 600
    assert len(found["t_new"].taken_from) == 2
