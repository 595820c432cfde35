"""The target is read twice in a migration, once more where something was set aside; what others do to it is named."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from pg_migration.postgres import migration as use_cases
from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.migration import Migration, Options
from pg_migration.postgres.migration import run as runs
from pg_migration.postgres.migration import use_cases as steps
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.transfer.events import Event
from pg_migration_tests.conftest import PostgresServer

# With what servers of two versions write differently, and what is set aside while a second run loads.
LIBRARY = """
    CREATE TABLE authors (id integer PRIMARY KEY, name text NOT NULL);
    CREATE TABLE books (
      id bigserial PRIMARY KEY, author integer REFERENCES authors, title text, printed timestamp,
      CONSTRAINT named CHECK (title <> ''), EXCLUDE (title WITH =));
    CREATE INDEX books_printed ON books (extract('YEAR' FROM printed), title);
    CREATE INDEX books_title ON books (title);
    CREATE STATISTICS together ON author, title FROM books;
    COMMENT ON INDEX books_printed IS 'by year';
    ALTER TABLE books CLUSTER ON books_printed;
    CREATE VIEW printed AS SELECT id, title, extract('YEAR' FROM printed) AS year FROM books;
    CREATE MATERIALIZED VIEW per_author AS SELECT author, count(*) FROM books GROUP BY author;
    CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER told AFTER INSERT ON books FOR EACH ROW EXECUTE FUNCTION told();
    CREATE TRIGGER always AFTER INSERT ON books FOR EACH ROW EXECUTE FUNCTION told();
    ALTER TABLE books ENABLE ALWAYS TRIGGER always;
    CREATE RULE nothing AS ON DELETE TO authors DO ALSO NOTHING;
    ALTER TABLE books ENABLE ROW LEVEL SECURITY;
    ALTER TABLE books FORCE ROW LEVEL SECURITY;
    CREATE POLICY all_of_them ON books USING (title <> 'secret');
    GRANT SELECT ON books TO PUBLIC;
    INSERT INTO authors SELECT n, 'author ' || n FROM generate_series(1, 20) AS n;
    INSERT INTO books (author, title, printed)
      SELECT 1 + n % 20, 'title ' || n, timestamp '1900-01-01' + n * interval '1d'
      FROM generate_series(1, 200) AS n;
