-- Objects that an earlier run made, with the digest of their DDL as the source wrote it and as this server writes it.
SELECT r.identity, r.source_digest, r.target_digest FROM _pg_migration.structure r
