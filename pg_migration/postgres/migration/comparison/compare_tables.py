"""Compare the rows of tables: how many there are, and a digest over all of them."""

import glob
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import ConfigurationError, MigrationError
from pg_migration.postgres.figures import counted
from pg_migration.postgres.hashing.copied_rows import CopiedRows, copied_rows, has_digests
from pg_migration.postgres.hashing.digests import Digest, Hashing, count_rows
from pg_migration.postgres.migration.comparison.against_ledger import compare_with_ledger
from pg_migration.postgres.migration.comparison.convergence import Convergence, note_validation
from pg_migration.postgres.migration.comparison.databases import both_sides
from pg_migration.postgres.migration.comparison.known_digests import known_digests
from pg_migration.postgres.migration.comparison.verdict import CONTENT, ROW_COUNT, Verdict
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.replication.state import Replication
from pg_migration.postgres.source_changes.drift import drift_of
from pg_migration.postgres.transfer.workload import COUNTING
from pg_migration.postgres.verification.both_sides import Answers, BothSides, Known, Unanswered
from pg_migration.postgres.verification.digest_tables import digest_tables
from pg_migration.postgres.verification.partition_trees import Origins, ask_once, find_origins
from pg_migration.postgres.verification.row_differences import MAX_ROWS_SHOWN, RowDifference, differences
from pg_migration.postgres.verification.slices import Slicing, slice_tables


@dataclass(frozen=True)
class _Why:
    """Why rows differ, after what there is to say already, and how that is known."""

    text: str = ""
    evidence: str = ""
    source_changed: bool = False


def compare_tables(run: MigrationRun, wanted: Mapping[TableName, set[str]]) -> Iterator[Verdict]:
    """Compare tables; whatever can't be compared has a verdict that did not pass. Never raises a `MigrationError`.

    Args:
        wanted: the comparisons of each table, by its name in the target.
    """
    if run.asks_ledger:
        yield from compare_with_ledger(run, wanted)
        return
    wanted = {name: checks for name, checks in wanted.items() if checks}
    answered = set[tuple[TableName, str]]()
    try:
        run.migration.check()
        tables = run.call(lambda: run.loadable(list(wanted)))
        gone = wanted.keys() - run.call(run.names_in_source)
        comparison = Comparison(run, wanted, run.call(lambda: run.live.followed))
        for verdict in comparison.verdicts(tables):
            answered.add((verdict.table, verdict.check))
            yield verdict
    except MigrationError as error:
        run.fail(str(error))
        for verdict in (v for name in wanted for v in _refused(name, wanted[name], str(error))):
            if (verdict.table, verdict.check) not in answered:
                yield verdict
        return
    for name in sorted(gone):
        reason = f"the source has no table for {'.'.join(name)} any more"
        run.fail(reason)
        yield from _refused(name, wanted[name], reason)


def _refused(name: TableName, checks: set[str], reason: str) -> Iterator[Verdict]:
    for check in sorted(checks):
        yield Verdict(name, check, False, reason)


