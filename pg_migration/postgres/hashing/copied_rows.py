"""The digests of the source's rows as they were copied: what proves the target when the source is gone."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import execute_rows, fetch
from pg_migration.postgres.hashing.digests import Digest
from pg_migration.postgres.ledger.chunks import ChunkName
from pg_migration.postgres.ledger.schema import version
from pg_migration.postgres.planning.key_ranges import KeyColumn, are_disjoint, cover_everything, parse
from pg_migration.postgres.sql_files import sql_file

# Ledgers have digests since this version.
WITH_DIGESTS = 4


@dataclass(frozen=True)
class HashedChunks:
    """The digests of a table's chunks, all of one form; the table's name is the target's."""

    table: TableName
    form: str
    chunks: Mapping[ChunkName, Digest]


@dataclass(frozen=True)
class CopiedRows:
    """What the ledger knows of the rows that were copied into a table, and when the source held them.

    ``ranges`` has the digest of each range, by its key. ``form`` is theirs; None where some have none, or not all have
    the same one. ``same_relation`` tells whether the table is still the one that they were copied into; ``snapshots``
    are those that the rows are of.
    """

    table: TableName
    rows: int
    ranges: Mapping[str, Digest]
    form: str | None
    snapshots: frozenset[str]
    copied_at: datetime
    same_relation: bool

    @property
    def digest(self) -> Digest:
        """That of all rows."""
        return Digest.of(self.ranges.values())

    def is_whole(self, key: KeyColumn | None) -> bool:
        """Whether the ranges hold every row of the table once.

        Args:
            key: what the table is cut on.
        """
        ranges = [parse(range_key, key, ".".join(self.table)) for range_key in self.ranges]
        return cover_everything(ranges, key) and are_disjoint(ranges, key)


def has_digests(connection: Connection) -> bool:
    """Whether a target has a ledger that keeps digests.

    Raises:
        LedgerTooNew: as `schema.version`.
    """
    return (version(connection) or 0) >= WITH_DIGESTS


def record_digests(connection: Connection, hashed: Iterable[HashedChunks]) -> None:
    """Write down digests, in one statement. A chunk that the ledger has no longer is left out."""
    rows = [
        (*table.table, key, number, table.form, digest.hashed, digest.total, digest.mixed)
        for table in hashed
        for (key, number), digest in table.chunks.items()
    ]
    execute_rows(
        connection,
        "UPDATE _pg_migration.chunk c SET digest_form = d.form, digest_hashed = d.hashed, digest_total = d.total, "
        "digest_mixed = d.mixed FROM (VALUES %s) AS d (schema_name, table_name, range_key, chunk, form, hashed, "
        "total, mixed) WHERE (c.schema_name, c.table_name, c.range_key, c.chunk) "
        "= (d.schema_name, d.table_name, d.range_key, d.chunk)",
        rows,
        template="(%s, %s, %s, %s::int, %s, %s::bigint, %s::numeric, %s::numeric)",
    )


def hashed_chunks(connection: Connection, tables: Collection[TableName]) -> Sequence[HashedChunks]:
    """The digests of the chunks of some tables, of those whose every chunk in the ledger has one of the same form."""
    rows = fetch(
        connection,
        "SELECT schema_name, table_name, min(digest_form), json_agg(json_build_array(range_key, chunk, row_count, "
        "digest_hashed, concat(digest_total), concat(digest_mixed))) FROM _pg_migration.chunk "
        "WHERE (schema_name, table_name) IN (SELECT * FROM unnest(%s::text[], %s::text[])) GROUP BY 1, 2 "
        "HAVING count(*) = count(digest_form) AND min(digest_form) = max(digest_form)",
        ([schema for schema, _ in tables], [name for _, name in tables]),
    )
    return [
        HashedChunks(
            (schema, name),
            form,
            {
                (key, n): Digest(count, hashed, int(total), int(mixed), None)
                for key, n, count, hashed, total, mixed in found
            },
        )
        for schema, name, form, found in rows
    ]


def copied_rows(connection: Connection, schemas: Collection[str] | None = None) -> Mapping[TableName, CopiedRows]:
    """What the ledger knows of the tables in some schemas of the target, or in all.

    Raises:
        psycopg2.Error: the ledger can't be read, or is of a version without digests.
    """
    found: dict[TableName, CopiedRows] = {}
    chosen = None if schemas is None else list(schemas)
    tables = fetch(connection, sql_file("hashing/copied_rows.sql"), {"schemas": chosen})
    for schema, name, ranges, form, number, snapshots, copied_at, same in tables:
        digests = {
            key: Digest(rows, hashed or 0, int(total or 0), int(mixed or 0), None)
            for key, rows, hashed, total, mixed in ranges
        }
        found[schema, name] = CopiedRows((schema, name), number, digests, form, frozenset(snapshots), copied_at, same)
    return found
