"""Range types and their multirange types."""

CASES = {
    "plain": """
        CREATE TYPE floatrange AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
    """,
    "multirange named": """
        CREATE TYPE tr AS RANGE (SUBTYPE = text, COLLATION = "C", MULTIRANGE_TYPE_NAME = many_tr);
        CREATE TABLE t (a tr, b many_tr);
    """,
    "difference by a function of ours": """
        CREATE FUNCTION apart(time, time) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT extract(epoch FROM $1 - $2)';
        CREATE TYPE timerange AS RANGE (SUBTYPE = time, SUBTYPE_DIFF = apart);
    """,
}
