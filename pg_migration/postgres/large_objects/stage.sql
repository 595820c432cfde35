-- What takes in the parts of large objects: COPY writes each by a trigger, so that no row is stored, and no part is decoded
-- on its way. ALWAYS: also where the role or the database has session_replication_role as replica.
CREATE TEMPORARY TABLE pg_migration_parts (loid oid, part bigint, data bytea);
CREATE FUNCTION pg_temp.pg_migration_write_part() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    IF NEW.part OPERATOR(pg_catalog.=) 0 THEN
        PERFORM pg_catalog.lo_from_bytea(NEW.loid, NEW.data);
    ELSE
        PERFORM pg_catalog.lo_put(NEW.loid, NEW.part OPERATOR(pg_catalog.*) {part}, NEW.data);
    END IF;
    RETURN NULL;
END $function$;
CREATE TRIGGER write_part BEFORE INSERT ON pg_temp.pg_migration_parts
    FOR EACH ROW EXECUTE FUNCTION pg_temp.pg_migration_write_part();
ALTER TABLE pg_temp.pg_migration_parts ENABLE ALWAYS TRIGGER write_part
