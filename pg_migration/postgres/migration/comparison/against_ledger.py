"""Compare the target with what was copied into it, as the ledger has it: the source is not asked, and may be gone."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from pg_migration.postgres.catalog import Catalog, Table, TableName, discover
from pg_migration.postgres.catalog.patterns import is_excluded
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.free_connections import affordable_workers, free_connections
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import ConfigurationError, MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.hashing.copied_rows import CopiedRows, copied_rows, has_digests
from pg_migration.postgres.hashing.digests import Digest
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.migration.comparison.verdict import CONTENT, ROW_COUNT, Verdict
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.schemas import EVERY_SCHEMA, map_schemas
from pg_migration.postgres.planning.key_ranges import parse
from pg_migration.postgres.planning.planner import Planner
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.verification.both_sides import Answers, BothSides, Unanswered
from pg_migration.postgres.verification.comparison_progress import ComparisonProgress
from pg_migration.postgres.verification.digest_tables import digest_tables
from pg_migration.postgres.verification.row_differences import ranges_that_differ
from pg_migration.postgres.verification.slices import Slicing, slice_tables

MAX_RANGES_TOLD = 20


def copied_tables(run: MigrationRun) -> Mapping[TableName, CopiedRows]:
    """What the ledger knows of the chosen schemas' tables but the excluded ones; names are the target's.

    Raises:
        ConfigurationError: nothing was copied, or by a version that kept no digests.
        MigrationError: the target can't be asked.
    """
    run.migration.check()
    target, where = run.sides.target_connection, f"the target {run.sides.target.description}"
    if not run.call(lambda: has_digests(target)):
        migrated = run.call(lambda: has(target, "chunk"))
        reason = "the version that migrated to it kept no digests" if migrated else "nothing was migrated to it"
        raise ConfigurationError(f"{where} can't be compared with its ledger: {reason}")
    found = run.call(lambda: copied_rows(target, _chosen_schemas(run)))
    kept = {name: rows for name, rows in found.items() if not is_excluded(*name, run.options.exclude_tables)}
    if not kept:
        raise ConfigurationError(f"{where} can't be compared with its ledger, which knows no table of these schemas")
    return kept


def _chosen_schemas(run: MigrationRun) -> Collection[str] | None:
    """Their names in the target; None for all."""
    chosen = run.migration.source_schemas
    if chosen.strip() == EVERY_SCHEMA:
        return None
    return map_schemas(chosen, run.migration.target_schemas).values()


def compare_with_ledger(run: MigrationRun, wanted: Mapping[TableName, set[str]]) -> Iterator[Verdict]:
    """Compare tables with what was copied; whatever can't be compared has a verdict that did not pass.

    Args:
        wanted: the comparisons of each table, by its name in the target.
    """
    told: set[TableName] = set()
    try:
        for name, verdicts in _compared(run, [name for name, checks in wanted.items() if checks]):
            told.add(name)
            chosen = [verdict for verdict in verdicts if verdict.check in wanted[name]]
            run.outcomes.checks[name] = {verdict.check: verdict.passed for verdict in chosen}
            if failed := [verdict for verdict in chosen if not verdict.passed]:
                run.outcomes.differing.add(name)
                run.fail(f"{'.'.join(name)}: {failed[0].text}")
            yield from chosen
    except MigrationError as error:
        run.fail(str(error))
        for name in wanted.keys() - told:
            yield from (Verdict(name, check, False, str(error)) for check in sorted(wanted[name]))


def _compared(run: MigrationRun, names: Sequence[TableName]) -> Iterator[tuple[TableName, list[Verdict]]]:
    """Both verdicts on each table."""
    known = copied_tables(run)
    catalog = _target_catalog(run, {schema_name for schema_name, _ in names})
    tables = {table.key: table for table in catalog.tables}
    comparable: list[Table] = []
    planner = Planner(run.sides.target_connection, run.options, None)
    for name in names:
        if (reason := _not_comparable(known.get(name), tables.get(name), planner)) is not None:
            yield name, [Verdict(name, check, False, reason) for check in (ROW_COUNT, CONTENT)]
        else:
            comparable.append(tables[name])
    read = [table for table in comparable if table.kind == "r"]
    found = {answers.table.key: answers for answers in _answers(run, planner, catalog, read, known)}
    trees = {
        table.key: _together(table, [found[leaf.key] for leaf in read if _is_below(leaf, table, tables)])
        for table in comparable
        if table.kind == "p"
    }
    for table in comparable:
        tree = trees.get(table.root) if table.root is not None else None
        answers = found[table.key] if table.kind == "r" else trees[table.key]
        yield table.key, _verdicts(answers, known[table.key], tree)


def _target_catalog(run: MigrationRun, schemas: Collection[str]) -> Catalog:
    target = run.sides.target_connection
    present = "SELECT nspname FROM pg_namespace WHERE nspname = ANY (%s)"
    there = run.call(lambda: fetch(target, present, (list(schemas),)))
    return run.call(lambda: discover(target, {name: name for (name,) in there}, readable=False))


def _not_comparable(copied: CopiedRows | None, table: Table | None, planner: Planner) -> str | None:
    """Why a table can't be compared with the ledger."""
    if copied is None:
        return "no run has copied this table"
    if table is None or not copied.same_relation:
        gone = "is not in the target any more" if table is None else "was made anew in the target"
        return f"the table {gone} since the copy of {copied.copied_at:%Y-%m-%d %H:%M:%S} UTC"
    if table.kind == "r" and copied.form is None:
        return "the ledger does not have digests of all of its rows: they were not hashed, or not all were copied"
    try:
        whole = copied.is_whole(planner.key_column(table))
    except ConfigurationError as error:  # the target has another key now
        return f"the ranges in the ledger can't be compared: {error}"
    return None if whole else "the ledger does not have each of its rows once: ranges are missing, or overlap"


