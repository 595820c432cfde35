-- What the rows of each chunk were when they were copied: their digest in the source. Digests of one form can be compared;
-- see verification/digests.py.
ALTER TABLE _pg_migration.chunk
    ADD COLUMN digest_form   text,
    ADD COLUMN digest_hashed bigint,
    ADD COLUMN digest_total  numeric,
    ADD COLUMN digest_mixed  numeric;
