"""What people see of a run that goes on after one that failed."""

from pg_migration_tests.orchestration.harness import Platform, Run

CUT = {"chunk_size": 500, "partition_threshold": 1000, "max_partitions": 2}
SWAP = "UPDATE customers SET name = 'other' WHERE id = 3"


def states(done: Run) -> dict[str, str]:
    """The last column of the summary's table, by table."""
    (table,) = (line for line in done.log if "| table" in line)
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("| public.")]
    return {row[1]: row[-2] for row in rows}


def test_after_a_failure(shop: Platform) -> None:
    shop.after("tables", lambda: shop.target.psql("ALTER TABLE orders RENAME CONSTRAINT orders_pkey TO other"))
    first = shop.migrate(**CUT)
    assert not first.success
    assert states(first) == {"public.customers": "copied", "public.orders": "copied"}
    shop.after("tables", lambda: None)
    shop.source.psql(SWAP)
    second = shop.migrate(**CUT)
    assert second.success
    since = f"since run {first.result.run_id[:8]}"
    assert states(second) == {
        "public.customers": "loaded anew after a run that failed: its rows were changed in the source",
        "public.orders": f"continued: 8 of 8 chunks were there {since}, unchanged",
    }
    assert second.metadata("summary")["rows"] == 4100
    assert second.metadata("public/orders")["rows"] == 4000
    assert len(second.partitions("public/orders")) == 2
    assert second.metadata("summary")["snapshot"] == second.metadata("source_schema")["snapshot"]
    third = shop.migrate(**CUT)
    assert third.success
    assert states(third) == {"public.customers": "copied", "public.orders": "copied"}


def test_a_table_that_was_found_to_differ_is_loaded_anew(shop: Platform) -> None:
    shop.after("tables", lambda: shop.target.psql(SWAP))
    assert not shop.migrate(**CUT).success
    shop.after("tables", lambda: None)
    done = shop.migrate(**CUT)
    assert done.success
    assert states(done)["public.customers"] == "copied"
    assert states(done)["public.orders"].startswith("continued: ")
