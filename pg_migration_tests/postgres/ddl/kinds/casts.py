"""Casts from and to types of ours."""

CASES = {
    "every method": """
        CREATE TYPE a AS ENUM ('x');
        CREATE TYPE b AS ENUM ('x');
        CREATE FUNCTION a_to_b(a) RETURNS b LANGUAGE sql IMMUTABLE AS 'SELECT NULL::b';
        CREATE CAST (a AS b) WITH FUNCTION a_to_b(a) AS IMPLICIT;
        CREATE CAST (b AS a) WITH INOUT AS ASSIGNMENT;
        CREATE TYPE r AS (x int);
        CREATE TYPE q AS (x int);
        CREATE CAST (r AS q) WITH INOUT;
    """,
}
