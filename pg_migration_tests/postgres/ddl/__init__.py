"""One file per kind of database object: each case is DDL, and what comes out of a migration must dump the same."""
