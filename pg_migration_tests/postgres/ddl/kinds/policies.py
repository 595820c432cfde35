"""Row-level security."""

CASES = {
    "policies and flags": """
        CREATE TABLE t (a int, owner text);
        CREATE POLICY p ON t FOR SELECT TO PUBLIC, pg_monitor USING (owner = current_user);
        CREATE POLICY q ON t AS RESTRICTIVE FOR UPDATE USING (a > 0) WITH CHECK (a > (SELECT min(a) FROM t));
        ALTER TABLE t ENABLE ROW LEVEL SECURITY;
        CREATE TABLE f (a int);
        ALTER TABLE f FORCE ROW LEVEL SECURITY;
        COMMENT ON POLICY p ON t IS 'own';
    """,
}
