"""Ask both sides the same of every table, with a few connections each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Generic, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.endpoint import Endpoint, Side
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.ledger import TableName
from pg_migration.postgres.session import Connections
from pg_migration.postgres.snapshot import Snapshot

Answer = TypeVar("Answer")
Question = Callable[[Connection, TableName, Table], Answer]


@dataclass(frozen=True)
class Unanswered:
    """Why a side could not answer, for people."""

    reason: str


@dataclass(frozen=True)
class Answers(Generic[Answer]):
    """What the two sides said of one table."""

    table: Table
    source: Answer | Unanswered
    target: Answer | Unanswered

    @property
    def error(self) -> str | None:
        """Why there is nothing to compare."""
        reasons = [side.reason for side in (self.source, self.target) if isinstance(side, Unanswered)]
        return "; ".join(reasons) or None


@dataclass(frozen=True)
class BothSides:
    """The two ends of a comparison.

    Args:
        schemas: name in the target of each source schema.
        snapshot: ask the source as it was then; None asks what is there now.
    """

    connections: Connections
    source: Endpoint
    target: Endpoint
    schemas: Mapping[str, str]
    snapshot: Snapshot | None

    def open(self, side: Side) -> Connection:
        """A connection to one side; to the source inside the snapshot, if there is one.

        Raises:
            ConnectionFailed, SnapshotLost: as they say.
        """
        connection = self.connections.open(self.source if side is Side.SOURCE else self.target)
        if side is Side.SOURCE and self.snapshot is not None:
            self.snapshot.adopt(connection)
        return connection

    def name(self, side: Side, table: TableName) -> TableName:
        """What a source table is called on one side."""
        return table if side is Side.SOURCE else (self.schemas[table[0]], table[1])

    def ask(self, question: Question[Answer], tables: Sequence[Table], workers: int) -> Iterator[Answers[Answer]]:
        """Ask a question of every table on both sides; a failure is one table's answer, not an exception.

        Args:
            question: is given a connection, the relation's name on that side (see `compared_relation`) and the table.
            workers: connections to each side.
        """
        ordered = sorted(tables, key=lambda t: -t.bytes)
        count = min(workers, len(ordered))
        results: dict[Table, dict[Side, Answer | Unanswered]] = {table: {} for table in ordered}
        with ThreadPoolExecutor(max_workers=max(1, 2 * count), thread_name_prefix="pg_migration compare") as pool:
            pending: list[Future[list[tuple[Table, Side, Answer | Unanswered]]]] = [
                pool.submit(self._ask_batch, question, side, ordered[n::count]) for n in range(count) for side in Side
            ]
            try:
                for done in as_completed(pending):
                    for table, side, answer in done.result():
                        results[table][side] = answer
                        if len(results[table]) == len(Side):
                            yield Answers(table, results[table][Side.SOURCE], results[table][Side.TARGET])
            except BaseException:
                self.connections.cancel()
                raise

    def _ask_batch(
        self, question: Question[Answer], side: Side, tables: Sequence[Table]
    ) -> list[tuple[Table, Side, Answer | Unanswered]]:
        try:
            connection = self.open(side)
        except (MigrationError, psycopg2.Error) as error:
            return [(table, side, Unanswered(str(error))) for table in tables]
        try:
            return [(table, side, self._ask_one(question, connection, side, table)) for table in tables]
        finally:
            connection.close()

    def _ask_one(
        self, question: Question[Answer], connection: Connection, side: Side, table: Table
    ) -> Answer | Unanswered:
        name = self.name(side, compared_relation(table)[0])
        try:
            return question(connection, name, table)
        except psycopg2.Error as error:
            return Unanswered(f"{'.'.join(name)} can't be read on the {side.value}: {server_message(error)}")


def compared_relation(table: Table) -> tuple[TableName, bool]:
    """What to read for a table (its name in the source), and whether with everything below it.

    Rows of a partition that had to be loaded through the root may stand in another partition on the target, so there
    the whole tree is compared.
    """
    if table.through_root and table.root is not None:
        return table.root, True
    return table.key, table.kind == "p"
