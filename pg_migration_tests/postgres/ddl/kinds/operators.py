"""Operators, their classes and families."""

CASES = {
    "commutator and negator": """
        CREATE FUNCTION same(int, text) RETURNS bool LANGUAGE sql AS 'SELECT true';
        CREATE FUNCTION same(text, int) RETURNS bool LANGUAGE sql AS 'SELECT true';
        CREATE OPERATOR === (FUNCTION = same, LEFTARG = int, RIGHTARG = text, COMMUTATOR = ===, NEGATOR = !==,
            RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
        CREATE OPERATOR === (FUNCTION = same, LEFTARG = text, RIGHTARG = int, COMMUTATOR = ===);
        CREATE OPERATOR !== (FUNCTION = same, LEFTARG = int, RIGHTARG = text, NEGATOR = ===);
    """,
    "prefix": """
        CREATE FUNCTION neg(bool) RETURNS bool LANGUAGE sql AS 'SELECT NOT $1';
        CREATE OPERATOR ~~~ (FUNCTION = neg, RIGHTARG = bool);
        COMMENT ON OPERATOR ~~~ (NONE, bool) IS 'not';
    """,
    "class in a family of its own": """
        CREATE FUNCTION cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $2 - $1';
        CREATE OPERATOR CLASS backwards FOR TYPE int USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =,
            OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 cmp(int, int);
        CREATE TABLE t (a int);
        CREATE INDEX i ON t (a backwards);
    """,
    "members of a family": """
        CREATE OPERATOR FAMILY fam USING btree;
        CREATE OPERATOR CLASS c4 FOR TYPE int4 USING btree FAMILY fam AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3
            =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4, int4);
        ALTER OPERATOR FAMILY fam USING btree ADD OPERATOR 1 < (int4, int8), OPERATOR 3 = (int4, int8), FUNCTION
            1 (int4, int8) btint48cmp(int4, int8);
    """,
    "class with storage": """
        CREATE OPERATOR CLASS g FOR TYPE int4 USING gin AS OPERATOR 3 =, FUNCTION 1 btint4cmp(int4, int4),
            FUNCTION 2 ginarrayextract(anyarray, internal, internal), FUNCTION 3 ginqueryarrayextract(anyarray,
            internal, int2, internal, internal, internal, internal), FUNCTION 4 ginarrayconsistent(internal, int2,
            anyarray, int4, internal, internal, internal, internal), STORAGE int4;
    """,
}
