-- In one schema (:schema), whatever the program might mean something else by: a function, an operator, a type or a view
-- for every name in :words that the system has, with the same arguments and with ones that fit better. Each raises an
-- error when it is called or read. Names that can't be given away (pseudo-types and the like) are left out.
SET search_path = pg_catalog, pg_temp;
SET check_function_bodies = off;
CREATE SCHEMA IF NOT EXISTS :"schema";
CREATE FUNCTION :"schema".caught(what text) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'caught: % was reached', what; END $$;
SELECT set_config('hostile.schema', :'schema', false), set_config('hostile.words', :'words', false) \g /dev/null

CREATE PROCEDURE pg_temp.try(statement text) LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE statement; EXCEPTION WHEN OTHERS THEN NULL; END $$;

CREATE PROCEDURE pg_temp.trap(name text, arguments text, result text) LANGUAGE plpgsql AS $$
DECLARE
    signature text := format('%I.%I(%s)', current_setting('hostile.schema'), name, arguments);
BEGIN
    CALL pg_temp.try(format('CREATE FUNCTION %s RETURNS %s LANGUAGE plpgsql IMMUTABLE AS %L', signature, result,
                            format('BEGIN RAISE EXCEPTION %L; END', 'caught: ' || replace(signature, '%', '') || ' was reached')));
END $$;

-- A table called like a type makes a type of that name, and so does a domain.
DO $$
DECLARE
    here text := current_setting('hostile.schema');
    words text[] := string_to_array(current_setting('hostile.words'), ' ');
    found record;
    variant record;
    arguments text;
BEGIN
    FOR found IN SELECT t.typname FROM pg_type t
                  WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typname = ANY (words) AND t.typrelid = 0 LOOP
        CALL pg_temp.try(format('CREATE DOMAIN %I.%I AS int4 CHECK (%I.caught(%L) > value)', here, found.typname, here, found.typname));
    END LOOP;
    FOR found IN SELECT c.relname FROM pg_class c
                  WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relname = ANY (words) AND c.relkind IN ('r', 'v') LOOP
        CALL pg_temp.try(format('CREATE VIEW %I.%I AS SELECT %I.caught(%L) AS oid', here, found.relname, here, found.relname));
    END LOOP;
    FOR found IN SELECT p.oid, p.proname, p.proretset,
                        CASE WHEN t.typtype = 'p' AND t.typname !~ '^any' THEN 'int4' ELSE format_type(t.oid, NULL) END AS result
                   FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
                  WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (words)
                    AND NOT 'internal'::regtype = ANY (p.proargtypes) LOOP
        -- The same arguments come of most variants.
        FOR variant IN
            SELECT DISTINCT ON (a.arguments) v.old, v.new, a.arguments
              FROM (VALUES ('text'::regtype, 'text'::regtype), ('text', 'name'), ('oid', 'regclass'), ('int8', 'int4'),
                           ('"any"', 'text'), ('anyelement', 'text'), ('anynonarray', 'text')) AS v (old, new)
             CROSS JOIN LATERAL (
                SELECT coalesce(string_agg(format_type(CASE a.type WHEN v.old THEN v.new ELSE a.type END, NULL), ', '
                                           ORDER BY a.number), '') AS arguments
                  FROM pg_proc p, unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, number)
                 WHERE p.oid = found.oid) AS a
             ORDER BY a.arguments, v.old = '"any"'::regtype DESC
        LOOP
            arguments := variant.arguments;
            CALL pg_temp.trap(found.proname, arguments, CASE WHEN found.proretset THEN 'SETOF ' ELSE '' END || found.result);
            IF variant.old = '"any"'::regtype AND (SELECT provariadic FROM pg_proc WHERE oid = found.oid) <> 0 THEN
                FOR count IN 1 .. 4 LOOP
                    arguments := arguments || ', ' || variant.new;
                    CALL pg_temp.trap(found.proname, arguments, found.result);
                END LOOP;
            END IF;
        END LOOP;
    END LOOP;
END $$;

DO $$
DECLARE
    here text := current_setting('hostile.schema');
    found record;
BEGIN
    FOR found IN
        WITH plain AS (
            SELECT o.oprname, o.oprleft AS l, o.oprright AS r, o.oprresult AS result FROM pg_operator o
             WHERE o.oprnamespace = 'pg_catalog'::regnamespace
               AND o.oprname IN ('=', '<>', '<', '<=', '>', '>=', '||', '+', '-', '*', '/', '&', '>>', '<<', '~', '!~',
                                 '~~', '!~~', '->>')
               AND o.oprleft = ANY ('{bool,"\"char\"",name,int2,int4,int8,text,oid,xid,tid,float8,numeric,date,timestamptz,
                                       uuid,json,jsonb,anyarray,record}'::regtype[])
        )
        SELECT oprname, l, r, result FROM plain
         UNION
        SELECT p.oprname, v.l, v.r, p.result
          FROM plain p
          JOIN (VALUES ('text'::regtype, 'name'::regtype, 'text'::regtype), ('text', 'text', 'name'), ('text', 'name', 'name'),
                       ('text', 'varchar', 'varchar'), ('oid', 'oid', 'regclass'), ('oid', 'regclass', 'regclass'),
                       ('numeric', 'int8', 'numeric')) AS v (old, l, r) ON p.l = v.old AND p.r = v.old
    LOOP
        CALL pg_temp.trap('operator ' || found.oprname, format('%s, %s', format_type(found.l, NULL), format_type(found.r, NULL)),
                          format_type(found.result, NULL));
        CALL pg_temp.try(format('CREATE OPERATOR %I.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = %I.%I)', here, found.oprname,
                                format_type(found.l, NULL), format_type(found.r, NULL), here, 'operator ' || found.oprname));
    END LOOP;
END $$;
