"""The number of round trips of a migration is bounded, since over a distance they are what takes time."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from pg_migration.devtools.line import Line
from pg_migration.postgres.connection import lock_waits
from pg_migration.postgres.migration import Migration, migrate, validate
from pg_migration_tests.conftest import PostgresServer

# As many for a run, what its connections take to authenticate included, and for each further table with its key.
RUN, TABLE = 150, 11
# What compares alone.
VALIDATION, COMPARED_TABLE = 104, 4
MORE = 10

PLAIN = """
CREATE TABLE t{n} (id integer PRIMARY KEY, note text);
INSERT INTO t{n} SELECT i, 'note' FROM generate_series(1, 10) AS i;
"""
FOREIGN_KEYS = """
CREATE TABLE t{n} (id serial PRIMARY KEY, other integer REFERENCES t{n}, at date DEFAULT current_date, CHECK (id > 0));
COMMENT ON TABLE t{n} IS 'one of many';
GRANT SELECT ON t{n} TO PUBLIC;
INSERT INTO t{n} SELECT i, i FROM generate_series(1, 10) AS i;
"""
# Of everything that is no table: all of it together takes no more than one table does.
OTHERS = """
CREATE TYPE mood{n} AS ENUM ('glad', 'sad');
CREATE DOMAIN positive{n} AS integer CHECK (VALUE > 0);
CREATE SEQUENCE numbers{n};
CREATE FUNCTION next{n}(a integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT a + 1';
COMMENT ON FUNCTION next{n} IS 'the next one';
CREATE VIEW v{n} AS SELECT id, next{n}(id) AS next FROM t0;
COMMENT ON VIEW v{n} IS 'a view';
GRANT SELECT ON v{n} TO PUBLIC;
CREATE RULE nothing AS ON DELETE TO v{n} DO INSTEAD NOTHING;
"""


@dataclass
class Databases:
    """A source and a target, each at the end of a line."""

    source: PostgresServer
    urls: tuple[str, str]
    lines: tuple[Line, Line]

    @property
    def migration(self) -> Migration:
        ends = (
            make_dsn(**{**parse_dsn(url), "port": line.port}) for url, line in zip(self.urls, self.lines, strict=True)
        )
        return Migration.between(*ends)

    def taken(self) -> int:
        return sum(line.counted()[1] for line in self.lines)


@pytest.fixture
def databases(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> Iterator[Databases]:
    with ExitStack() as lines:
        both = [lines.enter_context(Line(server.server.port)) for server in (postgres16, postgres18)]
        yield Databases(postgres16, (source_db, target_db), (both[0], both[1]))


def round_trips(databases: Databases, ddl: str) -> Mapping[str, int]:
    """What a first run, a second one and a comparison take when the source has some more objects."""
    databases.source.psql(databases.urls[0], ddl + "ANALYZE;")
    found = {}
    for what, do in (("first", migrate), ("second", migrate), ("validation", validate)):
        before = databases.taken()
        result = do(databases.migration)
        assert result.failures == ()
        found[what] = databases.taken() - before
    return found


@pytest.mark.parametrize("kind", [FOREIGN_KEYS, OTHERS], ids=["foreign keys", "others"])
def test_their_number_is_bounded(databases: Databases, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_waits, "FIRST_LOOK_SECONDS", 3600.0)  # who watches does so by the clock
    one = round_trips(databases, kind.format(n=0) if kind != OTHERS else PLAIN.format(n=0))
    assert max(one["first"], one["second"]) <= RUN
    assert one["validation"] <= VALIDATION
    many = round_trips(databases, "".join(kind.format(n=n) for n in range(1, MORE + 1)))
    further = {what: (many[what] - one[what]) / MORE for what in many}
    bounds = {"first": TABLE, "second": TABLE, "validation": COMPARED_TABLE}
    assert {what: number for what, number in further.items() if number > bounds[what]} == {}
