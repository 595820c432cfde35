"""What can only be said once an index is there: marks on the table, and its place under a partitioned index."""

from collections.abc import Iterator

from pg_migration.postgres.catalog.catalog_session import Row
from pg_migration.postgres.catalog.draft import Draft
from pg_migration.postgres.catalog.model import Address
from pg_migration.postgres.catalog.schema_renaming import quote


def marks(row: Row, table: Row, made: Draft) -> Iterator[Draft]:
    """CLUSTER ON and REPLICA IDENTITY USING INDEX, for the index (``row``) that ``made`` builds."""
    index = quote(row["index_name"])
    for mark, clause, undone in (
        ("clustered", f"CLUSTER ON {index}", "SET WITHOUT CLUSTER"),
        ("replica_identity", f"REPLICA IDENTITY USING INDEX {index}", "REPLICA IDENTITY DEFAULT"),
    ):
        if row[mark]:
            yield Draft(
                address=made.address._replace(aspect=mark),
                kind=mark.replace("_", " "),
                schema=made.schema,
                name=row["index_name"],
                phase=made.phase,
                statements=(f"ALTER TABLE ONLY {table['quoted']} {clause}",),
                drop=f"ALTER TABLE ONLY {table['quoted']} {undone}",
                relation=made.relation,
                requires={made.address},
                replaceable=True,
            )


def attachment(row: Row, made: Draft, parent: Address) -> Draft:
    """ALTER INDEX ... ATTACH PARTITION; belongs to the partition, so that it follows as soon as that one is built."""
    return Draft(
        address=made.address._replace(aspect="attach"),
        kind="index attachment",
        schema=made.schema,
        name=row["index_name"],
        phase=made.phase,
        statements=(f"ALTER INDEX {row['parent_index']} ATTACH PARTITION {row['quoted_index']}",),
        relation=made.relation,
        requires={made.address, parent},
    )
