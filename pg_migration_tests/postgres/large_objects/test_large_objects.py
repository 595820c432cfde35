"""Large objects arrive as they are, stay so in later runs, and what is not ours is left alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.postgres import migration as use_cases
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.large_objects import copying, owned, state
from pg_migration.postgres.migration import Migration, Options
from pg_migration.postgres.migration.steps import large_objects
from pg_migration.postgres.migration.use_cases import Result
from pg_migration_tests.conftest import DUMP_HEADER, PostgresServer, run

ROLES = ('"lo ""owner\'s"', "lo_reader", "lo_mover")

# Empty, of a part's size and around it, of two and a half parts, with a hole, with all bytes; said things of some.
OBJECTS = f"""
CREATE DOMAIN lo AS oid;
CREATE TABLE docs (id int PRIMARY KEY, body oid, other lo);
SELECT lo_from_bytea(100000 + n, sha256(n::text::bytea)) FROM generate_series(1, 300) AS n \\g /dev/null
SELECT lo_create(200000), lo_from_bytea(200001, decode(repeat('00ff5c0a', {state.PART_BYTES // 4}), 'hex')),
       lo_from_bytea(200002, convert_to(repeat('x', {state.PART_BYTES - 1}), 'UTF8')),
       lo_from_bytea(200003, convert_to(repeat('y', {state.PART_BYTES + 1}), 'UTF8')),
       lo_from_bytea(200004, convert_to(repeat('zyx', {state.PART_BYTES // 6 * 5}), 'UTF8')),
       lo_from_bytea(4294967295, 'last'), lo_create(200005) \\g /dev/null
SELECT lo_put(200005, {3 * state.PART_BYTES}, 'after a hole') \\g /dev/null
INSERT INTO docs VALUES (1, 100001, 200001), (2, 100002, NULL), (3, 4294967295, 0);
COMMENT ON LARGE OBJECT 100003 IS 'it''s %s {{}} \\';
ALTER LARGE OBJECT 100004 OWNER TO "lo ""owner's";
ALTER LARGE OBJECT 100005 OWNER TO "lo ""owner's";
GRANT SELECT ON LARGE OBJECT 100004, 100006 TO lo_reader WITH GRANT OPTION;
GRANT UPDATE ON LARGE OBJECT 100005 TO PUBLIC;
REVOKE ALL ON LARGE OBJECT 100007 FROM postgres;
SET ROLE lo_reader; GRANT SELECT ON LARGE OBJECT 100006 TO PUBLIC; RESET ROLE;
"""
DEFAULTS = "ALTER DEFAULT PRIVILEGES FOR ROLE postgres"
EVERY_OBJECT = """
SELECT m.oid, m.lomowner::regrole, coalesce(m.lomacl, acldefault('L', m.lomowner)),
       obj_description(m.oid, 'pg_largeobject'), md5(lo_get(m.oid))
  FROM pg_largeobject_metadata m ORDER BY 1
"""


@dataclass
class Pair:
    """Two databases, the first one with large objects."""

    source: PostgresServer
    target: PostgresServer
    urls: tuple[str, str]

    def in_source(self, text: str) -> str:
        return self.source.psql(self.urls[0], text).strip()

    def in_target(self, text: str) -> str:
        return self.target.psql(self.urls[1], text).strip()

    def migration(self, schemas: str = "*", **options: object) -> Migration:
        return Migration.between(*self.urls, schemas, options=Options.model_validate({"workers": 2, **options}))

    def migrate(self, schemas: str = "*", **options: object) -> Result:
        return use_cases.migrate(self.migration(schemas, **options))

    def validate(self, **options: object) -> Result:
        return use_cases.validate(self.migration(**options))

    def are_equal(self) -> bool:
        return self.in_source(EVERY_OBJECT) == self.in_target(EVERY_OBJECT)

    def dump(self, number: int) -> str:
        newest = self.target.bindir / "pg_dump"
        return DUMP_HEADER.sub(
            "", run([newest, "--exclude-schema=_pg_migration", "--large-objects", self.urls[number]])
        )


@pytest.fixture(scope="module")
def servers(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    for server in (postgres16, postgres18):
        server.psql(server.url(), "".join(f"CREATE ROLE {role} LOGIN PASSWORD 'x';" for role in ROLES))
    yield postgres16, postgres18
    for server in (postgres16, postgres18):
        server.psql(server.url(), "".join(f"DROP ROLE {role};" for role in ROLES))


@pytest.fixture
def pair(servers: tuple[PostgresServer, PostgresServer]) -> Iterator[Pair]:
    source, target = servers
    made = Pair(source, target, (source.create_database(), target.create_database()))
    made.in_source(OBJECTS)
    yield made
    source.drop_database(made.urls[0])
    target.drop_database(made.urls[1])


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be several of what is read at once, of many objects."""
    for module in (state, owned):
        monkeypatch.setattr(module, "PAGE_OBJECTS", 70)
    monkeypatch.setattr(owned, "OIDS_PER_QUERY", 40)


@pytest.mark.usefixtures("small_pages")
def test_everything_of_them_arrives_and_later_runs_bring_what_changed(pair: Pair) -> None:
    first = pair.migrate()
    assert first.failures == ()
    assert pair.dump(0) == pair.dump(1)
    assert pair.are_equal()
    done = first.outcomes.large_objects
    assert done is not None
    assert (done.objects, done.copied, done.there) == (307, 307, 307)
    assert done.digest(Side.SOURCE) == done.digest(Side.TARGET)

    pair.in_source("""
        SELECT lo_put(100001, 0, 'other'), lo_from_bytea(300000, 'new'), lo_unlink(100002),
               lo_truncate64(lo_open(200004, 131072), 7);
        COMMENT ON LARGE OBJECT 100003 IS NULL; GRANT SELECT ON LARGE OBJECT 100008 TO lo_reader;
        ALTER LARGE OBJECT 100004 OWNER TO lo_reader;
    """)
    pair.in_target("SELECT lo_from_bytea(900000, 'of somebody else') \\g /dev/null")
    pair.in_target(f"{DEFAULTS} GRANT SELECT ON LARGE OBJECTS TO lo_reader, PUBLIC")
    told = " ".join(pair.validate().failures)
    for oid, what in {
        100001: "content",
        300000: "missing",
        200004: "size",
        100003: "comment",
        100008: "privileges",
    }.items():
        assert re.search(rf"{oid}: [^:]*{what}", told)
    assert "100001: content (the source changed since it was copied)" in told
    assert "300000: missing (no run has copied it)" in told
    assert "100003: comment (its content in the source did not change since it was copied)" in told
    assert "100002: the source does not have it any more" in told
    assert "100004: owner" in told
    assert "900000" not in told

    second = pair.migrate()
    assert second.failures == ()
    assert second.outcomes.large_objects is not None
    assert (second.outcomes.large_objects.copied, second.outcomes.large_objects.dropped) == (6, 1)
    assert pair.in_target("SELECT lo_get(900000)") == r"\x6f6620736f6d65626f647920656c7365"
    pair.in_target(f"SELECT lo_unlink(900000); {DEFAULTS} REVOKE SELECT ON LARGE OBJECTS FROM lo_reader, PUBLIC")
    assert pair.are_equal()

    # What was damaged in the target is mended by repair alone.
    pair.in_target("SELECT lo_put(200001, 1500000, 'damage'), lo_unlink(100009)")
    by_ledger = {"large object 100009: missing", "large object 200001: size, content"}
    assert set(pair.validate(against="ledger").failures) == by_ledger
    assert use_cases.repair(pair.migration()).failures == ()
    assert pair.are_equal()
    assert pair.validate(against="ledger").failures == ()

    # The last ones go, too, where the source has none any more.
    pair.in_source("SELECT count(lo_unlink(oid)) FROM pg_largeobject_metadata")
    assert pair.migrate().failures == ()
    assert pair.in_target("SELECT count(*) FROM pg_largeobject_metadata") == "0"


@pytest.mark.longer
def test_a_batch_is_tried_again_and_a_run_goes_on_after_one_that_failed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_objects, "MAX_BATCH_OBJECTS", 50)
    known, seen = copying.stream, []

    def fails(source: Connection, out: Any, target: Connection, *arguments: Any, **more: Any) -> object:
        seen.append(target)
        if len(seen) == 1:  # a lost connection is made again
            pair.in_target(f"SELECT pg_terminate_backend({target.info.backend_pid})")
        if len(seen) == 4:
            raise copying.CopyFailed("on the target: out of luck")
        return known(source, out, target, *arguments, **more)

    monkeypatch.setattr(copying, "stream", fails)
    told = [failure for failure in pair.migrate().failures if "read or written" in failure]
    assert told == ["large objects could not be read or written: on the target: out of luck"]
    there = int(pair.in_target("SELECT count(*) FROM pg_largeobject_metadata"))
    assert 200 < there < 307
    assert there == int(pair.in_target("SELECT count(*) FROM _pg_migration.large_object"))
    monkeypatch.setattr(copying, "stream", known)
    assert pair.migrate().failures == ()
    assert pair.are_equal()


@pytest.mark.longer
@pytest.mark.usefixtures("small_pages")
def test_objects_of_others_with_the_same_oids_are_in_the_way(pair: Pair) -> None:
    pair.in_target("SELECT lo_from_bytea(100001, 'theirs'), lo_from_bytea(1, 'theirs too')")
    left_out = pair.migrate(large_objects=False)
    assert left_out.failures == ()
    assert any("left out (large_objects: false)" in note for note in left_out.notes)
    refused = pair.migrate()
    assert "1 large object of its own with the OIDs of the source's: 100001" in refused.failures[0]
    assert pair.in_target("SELECT count(*) FROM pg_largeobject_metadata") == "2"
    assert pair.migrate(overwrite_existing_rows=True).failures == ()
    pair.in_target("SELECT lo_unlink(1)")
    assert pair.are_equal()
    # Also one that comes about in both later.
    for url in pair.urls:
        pair.target.psql(url, "SELECT lo_create(777777)")
    # Roles that only large objects name are needed as well.
    pair.in_source("CREATE ROLE lo_only; GRANT SELECT ON LARGE OBJECT 100010 TO lo_only")
    told = {finding.check: str(finding) for finding in use_cases.preflight(pair.migration())}
    pair.in_source("REVOKE ALL ON LARGE OBJECT 100010 FROM lo_only; DROP ROLE lo_only")
    assert "1 large object of its own with the OIDs of the source's: 777777" in told["large objects"]
    assert "roles that the target does not have: lo_only" in told["roles in the target"]


@pytest.mark.longer
def test_with_chosen_schemas_those_come_that_the_tables_refer_to(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.in_source("CREATE SCHEMA other; CREATE TABLE other.t (o oid); INSERT INTO other.t VALUES (100010), (100001)")
    ahead = use_cases.plan(pair.migration("public"))
    size = 2 * 32 + state.PART_BYTES + len("last")
    assert (ahead.large_objects, ahead.large_object_bytes) == (4, size)
    assert ahead.seconds > size / ahead.bytes_per_second / ahead.workers
    assert use_cases.plan(pair.migration("public", large_objects=False)).large_objects == 0
    # Of very many, those of the first page stand for the others.
    monkeypatch.setattr(state, "PAGE_OBJECTS", 2)
    assert use_cases.plan(pair.migration("public")).large_object_bytes == 4 * 32
    monkeypatch.undo()
    done = pair.migrate("public")
    assert done.failures == ()
    assert pair.in_target("SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM pg_largeobject_metadata") == (
        "100001 100002 200001 4294967295"
    )
    assert any("303 large objects: not copied" in note for note in done.notes)
    # Of those that the other schema's tables refer to, nothing is taken back by the first one's runs.
    assert pair.migrate("other").failures == ()
    assert pair.in_target("SELECT count(*) FROM pg_largeobject_metadata") == "5"
    # Without such columns elsewhere all belong to the chosen schema.
    pair.in_source("DROP SCHEMA other CASCADE")
    assert pair.migrate("public").failures == ()
    assert pair.are_equal()


@pytest.mark.longer
def test_a_transform_takes_back_what_was_brought_without(pair: Pair) -> None:
    """No mask reaches into them."""
    assert pair.migrate().failures == ()
    pair.in_target("SELECT lo_from_bytea(900000, 'of somebody else') \\g /dev/null")
    done = pair.migrate(transform={"tables": {}})
    assert done.failures == ()
    assert "dropped, since the transform leaves large objects out: 307 large objects" in done.notes
    assert pair.in_target("SELECT string_agg(oid::text, ' ') FROM pg_largeobject_metadata") == "900000"
    assert pair.migrate(transform={"tables": {}, "large_objects": True}).failures == ()
    assert pair.in_target("SELECT count(*) FROM pg_largeobject_metadata") == "308"


def test_between_schemas_of_one_database_they_are_there_already(pair: Pair) -> None:
    before = pair.in_source(EVERY_OBJECT)
    pair.urls = pair.urls[0], pair.urls[0]
    done = use_cases.migrate(Migration.between(*pair.urls, "public", "copy", Options(workers=2)))
    assert (done.failures, done.outcomes.large_objects) == ((), None)
    assert pair.in_source(EVERY_OBJECT) == before


@pytest.mark.longer
def test_who_is_no_superuser_is_told_beforehand_what_can_not_be_read_or_given(pair: Pair) -> None:
    database = pair.urls[1].rpartition("/")[2]
    pair.in_source("GRANT SELECT ON docs TO PUBLIC")
    pair.in_target(f"GRANT CREATE ON DATABASE {database} TO lo_mover; GRANT ALL ON SCHEMA public TO lo_mover")
    pair.urls = tuple(re.sub("//[^@]*@", "//lo_mover:x@", url) for url in pair.urls)  # type: ignore[assignment]
    found = [str(finding) for finding in use_cases.preflight(pair.migration(owners=False, privileges=False))]
    assert any(re.search(r"indexes, [\d,.]+ .iB large objects\)", text) for text in found)
    (told,) = (text for text in found if "may not read" in text)
    assert "role lo_mover may not read 306 large objects of the source" in told
    (grant,) = re.findall(r"DO \$\$.*END\$\$;", told)
    pair.source.psql(pair.source.url(pair.urls[0].rpartition("/")[2]), grant)
    assert pair.migrate(owners=False, privileges=False).failures == ()
    hashes = "SELECT count(*), md5(string_agg(md5(lo_get(oid)), '' ORDER BY oid)) FROM pg_largeobject_metadata"
    assert pair.in_source(hashes) == pair.in_target(hashes)
    # With owners: what the role may not give is refused, and can be left out by name.
    refused = pair.migrate()
    assert "may not act for" in refused.failures[0]
    given = pair.migrate(owners="best_effort")
    assert given.failures == ()
    assert any("they are not given to lo \"owner's" in note for note in given.notes)