class Comparison:
    """One comparison of some tables over both sides."""

    _sides: BothSides

    def __init__(
        self, run: MigrationRun, wanted: Mapping[TableName, set[str]], replication: Replication | None = None
    ) -> None:
        """
        Args:
            replication: what writes to the target meanwhile.
        """
        self._run = run
        self._wanted = wanted
        self._replication = replication
        self._moving: list[tuple[Answers[Digest], Hashing]] = []

    def verdicts(self, tables: Sequence[Table]) -> Iterator[Verdict]:
        """Every verdict that is wanted of some tables of the source."""
        passed = True
        with both_sides(self._run) as self._sides:
            for verdict in self._of_one_moment(tables):
                passed &= verdict.passed
                yield verdict
        # By then nothing of the target is locked: who waited for a table there would keep replication waiting.
        for verdict in self._of_moving_rows():
            passed &= verdict.passed
            yield verdict
        if self._replication is not None and passed and self._compares_all_rows(tables):
            self._run.call(lambda: note_validation(self._run, self._replication))

    def _of_one_moment(self, tables: Sequence[Table]) -> Iterator[Verdict]:
        run, sides = self._run, self._sides
        origins = run.call(lambda: find_origins(sides, tables))
        made = run.call(lambda: known_digests(run, tables))
        known = {
            name: sides
            for name, sides in made.items()
            if all(digest.hashed or not digest.rows for digests in sides.values() for digest in digests)
        }
        numbers = {
            name: {side: [digest.rows for digest in digests] for side, digests in sides.items()}
            for name, sides in made.items()
        }
        hashed = self._sliced([t for t in tables if self._is_hashed(t)], known, by_key=True)
        counted = self._sliced([t for t in tables if not self._is_hashed(t)], numbers, by_key=False)
        workers = run.call(run.workers)
        self._expect(counted, origins, numbers, COUNTING)
        self._expect(hashed, origins, known)
        for counts in ask_once(sides, count_rows, counted, origins, workers, numbers):
            source, target = (a if isinstance(a, Unanswered) else sum(a) for a in (counts.source, counts.target))
            why = self._why(counts, []) if source != target else _Why()
            verdict = self._row_count(counts, source, target, why)
            self._note([verdict], why)
            yield verdict
        hashing, unequal = run.hashing_of(hashed), list[Table]()
        for found in digest_tables(sides, hashed, hashing, origins, workers, known):
            if known and (found.table.key in known or found.taken_from) and not _are_equal(found):
                unequal.append(found.table)
            else:
                yield from self._digested(found, hashing)
        # What is not the same is read again, range by range, to tell where.
        again = self._sliced(unequal, {}, by_key=True)
        self._expect(again, origins, {})
        for found in digest_tables(sides, again, hashing, origins, workers):
            yield from self._digested(found, hashing)

    def _expect(
        self,
        slicings: Sequence[Slicing],
        origins: Origins,
        known: Known[Any],
        cost: float = 1.0,
    ) -> None:
        """Have the comparison expect the tables that are read."""
        there = {name for name, found in known.items() if len(found) == len(Side)}
        read = {
            ".".join(self._run.target_name(s.table)): s
            for s in slicings
            if s.table.key not in origins and s.table.key not in there
        }
        self._sides.progress.expect(read, cost, taken_over=len(slicings) - len(read))

    def _is_hashed(self, table: Table) -> bool:
        # What is written to can't be counted on both sides at one moment; its rows can be told from each other.
        return self._replication is not None or CONTENT in self._wanted[self._run.target_name(table)]

    def _compares_all_rows(self, tables: Sequence[Table]) -> bool:
        run, hashed = self._run, {name for name, checks in self._wanted.items() if CONTENT in checks}
        everything = {run.target_name(table) for table in run.catalog.tables} <= hashed and len(tables) == len(
            run.catalog.tables
        )
        return everything and run.options.content_sample_percent >= 100

    def _sliced(self, tables: Iterable[Table], known: Known[Any], by_key: bool) -> list[Slicing]:
        """Tables in the slices that both sides are read in; in one where nothing is to be read."""
        run, there, names = self._run, list[Table](), dict[Table, TableName]()
        for table in tables:
            if len(known.get(table.key, {})) == len(Side):
                there.append(table)
            else:
                names[table] = run.place(table)
        plans = run.plan(there)
        whole = [Slicing.whole(plan.table, plan.rows) for plan in plans]
        if run.live.moves and not by_key:
            # Writers wait: an index that has all rows is read in half the time, and in parallel, but not in stretches.
            return [
                *whole,
                *(Slicing.whole(table, max(0, round(table.reltuples))) for table in sorted(names, key=_size)),
            ]
        sliced = (
            run.call(lambda: slice_tables(run.planner(), run.sides.target_connection, names, by_key)) if names else []
        )
        return [*whole, *sliced]

    def _digested(self, found: Answers[Digest], hashing: Hashing) -> Iterator[Verdict]:
        name = self._run.target_name(found.table)
        if not found.seconds and not found.taken_from and (earlier := self._run.outcomes.hashed.get(name)) is not None:
            found = replace(found, seconds=earlier.seconds)  # it was read while others were copied
        source, target = (a if isinstance(a, Unanswered) else Digest.of(a) for a in (found.source, found.target))
        rows: Sequence[RowDifference] = []
        why, problem = _Why(), found.error
        if problem is None and source != target and self._replication is not None:
            self._moving.append((found, hashing))
            return
        if problem is None and source != target:
            try:
                rows = self._run.call(lambda: differences(self._sides, found, hashing))
                why = self._why(found, rows, hashing)
            except MigrationError as error:
                why = _Why(f"; the rows that differ can't be listed: {error}")
        equal = problem is None and source == target
        text = problem or _content_text(source, hashing, equal, rows) + _transformed(found.table) + why.text
        if equal and (columns := _computed_otherwise(found.table, source, target)):
            # What is not migrated may be something else in the target; all else is up to its server.
            equal = not found.table.leans_outside
            computed = f"{_columns(columns)}: {_WHY_OUTSIDE if found.table.leans_outside else _WHY_SERVER}"
            text = f"{text}, {computed}" if equal else computed
            if equal and found.table.kind == "r":
                self._run.outcomes.notes.append(f"{'.'.join(name)}: {computed}")
        verdicts = [Verdict(name, CONTENT, equal, text, found, source, target, rows, hashing, why.evidence)]
        if CONTENT not in self._wanted[name]:
            verdicts.clear()
        if ROW_COUNT in self._wanted[name]:
            ours, theirs = (a.rows if isinstance(a, Digest) else a for a in (source, target))
            verdicts.insert(0, self._row_count(found, ours, theirs, why))
        self._note(verdicts, why)
        yield from verdicts

    def _of_moving_rows(self) -> Iterator[Verdict]:
        """The verdicts of tables whose rows are not the same at first, while the target follows the source."""
        if self._replication is None or not self._moving:
            return
        convergence = Convergence(self._run, self._sides, self._replication)
        for found, hashing in sorted(self._moving, key=lambda pair: bool(pair[0].taken_from)):
            settled = convergence.settled(found, hashing)
            name, wanted = self._run.target_name(found.table), self._wanted[self._run.target_name(found.table)]
            source, target = (Digest.of(a) for a in (found.source, found.target) if not isinstance(a, Unanswered))
            equal, rows = settled.is_equal, settled.wrong
            verdicts = []
            if ROW_COUNT in wanted:
                text = f"{source.rows:,} rows in the source, {target.rows:,} in the target that follows it"
                text += "" if CONTENT in wanted else f": {settled}"
                verdicts.append(Verdict(name, ROW_COUNT, equal, text, found, source.rows, target.rows))
            if CONTENT in wanted:
                verdicts.append(Verdict(name, CONTENT, equal, str(settled), found, source, target, rows, hashing))
            self._note(verdicts, _Why())
            yield from verdicts

    def _why(self, found: Answers[Any], rows: Sequence[RowDifference], hashing: Hashing | None = None) -> _Why:
        """Why rows differ, in a run that compares with the source as it is now."""
        run = self._run
        if run.sides.snapshot is not None or run.live.moves or found.error is not None:
            return _Why()
        name = run.target_name(found.table)
        told = run.call(lambda: self._by_ledger(found, hashing)) if hashing is not None else None
        if told is not None and not told.source_changed:
            return told
        try:
            drift = run.call(
                lambda: drift_of(
                    self._sides, run.sides.target_connection, found.table, name, rows, hashing or Hashing()
                )
            )
        except MigrationError as error:
            return told or _Why(f"; whether the source changed can't be told: {error}")
        if told is not None:
            return told if drift is None else replace(told, evidence=f"{drift.evidence}; {told.evidence}")
        if drift is None:
            return _Why("; whether the source changed is not known", "the target has no record of when it was copied")
        return _Why(f"; {drift}", drift.evidence)

    def _by_ledger(self, found: Answers[Digest], hashing: Hashing) -> _Why | None:
        """Which side has the rows that were copied, by their digests; None where that is not known, or neither has."""
        run, table = self._run, found.table
        if table.kind != "r" or table.through_root:
            return None
        ours, theirs, copied = found.source, found.target, self._copied.get(run.place(table))
        if copied is None or copied.form != hashing.form(table, run.sides.same_encoding) or not copied.same_relation:
            return None
        try:
            whole = copied.is_whole(run.planner().key_column(table))
        except ConfigurationError:  # the table was cut by another key
            return None
        if not whole:
            return None
        at = f"the copy of {copied.copied_at:%Y-%m-%d %H:%M:%S} UTC"
        if isinstance(ours, tuple) and Digest.of(ours) == copied.digest:
            evidence = "the rows of the source have the digest that the ledger has of them"
            return _Why(f"; the source did not change since {at}, so the target did", evidence)
        if isinstance(theirs, tuple) and Digest.of(theirs) == copied.digest:
            evidence = "the rows of the target have the digest that the ledger has of the source's"
            return _Why(f"; the source changed since {at}, the target did not", evidence, source_changed=True)
        return None

    @cached_property
    def _copied(self) -> Mapping[TableName, CopiedRows]:
        """What the ledger knows of what was copied."""
        target = self._run.sides.target_connection
        return copied_rows(target, self._run.schemas.values()) if has_digests(target) else {}

    def _row_count(self, found: Answers[Any], source: int | Unanswered, target: int | Unanswered, why: _Why) -> Verdict:
        equal = found.error is None and source == target
        text = found.error or (
            f"{source:,} rows on both sides{_transformed(found.table)}"
            if equal
            else f"{source:,} rows in the source, {target:,} in the target{_transformed(found.table)}{why.text}"
        )
        name = self._run.target_name(found.table)
        return Verdict(name, ROW_COUNT, equal, text, found, source, target, evidence=why.evidence)

    def _note(self, verdicts: Sequence[Verdict], why: _Why) -> None:
        """Note the verdicts on one table for the summary, and what is wrong with it once."""
        outcomes, failed = self._run.outcomes, [verdict for verdict in verdicts if not verdict.passed]
        for verdict in verdicts:
            outcomes.checks.setdefault(verdict.table, {})[verdict.check] = verdict.passed
        if not failed:
            return
        name, found = failed[0].table, failed[0].found
        if found is None or found.error is not None:
            self._run.fail(failed[0].text)
            return
        outcomes.differing.add(name)
        outcomes.differences[name] = tuple(row for verdict in failed for row in verdict.rows)
        end = _transformed(found.table) + why.text
        told = ", ".join(verdict.text.removesuffix(end) for verdict in failed) + _transformed(found.table)
        # Where the rows are the same, what the target computes is not.
        computed = any(verdict.check == CONTENT and verdict.source == verdict.target for verdict in failed)
        remedy = "make that the same, then copy the table again" if computed else _remedy(found.table)
        if self._replication is not None or self._run.live.moves:
            remedy = (
                "mend these rows in the target by hand, or give the replication up (pg_migration abandon) and follow "
                "anew"
            )
        if self._run.swaps:
            inner = ".".join(self._run.place(found.table))
            remedy = f"see {inner}, and start the run again; what is live has not changed"
        self._run.fail(f"{'.'.join(name)}: {told}{why.text}. Next: {remedy}")


