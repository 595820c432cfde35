"""Tables that are materialized before the target has them."""

from pg_migration_tests.orchestration.harness import Platform

DDL = """
CREATE TABLE plain (id integer PRIMARY KEY);
CREATE TABLE parted (id integer, day date) PARTITION BY RANGE (day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
INSERT INTO plain SELECT generate_series(1, 10);
INSERT INTO parted SELECT n, '2024-01-02' FROM generate_series(1, 10) AS n;
"""


SAID = (
    "the target does not have {}. Materialize target_ddl in the same run, which makes what is missing, or start the "
    "job migrate. No row was copied."
)


def test_the_run_says_what_makes_them(platform: Platform) -> None:
    platform.source.psql(DDL)
    platform.instance.add_dynamic_partitions("pk_ranges/public.plain", ["all"])
    tables = [f"public/{table}" for table in ("plain", "parted", "parted_1")]
    whole, part = platform.materialize(*tables), platform.materialize(tables[0], partition="all")
    assert whole.failures == {"tables": SAID.format("public.parted, public.parted_1, public.plain")}
    assert part.failures == {"tables": SAID.format("public.plain")}
    assert platform.materialize("target_ddl", *tables).success
    assert platform.target.psql("SELECT count(*) FROM plain, parted_1") == "100"


def test_one_that_is_lost_in_a_whole_run_stops_no_other(platform: Platform) -> None:
    platform.source.psql(DDL)
    platform.after("target_ddl", lambda: platform.target.psql("DROP TABLE plain"))
    done = platform.migrate()
    assert 'public.plain: relation "public.plain" does not exist' in done.failures["tables"]
    assert "parted" not in done.failures["tables"]
    assert platform.target.psql("SELECT count(*) FROM parted_1") == "10"
