"""Two databases with the same table ``t``, and the comparison of it."""

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, discover
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.planning.planner import Planner
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.verification.both_sides import Answers, BothSides
from pg_migration.postgres.verification.row_differences import RowDifference, differences, ranges_that_differ
from pg_migration.postgres.verification.slices import slice_tables


class Pair:
    """A source and a target, and what the library says of their tables ``t``."""

    def __init__(self, urls: tuple[str, str], links: Connections) -> None:
        self.links = links
        self.settings = LoadSettings()
        self.hashing = Hashing()
        self.schemas = {"public": "public"}
        self.ends = {side: Endpoint.parse(side, url, "URL") for side, url in zip(Side, urls, strict=True)}
        self._table: Table | None = None
        self._sessions: dict[Side, Connection] = {}
        self._owners = {side: psycopg2.connect(url) for side, url in zip(Side, urls, strict=True)}
        for owner in self._owners.values():
            owner.autocommit = True

    def both(self, text: str) -> None:
        self.source(text)
        self.target(text)

    def source(self, text: str) -> None:
        """Run SQL in the source; several statements are a transaction."""
        self._run(Side.SOURCE, text)
        self._table = None

    def target(self, text: str) -> None:
        """The same in the target."""
        self._run(Side.TARGET, text)

    def _run(self, side: Side, text: str) -> None:
        execute(self._owners[side], text)
        # As the end of a session does it.
        execute(self._owners[side], "SELECT pg_catalog.pg_stat_force_next_flush()")

    def close(self) -> None:
        """End the sessions that ran SQL."""
        for owner in self._owners.values():
            owner.close()

    def session(self, side: Side) -> Connection:
        """The session that looks at the structure of one side: a server's first look takes twice as long as others."""
        found = self._sessions.get(side)
        if found is None or found.closed:
            found = self._sessions[side] = self.links.open(self.ends[side])
        return found

    @property
    def table(self) -> Table:
        if self._table is None:
            self._table = discover(self.session(Side.SOURCE), self.schemas).tables_by_name["public", "t"]
        return self._table

    @property
    def sides(self) -> BothSides:
        """Both sides as they are now."""
        snapshots = {side: Snapshot.take(self.links, end) for side, end in self.ends.items()}
        return BothSides(self.links, self.schemas, snapshots)

    def answers(self) -> Answers[Digest]:
        """The digests of every slice."""
        return self._answers(self.sides)

    def digests(self) -> tuple[Digest, Digest]:
        """The digests of the whole table."""
        answers = self.answers()
        assert answers.error is None
        assert isinstance(answers.source, tuple)
        assert isinstance(answers.target, tuple)
        return Digest.of(answers.source), Digest.of(answers.target)

    def differences(self) -> tuple[RowDifference, ...]:
        sides = self.sides
        return differences(sides, self._answers(sides), self.hashing)

    def ranges_that_differ(self) -> tuple[str, ...]:
        return ranges_that_differ(self.answers())

    def _answers(self, sides: BothSides) -> Answers[Digest]:
        table = self.table
        planner = Planner(self.session(Side.SOURCE), self.settings)
        slicings = slice_tables(planner, self.session(Side.TARGET), {table: table.key})
        (answers,) = sides.ask(self.hashing, slicings, 2)
        return answers
