-- Casts that no schema holds: between built-in types where the system has none of its own and would convert by way of
-- text. Those of scalar types find uses by themselves, as people make them who come from servers that did so; that of
-- an array is used where it is asked for. Each raises an error when it is called.
SET search_path = pg_catalog, pg_temp;
SET check_function_bodies = off;
CREATE SCHEMA lurking;
GRANT USAGE ON SCHEMA lurking TO PUBLIC;
DO $$
DECLARE
    cast_ record;
    signature text;
BEGIN
    FOR cast_ IN
        WITH plain AS (
            SELECT oid FROM pg_type
             WHERE typnamespace = 'pg_catalog'::regnamespace
               AND (typname IN ('int2', 'int4', 'int8', 'numeric', 'float4', 'float8', 'oid', 'xid', 'tid', 'date', 'time',
                                'timestamp', 'timestamptz', 'interval', 'bool', 'uuid', 'json', 'jsonb', 'bytea', 'pg_lsn',
                                'txid_snapshot', 'aclitem')
                    OR typname ~ '^reg' AND typelem = 0)
        ), texts AS (
            SELECT unnest('{text,varchar,name}'::regtype[]) AS oid
        ), pair AS (
            SELECT p.oid AS source, t.oid AS target, 'AS IMPLICIT' AS context FROM plain p, texts t WHERE t.oid <> 'name'::regtype
             UNION ALL
            SELECT t.oid, p.oid, 'AS IMPLICIT' FROM plain p, texts t
             UNION ALL
            SELECT p.oid, 'name'::regtype, 'AS ASSIGNMENT' FROM plain p
             UNION ALL
            SELECT a.typarray, 'text'::regtype, '' FROM pg_type a WHERE a.oid IN (TABLE plain) OR a.oid IN (TABLE texts)
             UNION ALL
            SELECT 'text'::regtype, a.typarray, '' FROM pg_type a WHERE a.oid IN (TABLE plain) OR a.oid IN (TABLE texts)
        )
        SELECT format_type(p.source, NULL) AS source, format_type(p.target, NULL) AS target, p.context
          FROM pair p
         WHERE NOT EXISTS (SELECT FROM pg_cast c WHERE c.castsource = p.source AND c.casttarget = p.target)
    LOOP
        signature := format('lurking.%I(%s)', cast_.source || ' AS ' || cast_.target, cast_.source);
        EXECUTE format('CREATE FUNCTION %s RETURNS %s LANGUAGE plpgsql IMMUTABLE AS %L', signature, cast_.target,
                       format('BEGIN RAISE EXCEPTION %L; END', 'caught: the cast ' || signature || ' was reached'));
        EXECUTE format('CREATE CAST (%s AS %s) WITH FUNCTION %s %s', cast_.source, cast_.target, signature, cast_.context);
    END LOOP;
END $$;
