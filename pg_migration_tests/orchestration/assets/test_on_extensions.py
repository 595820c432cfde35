"""What users put on tables and views of extensions."""

import pytest

from pg_migration_tests.orchestration.harness import Platform

# An extension whose files are everywhere, made to have a table and a view, with all that an extension may have on them.
EXTENSION = """
CREATE EXTENSION vector;
CREATE TABLE settings (key text PRIMARY KEY, value text, n int CHECK (n > 0));
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER shipped BEFORE INSERT ON settings FOR EACH ROW EXECUTE FUNCTION note();
CREATE INDEX shipped ON settings (n);
COMMENT ON TABLE settings IS 'of the extension';
CREATE VIEW overview AS SELECT key FROM settings;
ALTER EXTENSION vector ADD FUNCTION note();
ALTER EXTENSION vector ADD TABLE settings;
ALTER EXTENSION vector ADD VIEW overview;
"""
OURS = """
CREATE TABLE t (key text PRIMARY KEY, v vector(2));
CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
"""
ADDITIONS = {
    "index": "CREATE INDEX i ON settings (value)",
    "trigger": "CREATE TRIGGER tr BEFORE INSERT ON settings FOR EACH ROW EXECUTE FUNCTION mine()",
    "trigger that does not fire": "ALTER TABLE settings DISABLE TRIGGER shipped",
    "trigger of a view": "CREATE TRIGGER tr INSTEAD OF INSERT ON overview FOR EACH ROW EXECUTE FUNCTION mine()",
    "policy": "CREATE POLICY p ON settings USING (n > 1); ALTER TABLE settings ENABLE ROW LEVEL SECURITY",
    "unique": "ALTER TABLE settings ADD CONSTRAINT u UNIQUE (value)",
    "check": "ALTER TABLE settings ADD CONSTRAINT c CHECK (value <> '')",
    "foreign key": "ALTER TABLE settings ADD CONSTRAINT f FOREIGN KEY (value) REFERENCES t",
    "rule": "CREATE RULE r AS ON DELETE TO settings DO ALSO UPDATE t SET key = 'x' WHERE key = old.key",
    "statistics": "CREATE STATISTICS s ON value, n FROM settings",
    "comment": "COMMENT ON COLUMN settings.value IS 'mine'; COMMENT ON TABLE settings IS 'ours'",
    "grant": "GRANT SELECT ON settings TO PUBLIC",
    "comment of an addition": "CREATE INDEX i ON settings (value); COMMENT ON INDEX i IS 'mine'",
}
# Members are in no dump, so the catalogs are asked.
THERE = """
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'settings'::regclass
 UNION ALL SELECT pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger
            WHERE tgrelid IN ('settings'::regclass, 'overview'::regclass) AND NOT tgisinternal
 UNION ALL SELECT polname || pg_get_expr(polqual, polrelid) FROM pg_policy
 UNION ALL SELECT relrowsecurity::text || has_table_privilege('pg_monitor', oid, 'SELECT')::text
             FROM pg_class WHERE oid = 'settings'::regclass
 UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid = 'settings'::regclass AND contype <> 'n'
 UNION ALL SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class = 'settings'::regclass
 UNION ALL SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
 UNION ALL SELECT objsubid::text || description FROM pg_description WHERE objoid = 'settings'::regclass
 UNION ALL SELECT description FROM pg_description WHERE objoid = to_regclass('i')
 ORDER BY 1
"""


def test_it_is_copied(platform: Platform) -> None:
    platform.source.psql(EXTENSION + OURS)
    platform.target.psql(EXTENSION)
    assert platform.migrate_directly().failures == ()
    assert platform.target.psql(THERE) == platform.source.psql(THERE)
    platform.source.psql(";".join(dict.fromkeys(";".join(ADDITIONS.values()).split(";"))))
    for _ in range(2):
        assert platform.migrate_directly().failures == ()
        assert platform.target.psql(THERE) == platform.source.psql(THERE)


@pytest.mark.parametrize("ddl", [ADDITIONS["index"]])
def test_where_the_target_has_the_extension_elsewhere_it_is_named(platform: Platform, ddl: str) -> None:
    platform.source.psql(EXTENSION + OURS + ddl)
    platform.target.psql("CREATE SCHEMA elsewhere; SET search_path = elsewhere;" + EXTENSION)
    done = platform.migrate_directly()
    assert done.failures == ()
    told = "\n".join(done.notes)
    assert "index i: it is on public.settings of extension vector, which is elsewhere in the target" in told
    assert "shipped" not in told
