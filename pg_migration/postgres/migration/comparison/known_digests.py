"""The digests that a run has made of its tables while it copied them, as far as they still hold."""

from collections.abc import Mapping, Sequence

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.verification.digests import Digest
from pg_migration.postgres.verification.untouched import read_counts

Known = Mapping[TableName, Mapping[Side, Digest]]
"""Digests of all rows of tables, by their names in the source."""


def known_digests(run: MigrationRun, tables: Sequence[Table]) -> Known:
    """What need not be read again: the source's rows are those of the run's snapshot, so they can't have changed; the
    target's where its server has counted nothing since but what the run itself wrote.

    Raises:
        psycopg2.Error: the target can't be asked.
    """
    hashed, sampled = run.outcomes.hashed, run.options.content_sample_percent < 100
    names = {table.key: run.target_name(table) for table in tables if run.target_name(table) in hashed}
    counts = read_counts(run.target_connection, list(names.values()))
    known: dict[TableName, Mapping[Side, Digest]] = {}
    for key, name in names.items():
        found, sides = hashed[name], dict[Side, Digest]()
        if found.source_digest is not None:
            sides[Side.SOURCE] = found.source_digest
        if found.target is not None and found.written is not None and found.written.is_all(counts.get(name)):
            sides[Side.TARGET] = found.target
        # Which rows are chosen depends on an estimate, which may be another one for a comparison.
        if sides and (not sampled or len(sides) == len(Side)):
            known[key] = sides
    return known
