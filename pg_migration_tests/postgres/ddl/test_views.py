"""Views."""

from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_same_dump, migrate


def test_views_in_a_circle_are_replaced(upgrade: Pair) -> None:
    upgrade.load(
        """
        CREATE VIEW v AS SELECT 1 AS a;
        CREATE VIEW w AS SELECT a FROM v;
        CREATE OR REPLACE VIEW v AS SELECT a FROM w;
        CREATE VIEW x AS SELECT a FROM v;
        """
    )
    assert migrate(upgrade).failures == []
    upgrade.load("CREATE OR REPLACE VIEW w AS SELECT a FROM v WHERE a > 1;")
    assert migrate(upgrade).failures == []
    assert_same_dump(upgrade)
    upgrade.load("DROP VIEW v CASCADE; CREATE VIEW v AS SELECT 'text'::text AS b; CREATE VIEW w AS SELECT b FROM v;")
    assert migrate(upgrade).failures == []
    assert upgrade.query("SELECT count(*) FROM w WHERE b = 'text'") == "1"
    assert migrate(upgrade).plan.create == ()
