"""Aggregates, for which the server writes no DDL."""

CASES = {
    "plain": """
        CREATE FUNCTION add(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1 + $2';
        CREATE AGGREGATE total(int) (SFUNC = add, STYPE = int, INITCOND = '0', COMBINEFUNC = add, PARALLEL =
            SAFE);
    """,
    "no arguments": """
        CREATE AGGREGATE n(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
    """,
    "moving": """
        CREATE AGGREGATE s(int) (SFUNC = int4_sum, STYPE = int8, MSFUNC = int4_avg_accum, MINVFUNC =
            int4_avg_accum_inv, MSTYPE = _int8, MFINALFUNC = int2int4_sum, MINITCOND = '{0,0}', SSPACE = 10);
    """,
    "ordered set and hypothetical": """
        CREATE AGGREGATE pd(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal,
            FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA = true, FINALFUNC_MODIFY = read_write);
        CREATE AGGREGATE tr(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE
            = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA = true, HYPOTHETICAL);
    """,
    "sort operator": """
        CREATE AGGREGATE largest(int) (SFUNC = int4larger, STYPE = int4, SORTOP = >);
    """,
    "owner and grants": """
        CREATE AGGREGATE n(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
        REVOKE ALL ON FUNCTION n() FROM PUBLIC;
        COMMENT ON AGGREGATE n(*) IS 'counts';
    """,
}
