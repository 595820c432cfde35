"""What a comparison of a table comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.verification.both_sides import Answers, Unanswered
from pg_migration.postgres.verification.row_differences import RowDifference

ROW_COUNT = "row_count"
CONTENT = "content"


@dataclass(frozen=True)
class Verdict:
    """What one comparison of one table came to; the table's name is the target's.

    ``text`` says it to people, ``evidence`` how it is known whether the source has changed. ``found`` has what both
    sides answered, None where they were not asked; ``source`` and ``target`` sum that up, as a number of rows or a
    digest. ``rows`` are the first that differ, by ``hashing``.
    """

    table: TableName
    check: str
    passed: bool
    text: str
    found: Answers[Any] | None = None
    source: int | Digest | Unanswered | None = None
    target: int | Digest | Unanswered | None = None
    rows: Sequence[RowDifference] = ()
    hashing: Hashing | None = None
    evidence: str = ""