def _answers(
    run: MigrationRun,
    planner: Planner,
    catalog: Catalog,
    tables: Sequence[Table],
    known: Mapping[TableName, CopiedRows],
) -> Iterator[Answers[Digest]]:
    """The digests of the ledger, as those of the source, beside those of the target."""
    target = run.sides.target_connection
    slicings = run.call(lambda: _slicings(planner, tables, known))
    hashing = run.hashing_of(slicings)
    workers = run.call(lambda: affordable_workers(run.options.workers, [free_connections(target)]))
    snapshot = run.call(lambda: Snapshot.take(run.connections, run.sides.target))
    names = {schema_name: schema_name for schema_name, _ in known}
    try:
        for same_encoding in (True, False):
            alike, others = list[Slicing](), list[Slicing]()
            for slicing in slicings:
                same = known[slicing.table.key].form == hashing.form(slicing.table, same_encoding)
                (alike if same else others).append(slicing)
            slicings = others
            progress = ComparisonProgress(run.workload, run.tell)
            progress.expect({".".join(slicing.table.key): slicing for slicing in alike})
            snapshots = {Side.TARGET: snapshot}
            sides = BothSides(run.connections, names, snapshots, catalog.settings, same_encoding, progress)
            copied = {s.table.key: {Side.SOURCE: _by_slices(known[s.table.key], s)} for s in alike}
            yield from digest_tables(sides, alike, hashing, {}, workers, copied)
    finally:
        snapshot.release()
    for slicing in slicings:
        reason = Unanswered(
            "the digests in the ledger are of another form than this program makes of the table: its columns or their "
            "types are others now, another share of the rows was hashed, or another version has copied them"
        )
        yield Answers(slicing, reason, reason, 0.0)