def _size(table: Table) -> int:
    return -table.bytes


def _transformed(table: Table) -> str:
    """That rows were not compared as they are in the source."""
    return f", {table.transform}" if table.transform is not None else ""


def _are_equal(found: Answers[Digest]) -> bool:
    """Whether both sides were read and are the same."""
    source, target = found.source, found.target
    return isinstance(source, tuple) and isinstance(target, tuple) and Digest.of(source) == Digest.of(target)


_WHY_SERVER = "the target's PostgreSQL computes other values"
_WHY_OUTSIDE = (
    "the target computes other values: what the table uses outside the migrated schemas is something else there"
)


def _columns(names: Sequence[str]) -> str:
    return f"generated {'column' if len(names) == 1 else 'columns'} {', '.join(names)}"


def _computed_otherwise(table: Table, source: object, target: object) -> list[str]:
    """The generated columns that have other values on the two sides, as far as that is known."""
    assert isinstance(source, Digest)
    assert isinstance(target, Digest)
    names, (ours, theirs) = [column.name for column in table.computed_columns], (source.computed, target.computed)
    if ours is None or theirs is None or len(ours) != len(names) or len(theirs) != len(names):
        return []
    return [name for name, own, other in zip(names, ours, theirs, strict=True) if own != other]


def _remedy(table: Table) -> str:
    """The command that mends a table. The rows of a partitioned one are in its partitions."""
    return "pg_migration repair" + ("" if table.kind == "p" else f" {shlex.quote(glob.escape('.'.join(table.key)))}")


def _content_text(source: Digest | Unanswered, hashing: Hashing, equal: bool, rows: Sequence[RowDifference]) -> str:
    if equal:
        verdict = "the same rows on both sides"
    elif not rows:
        verdict = "the rows are not the same"
    else:
        more = " or more" if len(rows) >= MAX_ROWS_SHOWN else ""
        verdict = f"{counted(len(rows), 'row')}{more} {'differ' if len(rows) > 1 else 'differs'}"
    if not isinstance(source, Digest) or source.hashed == source.rows:
        return verdict
    share = f"{source.hashed:,} of {source.rows:,} rows, {hashing.sample_percent:g} % by a hash of the key"
    return f"{verdict}, in a sample ({share})"
