"""The order of kinds of objects."""

from collections.abc import Mapping

from pg_migration.postgres.catalog.model import MATERIALIZED_ROWS

# Ties in the order are broken by kind. Owners and privileges come late: until then everything belongs to the role that
# made it, and that one may go on. Those of schemas precede the others: an owner needs CREATE on the schema, who grants
# needs USAGE. Materialized views are filled with the rights of their owners, policies included. Event triggers come
# last of all, as they fire for what is made after them.
RANKS: Mapping[str, int] = {
    kind: rank
    for rank, kind in enumerate(
        (
            "extension",
            "language",
            "access method",
            "foreign-data wrapper",
            "server",
            "user mapping",
            "schema",
            "collation",
            "shell",
            "type",
            "domain",
            "domain constraint",
            "function",
            "aggregate",
            "operator",
            "operator family",
            "operator class",
            "operator family member",
            "cast",
            "transform",
            "conversion",
            "text search parser",
            "text search template",
            "text search dictionary",
            "text search configuration",
            "sequence",
            "table",
            "foreign table",
            "compression",
            "check",
            "not null",
            "partition",
            "default",
            "identity",
            "sequence owner",
            "primary key",
            "unique",
            "exclusion",
            "index",
            "index attachment",
            "clustered",
            "replica identity",
            "statistics",
            "foreign key",
            "view",
            "view default",
            "validation",
            "materialized view",
            "rule",
            "trigger",
            "policy",
            "row security",
            "publication",
            "publication table",
            "publication schema",
            "subscription",
            "comment",
            "security label",
            "extension dependency",
            "owner of schema",
            "privileges of schema",
            "owner",
            "privileges",
            MATERIALIZED_ROWS,
            "default privileges",
            "database",
            "event trigger",
        )
    )
}
