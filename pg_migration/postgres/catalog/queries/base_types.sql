-- Base types, and shells that were never filled. A base type's input and output functions take the type, so a shell of it
-- comes first. Making one takes a superuser.
SELECT 'pg_type'::regclass::oid AS classid,
       t.oid AS objid,
       n.nspname AS schema,
       t.typname AS name,
       format('DROP TYPE IF EXISTS %s CASCADE', t.oid::regtype) AS drop_statement,
       ARRAY[CASE WHEN t.typisdefined
                  THEN format('CREATE TYPE %s (%s)', t.oid::regtype,
                              concat_ws(', ',
                                        'INTERNALLENGTH = ' || CASE t.typlen WHEN -1 THEN 'VARIABLE'
                                                                             ELSE concat(t.typlen) END,
                                        'INPUT = ' || concat(t.typinput),
                                        'OUTPUT = ' || concat(t.typoutput),
                                        'RECEIVE = ' || nullif(concat(t.typreceive), '-'),
                                        'SEND = ' || nullif(concat(t.typsend), '-'),
                                        'TYPMOD_IN = ' || nullif(concat(t.typmodin), '-'),
                                        'TYPMOD_OUT = ' || nullif(concat(t.typmodout), '-'),
                                        'ANALYZE = ' || nullif(concat(t.typanalyze), '-'),
                                        'SUBSCRIPT = ' || CASE WHEN to_jsonb(t) ->> 'typsubscript' <> '-'
                                                               THEN (to_jsonb(t) ->> 'typsubscript') END,
                                        CASE WHEN t.typcollation <> 0 THEN 'COLLATABLE = true' END,
                                        'DEFAULT = ' || quote_literal(t.typdefault),
                                        'ELEMENT = ' || format_type(nullif(t.typelem, 0), NULL),
                                        'DELIMITER = ' || quote_literal(nullif(t.typdelim, ',')::text),
                                        'ALIGNMENT = ' || CASE t.typalign WHEN 'c' THEN 'char' WHEN 's' THEN 'int2'
                                                                          WHEN 'i' THEN 'int4' ELSE 'double' END,
                                        'STORAGE = ' || CASE t.typstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external'
                                                                          WHEN 'x' THEN 'extended' ELSE 'main' END,
                                        'CATEGORY = ' || quote_literal(nullif(t.typcategory, 'U')::text),
                                        CASE WHEN t.typispreferred THEN 'PREFERRED = true' END,
                                        CASE WHEN t.typbyval THEN 'PASSEDBYVALUE' END))
                  ELSE format('CREATE TYPE %s', t.oid::regtype) END] AS statements,
       CASE WHEN t.typisdefined THEN format('CREATE TYPE %s', t.oid::regtype) END AS shell
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE (t.typtype = 'b' OR t.typtype = 'p' AND NOT t.typisdefined)
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   -- Not the array type that goes with every other type.
   AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid AND m.deptype = 'e')
