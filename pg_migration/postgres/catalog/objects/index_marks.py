"""What can only be said once an index is there: marks on the table, and its place under a partitioned index."""

from collections.abc import Iterator

from pg_migration.postgres.catalog.draft import Draft
from pg_migration.postgres.catalog.model import Address
from pg_migration.postgres.catalog.reading.rows import ConstraintRow, IndexRow
from pg_migration.postgres.catalog.schema_renaming import quote


def marks(row: IndexRow | ConstraintRow, table: str, made: Draft) -> Iterator[Draft]:
    """CLUSTER ON and REPLICA IDENTITY USING INDEX, for the index (``row``) that ``made`` builds on a table."""
    index = quote(row["index_name"])
    identity = f"REPLICA IDENTITY USING INDEX {index}"
    for is_so, mark, clause, undone in (
        (row["clustered"], "clustered", f"CLUSTER ON {index}", "SET WITHOUT CLUSTER"),
        (row["replica_identity"], "replica_identity", identity, "REPLICA IDENTITY DEFAULT"),
    ):
        if is_so:
            yield Draft(
                address=made.address._replace(aspect=mark),
                kind=mark.replace("_", " "),
                schema=made.schema,
                name=row["index_name"],
                phase=made.phase,
                statements=(f"ALTER TABLE ONLY {table} {clause}",),
                drop=f"ALTER TABLE ONLY {table} {undone}",
                relation=made.relation,
                requires={made.address},
                replaceable=True,
            )


def attachment(row: IndexRow | ConstraintRow, made: Draft, parent: Address) -> Draft:
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