def _slicings(planner: Planner, tables: Sequence[Table], known: Mapping[TableName, CopiedRows]) -> list[Slicing]:
    """Tables in the ranges that they were copied in, so that it can be told which of them changed, or in pages."""
    by_range: dict[Table, Slicing] = {}
    for table in tables:
        copied, key = known[table.key], planner.key_column(table)
        if len(copied.ranges) > 1 and key is not None:
            ranges = [parse(range_key, key, ".".join(table.key)) for range_key in copied.ranges]
            by_range[table] = Slicing.of_ranges(table, copied.rows, key, ranges)
    names = {table: table.key for table in tables if table not in by_range}
    return [*by_range.values(), *slice_tables(planner, planner.connection, names, by_key=False)]


def _by_slices(copied: CopiedRows, slicing: Slicing) -> Sequence[Digest]:
    return [copied.ranges[piece.key] for piece in slicing.ranges] if slicing.ranges else [copied.digest]


def _is_below(leaf: Table, table: Table, tables: Mapping[TableName, Table]) -> bool:
    """Whether a table is a partition of another one, at whatever depth."""
    above: Table | None = leaf
    while above is not None and above.is_partition and above.parents:
        above = tables.get(above.parents[0])
        if above is table:
            return True
    return False


def _together(table: Table, leaves: Sequence[Answers[Digest]]) -> Answers[Digest]:
    """The answers of a partitioned table, which has the rows of its leaves."""
    slicing = Slicing.whole(table, sum(leaf.slicing.rows for leaf in leaves))
    for leaf in leaves:
        if leaf.error is not None:
            return Answers(slicing, Unanswered(leaf.error), Unanswered(leaf.error), 0.0)
    source = tuple(digest for leaf in leaves if isinstance(leaf.source, tuple) for digest in leaf.source)
    target = tuple(digest for leaf in leaves if isinstance(leaf.target, tuple) for digest in leaf.target)
    return Answers(slicing, source, target, 0.0, tuple(leaf.table.key for leaf in leaves))


def _digests(answers: Answers[Digest]) -> tuple[Digest, Digest] | None:
    """What was copied and what is there; None where that can't be told."""
    if isinstance(answers.source, tuple) and isinstance(answers.target, tuple):
        return Digest.of(answers.source), Digest.of(answers.target)
    return None


def _verdicts(answers: Answers[Digest], copied: CopiedRows, tree: Answers[Digest] | None) -> list[Verdict]:
    """Both verdicts on a table.

    Args:
        tree: the answers of the whole tree that a partition is of: there, rows may have come into other partitions.
    """
    name, digests = answers.table.key, _digests(answers)
    if digests is None:
        reason = answers.error or ""
        return [Verdict(name, check, False, reason, answers) for check in (ROW_COUNT, CONTENT)]
    source, target = digests
    at = f"at {copied.copied_at:%Y-%m-%d %H:%M:%S} UTC"
    same = source == target
    counted, content = f"{source.rows:,} rows, as many as were copied", f"the rows that were copied {at}"
    if not same and tree is not None and (whole := _digests(tree)) is not None and whole[0] == whole[1]:
        same = True
        content = f"together with the other partitions of {'.'.join(tree.table.key)} {content}"
        counted = f"{target.rows:,} rows, {source.rows:,} were copied: {content}"
    if source.rows != target.rows and not same:
        counted = f"{source.rows:,} rows were copied, the target has {target.rows:,}"
    if not same:
        ranges = ranges_that_differ(answers)
        where = f", in the ranges {listed(ranges, MAX_RANGES_TOLD)}" if ranges else ""
        content = f"the target changed since: its rows are not those that were copied {at}{where}"
    sampled = "" if source.hashed == source.rows else f", in a sample ({source.hashed:,} of {source.rows:,} rows)"
    return [
        Verdict(name, ROW_COUNT, same or source.rows == target.rows, counted, answers, source.rows, target.rows),
        Verdict(name, CONTENT, same, content + sampled, answers, source, target),
    ]
