"""The asset ``live``: a run that swaps, what it refuses to do in parts, and the way back."""

from pg_migration_tests.orchestration.harness import Platform

NEW = "SELECT count(*) FROM orders WHERE placed = '2030-01-01'"
OLD = "SELECT count(*) FROM orders WHERE placed <> '2030-01-01'"


def test_a_run_swaps_everything_or_nothing(shop: Platform) -> None:
    assert shop.migrate(refresh="swap").success
    before = shop.target.psql(OLD)
    shop.source.psql("UPDATE orders SET placed = '2030-01-01'")
    shop.after("tables", lambda: shop.target.psql("DELETE FROM public__next.orders WHERE id = 7"))
    differing = shop.migrate(refresh="swap")
    assert differing.passed["public/orders"] is False
    assert "live" not in differing.started
    assert (shop.target.psql(OLD), shop.target.psql(NEW)) == (before, "0")
    shop.after("tables", lambda: None)
    done = shop.migrate(refresh="swap")
    assert done.success
    assert (shop.target.psql(OLD), shop.target.psql(NEW)) == ("0", before)
    figures = done.metadata("live")
    assert (figures["swapped"], figures["kept"]) == ("public", "public__previous")
    assert 0 < figures["locks_held_ms"] < 5000
    assert done.passed == {"public/customers": True, "public/orders": True}
    assert shop.validate().success
    # What was not loaded by the very run is never swapped in, whatever steps somebody chooses.
    job = shop.definitions.resolve_job_def("migrate")
    alone = shop.run(job, {"refresh": "swap"}, op_selection=["live"])
    assert "was not loaded by this run" in alone.failures["live"]
    chosen = shop.materialize("public/orders", refresh="swap")
    assert "refresh 'swap' loads everything" in chosen.failures["tables"]
    assert shop.target.psql(NEW) == before
    back = shop.run(shop.definitions.resolve_job_def("swap_back"), {})
    assert back.success
    assert back.metadata("live")["swapped"] == "public"
    assert (shop.target.psql(OLD), shop.target.psql(NEW)) == (before, "0")
