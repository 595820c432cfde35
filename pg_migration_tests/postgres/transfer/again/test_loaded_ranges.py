"""What the ledger shows as loaded."""

from pg_migration.postgres.ledger.chunks import all_loaded_ranges, loaded_ranges
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration_tests.postgres.transfer.harness import Pair

# What is done to each table after it was loaded.
SPOILT = {
    "a chunk is missing": "DELETE FROM _pg_migration.chunk WHERE table_name = '{t}' AND chunk = 2",
    "another table": "CREATE TABLE other (LIKE {t}); DROP TABLE {t}; ALTER TABLE other RENAME TO {t}",
    "no table": "DROP TABLE {t}",
}


def test_only_whole_ranges_of_the_table_that_they_were_loaded_into(pair: Pair) -> None:
    tables = {case: f"t{number}" for number, case in enumerate(SPOILT)}
    for table in (*tables.values(), "whole"):
        pair.source.psql(
            f"CREATE TABLE {table} (id int PRIMARY KEY); INSERT INTO {table} SELECT generate_series(1, 1000)"
        )
    pair.load_all(LoadSettings(chunk_size=300))
    with pair.target.connection() as target:
        for case, table in tables.items():
            name = ("public", table)
            (loaded,) = loaded_ranges(target, name)
            assert (loaded.key, loaded.rows) == ("all", 1000)
            pair.target.psql(SPOILT[case].format(t=table))
            assert loaded_ranges(target, name) == (), case
        assert all_loaded_ranges(target, [("public", table) for table in (*tables.values(), "whole")]).keys() == {
            ("public", "whole")
        }
