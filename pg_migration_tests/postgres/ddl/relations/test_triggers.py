"""Triggers."""

from collections.abc import Mapping

import pytest

CASES = {
    "every form": """
        CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TABLE t (a int, b text);
        CREATE VIEW v AS SELECT * FROM t;
        CREATE TRIGGER one BEFORE UPDATE OF b ON t FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE
            FUNCTION tf('x', 'it''s %');
        CREATE TRIGGER two AFTER INSERT ON t REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION
            tf();
        CREATE TRIGGER three INSTEAD OF DELETE ON v FOR EACH ROW EXECUTE FUNCTION tf();
        CREATE CONSTRAINT TRIGGER four AFTER DELETE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE
            FUNCTION tf();
        CREATE TRIGGER five AFTER TRUNCATE ON t EXECUTE FUNCTION tf();
        ALTER TABLE t DISABLE TRIGGER one;
        ALTER TABLE t ENABLE REPLICA TRIGGER two;
        ALTER TABLE t ENABLE ALWAYS TRIGGER five;
        COMMENT ON TRIGGER four ON t IS 'late';
    """,
    "states of their own in partitions of partitions": """
        CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TABLE other (a int PRIMARY KEY);
        CREATE TABLE t (a int REFERENCES other) PARTITION BY LIST (a);
        CREATE TRIGGER one AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf();
        CREATE CONSTRAINT TRIGGER two AFTER DELETE ON t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION tf();
        CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1) PARTITION BY LIST (a);
        CREATE TABLE t1_1 PARTITION OF t1 FOR VALUES IN (1);
        ALTER TABLE ONLY t1 DISABLE TRIGGER one;
        ALTER TABLE t1_1 ENABLE ALWAYS TRIGGER one;
        ALTER TABLE t1_1 ENABLE REPLICA TRIGGER two;
    """,
}


@pytest.mark.parametrize("case", CASES)
def test_dumps_alike(together: Mapping[str, str], case: str) -> None:
    assert not together[case], together[case]
