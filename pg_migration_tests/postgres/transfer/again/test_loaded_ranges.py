"""What the ledger shows as loaded."""

import pytest

from pg_migration.postgres.ledger.chunks import all_loaded_ranges, loaded_ranges
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration_tests.postgres.transfer.harness import Pair

NAME = ("public", "t")


@pytest.mark.parametrize(
    "spoilt",
    [
        "DELETE FROM _pg_migration.chunk WHERE chunk = 2",
        "CREATE TABLE other (LIKE t); DROP TABLE t; ALTER TABLE other RENAME TO t",
        "DROP TABLE t",
    ],
    ids=["a chunk is missing", "another table", "no table"],
)
def test_only_whole_ranges_of_the_table_that_they_were_loaded_into(pair: Pair, spoilt: str) -> None:
    pair.source.psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000); ANALYZE t")
    pair.load_all(LoadSettings(chunk_size=300))
    with pair.target.connection() as target:
        (loaded,) = loaded_ranges(target, NAME)
        assert (loaded.key, loaded.rows) == ("all", 1000)
        pair.target.psql(spoilt)
        assert loaded_ranges(target, NAME) == ()
        assert all_loaded_ranges(target, [NAME]) == {}
