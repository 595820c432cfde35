"""The digests that a run has made of its tables while it copied them, as far as they still hold."""

from collections.abc import Iterator, Mapping, Sequence

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.lock_waits import WATCH
from pg_migration.postgres.hashing.copied_rows import copied_rows
from pg_migration.postgres.hashing.digests import Digest
from pg_migration.postgres.hashing.untouched import may_be_written, read_counts
from pg_migration.postgres.ledger.runs import session_name
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.verification.both_sides import Known


def known_digests(run: MigrationRun, tables: Sequence[Table]) -> Known[Digest]:
    """What need not be read again: the source's rows are those of the run's snapshot, so they can't have changed; the
    target's where its server has counted nothing since but what the run itself wrote.

    What other runs have copied from that snapshot, or was shown to be the same in it, is in the ledger.

    Raises:
        psycopg2.Error: the target can't be asked.
    """
    hashed, sampled = {**run.outcomes.hashed, **run.outcomes.carried}, run.options.content_sample_percent < 100
    names = {table.key: run.target_name(table) for table in tables if run.target_name(table) in hashed}
    ours, sessions = run.connections.processes(), (session_name(run.owner or run.run_id), WATCH)
    counted = names and not may_be_written(run.sides.target_connection, ours, sessions)
    places = {table.key: run.place(table) for table in tables}
    counts = read_counts(run.sides.target_connection, [places[key] for key in names]) if counted else {}
    known: dict[TableName, Mapping[Side, Sequence[Digest]]] = {}
    for key, name in names.items():
        found, sides = hashed[name], dict[Side, Sequence[Digest]]()
        if found.source_digest is not None:
            sides[Side.SOURCE] = [found.source_digest]
        if found.target is not None and found.written is not None and found.written.is_all(counts.get(places[key])):
            sides[Side.TARGET] = [found.target]
        # Which rows are chosen depends on an estimate, which may be another one for a comparison.
        if sides and (not sampled or len(sides) == len(Side)):
            known[key] = sides
    # The ledger does not have what each side computes.
    others = [
        table
        for table in tables
        if table.key not in known and table.kind == "r" and not table.through_root and not table.computed_columns
    ]
    for table, digests in _of_the_snapshot(run, others):
        known[table.key] = {Side.SOURCE: digests}
    return known


def _of_the_snapshot(run: MigrationRun, tables: Sequence[Table]) -> Iterator[tuple[Table, Sequence[Digest]]]:
    """The source's digests of tables that are all of the run's snapshot, by the ledger."""
    hashing, snapshot = run.hashing_of([]), run.sides.snapshot
    if snapshot is None or not tables or run.options.content_sample_percent < 100 or not run.options.check_content:
        return
    copied, planner = copied_rows(run.sides.target_connection, list(run.schemas.values())), run.planner()
    for table in tables:
        found = copied.get(run.place(table))
        if found is None or found.snapshots != {snapshot.name}:
            continue
        whole = found.same_relation and found.is_whole(planner.key_column(table))
        if whole and found.form == hashing.form(table, run.sides.same_encoding):
            yield table, [found.digest]
