"""Rewrite rules."""

CASES = {
    "on a table and on a view": """
        CREATE TABLE t (a int);
        CREATE TABLE log (a int);
        CREATE VIEW v AS SELECT a FROM t;
        CREATE RULE ins AS ON INSERT TO v DO INSTEAD INSERT INTO t VALUES (NEW.a) RETURNING t.a;
        CREATE RULE upd AS ON UPDATE TO t WHERE OLD.a <> NEW.a DO ALSO (INSERT INTO log VALUES (OLD.a);
            DELETE FROM log WHERE a < 0);
        CREATE RULE del AS ON DELETE TO t DO INSTEAD NOTHING;
        ALTER TABLE t DISABLE RULE del;
        COMMENT ON RULE del ON t IS 'never';
    """,
}
