"""Rows that differ between a database and the one that follows it, which are read again until it is clear why.

A row may differ because the other side has not got a change yet, or has got one that was not there when the first side
was read. A version of a row is known by the transaction that wrote it (xmin): a row that has the same version at two
readings was not written between them. PostgreSQL docs: "System Columns".
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.figures import counted
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.hashing.part import Part
from pg_migration.postgres.verification.both_sides import Answers, BothSides
from pg_migration.postgres.verification.row_differences import (
    BUCKET_BITS,
    HASH_BITS,
    MAX_ROWS_SHOWN,
    End,
    RowDifference,
    differing_columns,
    in_reading_order,
    unequal_slices,
)
from pg_migration.postgres.verification.slices import WHOLE

ROUNDS = 5
# Rows of a slice that are read one by one, and those of them that are followed.
MAX_ROWS_READ = 200_000
MAX_KEYS = 50_000

Version = tuple[int, str]
"""The hash of a row and the transaction that wrote it."""
Versions = Mapping[str, tuple[Version, ...]]
"""By key all rows that have it, in a fixed order: one, in a table with a primary key."""


@dataclass(frozen=True)
class Settled:
    """What became of the rows of a table that differed at first.

    ``wrong`` are the first of those that differ although nobody has written them meanwhile, ``wrong_rows`` how many
    there are. ``in_motion`` are so many that were written each time that they were looked at. ``unknown`` says why
    something could not be told. ``later``: the table is not replicated, and copied anew in the end.
    """

    wrong: tuple[RowDifference, ...] = ()
    wrong_rows: int = 0
    in_motion: int = 0
    unknown: str | None = None
    later: bool = False

    @property
    def is_equal(self) -> bool:
        """Whether every row is the same, or was on its way."""
        return not self.wrong_rows and self.unknown is None

    def __add__(self, other: "Settled") -> "Settled":
        return Settled(
            (*self.wrong, *other.wrong)[:MAX_ROWS_SHOWN],
            self.wrong_rows + other.wrong_rows,
            self.in_motion + other.in_motion,
            self.unknown or other.unknown,
            self.later or other.later,
        )

    def __str__(self) -> str:
        moving = f"; {counted(self.in_motion, 'row')} in motion" if self.in_motion else ""
        if self.unknown is not None:
            return f"{self.unknown}{moving}"
        if self.wrong_rows:
            differ = "differs" if self.wrong_rows == 1 else "differ"
            return f"{counted(self.wrong_rows, 'row')} {differ} that nobody has written meanwhile{moving}"
        if self.later:
            return "not the same rows, as the table is not replicated: it is copied anew at the cutover"
        return f"the same rows on both sides{moving}"


def settle(
    ends: tuple[Connection, Connection],
    sides: BothSides,
    answers: Answers[Digest],
    hashing: Hashing,
    catch_up: Callable[[], object],
) -> Settled:
    """Tell the rows of a table that are wrong from those that are on their way.

    Args:
        ends: sessions of the source and the target, in no transaction.
        answers: the digests of both sides, which are not equal.
        catch_up: returns when the target has everything that the source had when it was called.

    Raises:
        MigrationError: what ``catch_up`` raises.
        psycopg2.Error: a side can't be read.
    """
    found = Settled()
    for predicate in unequal_slices(answers):
        read = [*zip(Side, ends, strict=True)]
        table = [End(end, sides.part(side, answers.table, WHOLE, end), hashing) for side, end in read]
        found += _Slice(table, predicate, catch_up).settled()
    return found


class _Slice:
    """Some rows of a table, a condition on which both sides share."""

    def __init__(self, ends: Sequence[End], predicate: sql.Composable, catch_up: Callable[[], object]) -> None:
        self._source, self._target = ends
        self._predicate, self._catch_up = predicate, catch_up
        self._has_key = bool(self._source.part.table.primary_key)

    def settled(self) -> Settled:
        """What becomes of the rows that differ now."""
        keys = self._differing()
        if len(keys) > MAX_KEYS:
            return Settled(unknown=f"more than {MAX_KEYS:,} rows differ, too many to be followed one by one")
        wrong: dict[str, str] = {}
        before, last = self._read(self._source, keys), dict[str, tuple[Version, ...]]()
        for _ in range(ROUNDS):
            if not keys:
                break
            self._catch_up()
            there, now = self._read(self._target, keys), self._read(self._source, keys)
            for key in list(keys):
                kind = judged(before.get(key, ()), there.get(key, ()), now.get(key, ()), last.get(key))
                if kind is not None:
                    keys.discard(key)
                    if kind:
                        wrong[key] = kind
            before, last = now, {key: there.get(key, ()) for key in keys}
        return Settled(self._described(wrong), len(wrong), len(keys))

    def _differing(self) -> set[str]:
        """The keys of the rows that differ at this moment."""
        ends = (self._source, self._target)
        parts = [replace(end.part, predicate=self._predicate) for end in ends]
        for shift in range(0, HASH_BITS - BUCKET_BITS + 1, BUCKET_BITS):
            ours, theirs = (end.buckets(part, shift) for end, part in zip(ends, parts, strict=True))
            unequal = sorted(b for b in ours.keys() | theirs.keys() if ours.get(b) != theirs.get(b))
            parts = [part.narrowed(end.in_buckets(unequal, shift)) for end, part in zip(ends, parts, strict=True)]
            if sum(side[b][0] for side in (ours, theirs) for b in unequal if b in side) <= MAX_ROWS_READ:
                break
        source, target = (end.rows(part) for end, part in zip(ends, parts, strict=True))
        return {key for key in source.keys() | target.keys() if source.get(key) != target.get(key)}

    def _read(self, end: End, keys: set[str]) -> Versions:
        return end.versions(replace(end.part, predicate=self._predicate), sorted(keys)) if keys else {}

    def _described(self, wrong: Mapping[str, str]) -> tuple[RowDifference, ...]:
        shown = sorted(wrong, key=in_reading_order)[:MAX_ROWS_SHOWN]
        parts: list[Part] = [replace(e.part, predicate=self._predicate) for e in (self._source, self._target)]
        changed = [key for key in shown if wrong[key] == "different"] if self._has_key else []
        columns = differing_columns((self._source, self._target), parts, changed)
        return tuple(RowDifference(wrong[key], key, columns.get(key, ())) for key in shown)


def judged(
    before: tuple[Version, ...],
    there: tuple[Version, ...],
    now: tuple[Version, ...],
    last: tuple[Version, ...] | None,
) -> str | None:
    """What a row of the source that was read before and after the target's is: nothing wrong (""), wrong in some way,
    or not clear yet (None).

    Args:
        before, now: of the source; the target had passed the former when it was read.
        last: of the target, at its reading before.
    """
    counts = Counter(h for h, _ in there)
    if counts in (Counter(h for h, _ in before), Counter(h for h, _ in now)):
        return ""
    if before != now:
        return None
    lacking, surplus = Counter(h for h, _ in now) - counts, counts - Counter(h for h, _ in now)
    if lacking:
        return "different" if surplus else "missing"
    # It may have come and gone in the source in between, unless it was there before the target passed that point.
    return "extra" if there == last else None
