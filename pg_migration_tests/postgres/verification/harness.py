"""Two databases with the same table ``t``, and the comparison of it."""

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, discover
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.planning.planner import Planner
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.verification.both_sides import Answers, BothSides
from pg_migration.postgres.verification.digests import Digest, Hashing
from pg_migration.postgres.verification.row_differences import RowDifference, differences, ranges_that_differ
from pg_migration.postgres.verification.slices import slice_tables
from pg_migration_tests.conftest import PostgresServer


class Pair:
    """A source and a target, and what the library says of their tables ``t``."""

    def __init__(
        self,
        servers: tuple[PostgresServer, PostgresServer],
        urls: tuple[str, str],
        links: Connections,
        settings: LoadSettings | None = None,
    ) -> None:
        self._servers, self._urls, self.links = servers, urls, links
        self.settings = settings or LoadSettings()
        self.hashing = Hashing()
        self.schemas = {"public": "public"}
        self.ends = {side: Endpoint.parse(side, url, "URL") for side, url in zip(Side, urls, strict=True)}
        self._sessions: dict[Side, Connection] = {}

    def both(self, text: str) -> None:
        for server, url in zip(self._servers, self._urls, strict=True):
            server.psql(url, text)

    def source(self, text: str) -> str:
        return self._servers[0].psql(self._urls[0], text)

    def target(self, text: str) -> str:
        return self._servers[1].psql(self._urls[1], text)

    def session(self, side: Side) -> Connection:
        """The session that looks at the structure of one side: a server's first look takes twice as long as others."""
        found = self._sessions.get(side)
        if found is None or found.closed:
            found = self._sessions[side] = self.links.open(self.ends[side])
        return found

    @property
    def table(self) -> Table:
        return discover(self.session(Side.SOURCE), self.schemas).tables_by_name["public", "t"]

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
