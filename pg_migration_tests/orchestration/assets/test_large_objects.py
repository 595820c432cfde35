"""Large objects in Dagster: an asset with its checks where the source has some, and none where it has none."""

import dagster as dg

from pg_migration_tests.orchestration.harness import Platform

LARGE_OBJECTS = dg.AssetKey("large_objects")
CHECKS = {("large_objects", "object_count"): True, ("large_objects", "content"): True}


def test_they_are_an_asset_that_is_copied_compared_and_repaired(shop: Platform) -> None:
    shop.source.psql("SELECT lo_from_bytea(n, sha256(n::text::bytea)) FROM generate_series(50001, 50020) AS n")
    done = shop.migrate()
    assert done.success, done.failures
    metadata = done.metadata("large_objects")
    ahead = done.metadata("source_schema")
    assert (ahead["planned_large_objects"], ahead["planned_large_object_bytes"]) == (20, 640)
    assert (metadata["objects"], metadata["copied"], metadata["bytes"]) == (20, 20, 640)
    assert done.metadata("summary")["large_objects"] == "20 large objects, 640 B: 20 copied, 0 were the same"
    every = {key: found.passed for key, found in done.every_check.items()}
    assert CHECKS.items() <= every.items()

    shop.target.psql("SELECT lo_unlink(50001), lo_put(50002, 3, 'damage')")
    compared = shop.validate()
    assert not compared.success
    counted, content = (compared.every_check[key] for key in CHECKS)
    assert (counted.passed, counted.description) == (False, "20 large objects in the source, 19 of them in the target")
    assert (content.passed, content.description) == (False, "2 large objects are not the same")
    assert (
        "large object 50001: missing (its content in the source did not change since it was copied)"
        in compared.failures["large_object_checks"]
    )
    repaired = shop.repair()
    assert repaired.success, repaired.failures
    assert {key: repaired.every_check[key].passed for key in CHECKS} == CHECKS
    assert shop.validate().success

    left_out = shop.migrate(large_objects=False)
    assert left_out.success, left_out.failures
    assert "large_objects" not in left_out.assets
    assert "20 large objects: left out (large_objects: false)" in left_out.metadata("summary")["notes"]

    # Where the source has none any more there is no step about them, and they go all the same.
    shop.source.psql("SELECT count(lo_unlink(oid)) FROM pg_largeobject_metadata")
    shop.reload()
    assert shop.migrate().success
    assert shop.target.psql("SELECT count(*) FROM pg_largeobject_metadata") == "0"


def test_without_them_there_is_no_asset_and_new_ones_stop_the_run(shop: Platform) -> None:
    assert LARGE_OBJECTS not in shop.definitions.resolve_asset_graph().get_all_asset_keys()
    shop.source.psql("SELECT lo_create(50001)")
    refused = shop.migrate()
    assert "had none when the code location was loaded" in refused.failures["source_schema"]
    assert shop.target.psql("SELECT to_regclass('orders')") == ""
    assert LARGE_OBJECTS in shop.reload().resolve_asset_graph().get_all_asset_keys()
