-- Everything that user objects lean on, in PostgreSQL's own words (documentation: "pg_depend"). OIDs from 16384 on belong
-- to objects made after initdb; what lies below is there in every database. Schemas are made first, but for extensions.
SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype
  FROM pg_depend
 WHERE objid >= 16384
   AND refobjid >= 16384
   AND (refclassid <> 'pg_namespace'::regclass OR classid = 'pg_extension'::regclass)