"""


class Databases:
    """Two databases, the first one filled; ``read`` are the sides that were discovered, in order."""

    def __init__(self, source: PostgresServer, target: PostgresServer, urls: tuple[str, str]) -> None:
        self.source, self.target, self.urls = source, target, urls
        self.read: list[str] = []
        source.psql(urls[0], LIBRARY)

    def migration(self, **options: object) -> Migration:
        return Migration.between(*self.urls, options=Options.model_validate(options))

    def in_target(self, statement: str) -> str:
        return self.target.psql(self.urls[1], statement).strip()


@pytest.fixture
def databases(
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    source_db: str,
    target_db: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Databases:
    made = Databases(postgres16, postgres18, (source_db, target_db))
    discover = runs.discover

    def counted(*args: object, **named: object) -> Catalog:
        made.read.append("target" if "brought_from" in named else "source")
        return discover(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "discover", counted)
    return made


def test_the_source_is_read_once_and_the_target_as_often_as_it_changed(databases: Databases) -> None:
    for times in (2, 3):  # in the second run keys are set aside
        del databases.read[:]
        result = use_cases.migrate(databases.migration())
        assert result.failures == ()
        assert databases.read == ["source", *["target"] * times]
        assert use_cases.compare(databases.migration()) == []
        enabled = (
            "SELECT string_agg(concat(tgname, tgenabled), ' ' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal"
        )
        assert databases.in_target(enabled) == "alwaysA toldO"
        assert databases.in_target("SELECT relforcerowsecurity FROM pg_class WHERE relname = 'books'") == "t"


def test_a_role_that_is_no_superuser_reads_no_more(databases: Databases) -> None:
    databases.in_target("CREATE ROLE clerk LOGIN PASSWORD 'clerk'")
    try:
        name = databases.in_target("SELECT current_database()")
        databases.in_target(f'GRANT ALL ON DATABASE "{name}" TO clerk; ALTER SCHEMA public OWNER TO clerk')
        source, target = databases.urls
        login, _, place = target.removeprefix("postgresql://").partition("@")
        assert login
        clerks = Migration.between(
            source,
            f"postgresql://clerk:clerk@{place}",
            options=Options(owners=False, exclude_tables=["books"]),
        )
        for times in (2, 3):  # in the second run keys are set aside
            del databases.read[:]
            assert use_cases.migrate(clerks).failures == ()
            assert databases.read == ["source", *["target"] * times]
    finally:
        databases.in_target("DROP OWNED BY clerk CASCADE; DROP ROLE clerk")


# For each step: what others do right after it, and how that is told of.
BY_HAND = [
    ("make_target", {"ALTER TABLE books ADD COLUMN mine text": "column mine is in the target only"}),
    (
        "copy_tables",
        {
            "DROP INDEX books_printed; CREATE INDEX books_printed ON books (printed)": "index books_printed",
            """ALTER TABLE books DROP CONSTRAINT books_title_excl,
               ADD CONSTRAINT books_title_excl EXCLUDE (id WITH =)""": "exclusion books_title_excl",
            "DROP STATISTICS together; CREATE STATISTICS together ON id, title FROM books": "statistics together",
            "ALTER TABLE books ALTER COLUMN title SET STATISTICS 7": "statistics target",
        },
    ),
    (
        "copy_tables",
        {
            "ALTER INDEX books_printed SET (fillfactor = 50)": "index books_printed",
            "DROP INDEX books_title; CREATE INDEX books_title ON books (title DESC)": "index books_title",
            """ALTER TABLE books ADD CONSTRAINT books_author_fkey
               FOREIGN KEY (id) REFERENCES authors NOT VALID""": "foreign key books_author_fkey",
        },
    ),
    (
        "create_foreign_keys",
        {
            "ALTER INDEX books_printed SET (fillfactor = 50)": "index books_printed",
            """ALTER TABLE books DROP CONSTRAINT books_author_fkey, ADD CONSTRAINT books_author_fkey
               FOREIGN KEY (author) REFERENCES authors ON DELETE CASCADE""": "foreign key books_author_fkey",
        },
    ),
    (
        "make_post_data",
        {
            "CREATE OR REPLACE VIEW printed AS SELECT id, title, 1.0 AS year FROM books": "view public.printed",
            "DROP TRIGGER told ON books": "trigger told",
            "ALTER TABLE books DISABLE TRIGGER always": "trigger always",
            "DROP POLICY all_of_them ON books": "policy all_of_them",
            "COMMENT ON INDEX books_printed IS 'mine'": "comment of",
            "ALTER TABLE books SET WITHOUT CLUSTER": "clustered books_printed",
            "REVOKE SELECT ON books FROM PUBLIC": "privileges of",
            "ALTER TABLE books SET (fillfactor = 50)": "fillfactor",
            "ALTER TABLE books ALTER COLUMN title SET STATISTICS 7": "statistics target",
            "ALTER TABLE books DROP CONSTRAINT named": "check named",
            """CREATE OR REPLACE FUNCTION told() RETURNS trigger LANGUAGE plpgsql
               AS 'BEGIN RETURN OLD; END'""": "function public.told",
        },
    ),
]


# Cases that do not meddle with each other share a schema.
SCHEMAS = ("early", "early", "failing", "late", "late")
CASES = [(schema, *case) for schema, case in zip(SCHEMAS, BY_HAND, strict=True)]


@dataclass(frozen=True)
class Told:
    """What a run said at its end, and a comparison after it."""

    failures: Sequence[str]
    differences: Sequence[str]


@pytest.fixture(scope="module", params=[False, True], ids=["first", "second"])
def told(request: pytest.FixtureRequest, postgres16: PostgresServer, postgres18: PostgresServer) -> Mapping[str, Told]:
    """By schema: of a run during which others alter the target after several steps.

    Where `failing` is altered a foreign key can't be made: what follows is told of in a run that has failed already.
    """
    return alter_meanwhile(postgres16, postgres18, request.param)


def alter_meanwhile(source: PostgresServer, target: PostgresServer, again: bool) -> Mapping[str, Told]:
    """Migrate, the first time or again, and have somebody alter all of this."""
    urls = source.create_database(), target.create_database()
    schemas = dict.fromkeys(SCHEMAS)
    source.psql(
        urls[0], "".join(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {LIBRARY}" for schema in schemas)
    )
    migration = Migration.between(*urls, schemas=",".join(schemas))
    if again:
        assert use_cases.migrate(migration).succeeded
    alterations: dict[str, list[str]] = {}
    for schema, step, altered in CASES:
        alterations.setdefault(step, []).append(f"SET search_path = {schema}; {'; '.join(altered)}")

    def altering(step: str) -> Callable[[MigrationRun], object]:
        do, ddl = getattr(steps, step), "; ".join(alterations[step])

        def events(run: MigrationRun) -> Iterator[Event]:
            yield from do(run)
            target.psql(urls[1], ddl)

        def whole(run: MigrationRun) -> object:
            done = do(run)
            target.psql(urls[1], ddl)
            return done

        return events if step == "copy_tables" else whole

    with pytest.MonkeyPatch.context() as patched:
        for step in alterations:
            patched.setattr(steps, step, altering(step))
        result = use_cases.migrate(migration)
    differences = [*map(str, use_cases.compare(migration))]
    source.drop_database(urls[0])
    target.drop_database(urls[1])
    return {schema: Told(_about(schema, result.failures), _about(schema, differences)) for schema in schemas}


def _about(schema: str, lines: Iterable[str]) -> list[str]:
    return [line for line in lines if f"{schema}." in line.replace('"', "")]


@pytest.mark.parametrize(("schema", "step", "altered"), CASES, ids=[step for step, _ in BY_HAND])
def test_what_others_alter_between_two_steps_is_named(
    told: Mapping[str, Told], schema: str, step: str, altered: dict[str, str]
) -> None:
    """And it is not remembered as the way in which the server writes what was made."""
    for what in altered.values():
        wanted = what.replace("public", schema)
        for lines in (told[schema].failures, told[schema].differences):
            assert any(wanted in line for line in lines), (step, wanted, lines)
