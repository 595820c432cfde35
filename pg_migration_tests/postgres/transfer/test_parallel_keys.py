"""Keys of tables that are not small: their indexes are built beside the others; the result is the same."""

import pytest

from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.transfer import tasks
from pg_migration_tests.postgres.transfer.harness import Pair

KEYED = """
CREATE TABLE "order" (id int NOT NULL, code text, place int, noted int,
    CONSTRAINT "order's key" PRIMARY KEY (id) INCLUDE (noted) WITH (fillfactor = 70),
    CONSTRAINT late UNIQUE (code) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT "sooner ""or"" later" UNIQUE (place, code) DEFERRABLE);
CREATE INDEX noted ON "order" (noted);
ALTER TABLE "order" CLUSTER ON "order's key";
ALTER TABLE "order" REPLICA IDENTITY USING INDEX "order's key";
COMMENT ON CONSTRAINT late ON "order" IS 'checked at the end';
COMMENT ON INDEX "order's key" IS 'of the index';
CREATE TABLE line (id int REFERENCES "order", at date, UNIQUE (id, at)) PARTITION BY RANGE (at);
CREATE TABLE line_old PARTITION OF line (PRIMARY KEY (at)) FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
INSERT INTO "order" SELECT i, 'c' || i, i % 100, i FROM generate_series(1, 5000) AS i;
INSERT INTO line SELECT i, '2020-01-01'::date + i FROM generate_series(1, 1000) AS i;
"""
RECORDER = """
CREATE SCHEMA recorder;
CREATE TABLE recorder.command (number serial, text text);
CREATE FUNCTION recorder.record() RETURNS event_trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO recorder.command (text) VALUES (current_query()); END$$;
CREATE EVENT TRIGGER recorder ON ddl_command_end WHEN TAG IN ('CREATE INDEX', 'ALTER TABLE')
    EXECUTE FUNCTION recorder.record();
"""


@pytest.fixture
def at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MIN_BYTES_OF_PARALLEL_KEYS", 0)


def commands(pair: Pair) -> list[str]:
    """Commands that built keys in the target."""
    return [text for (text,) in pair.target.rows("SELECT text FROM recorder.command ORDER BY number")]


def check_same_structure(pair: Pair) -> None:
    ours, theirs = (end.server.dump_schema(end.url, "public") for end in (pair.source, pair.target))
    assert theirs == ours


@pytest.mark.usefixtures("at_any_size")
def test_index_first(pair: Pair) -> None:
    pair.source.psql(KEYED)
    pair.target.psql(RECORDER)
    pair.load_all(LoadSettings(workers=3))
    check_same_structure(pair)
    made = commands(pair)
    keys = [text for text in made if "USING INDEX" in text and "ADD CONSTRAINT" in text]
    assert len(keys) == 5  # three of "order", two of line_old
    last_index = max(n for n, text in enumerate(made) if text.startswith("CREATE") and '"order"' in text)
    assert min(n for n, text in enumerate(made) if text in keys and '"order"' in text) > last_index


def test_small_tables_in_one_statement(pair: Pair) -> None:
    pair.source.psql(KEYED)
    pair.target.psql(RECORDER)
    pair.load_all()
    check_same_structure(pair)
    assert not [text for text in commands(pair) if "USING INDEX" in text and "ADD CONSTRAINT" in text]


@pytest.mark.usefixtures("at_any_size")
def test_index_that_a_killed_run_left(pair: Pair) -> None:
    """Its key was not made of it any more; the next run makes both anew."""
    pair.source.psql(KEYED)
    pair.load_all()
    pair.target.psql(
        """
        ALTER TABLE "order" DROP CONSTRAINT late;
        CREATE UNIQUE INDEX late ON "order" (code);
        """
    )
    pair.load_all()
    check_same_structure(pair)


@pytest.mark.usefixtures("at_any_size")
def test_rows_that_violate_a_key(pair: Pair) -> None:
    """The source can't have such rows, unless its index is broken; the key is told, and the rows stay."""
    pair.source.psql(KEYED)
    pair.source.psql("""UPDATE pg_index SET indisready = false WHERE indexrelid = 'late'::regclass""")
    pair.source.psql("""UPDATE "order" SET code = 'c1' WHERE id = 2""")
    pair.source.psql("""UPDATE pg_index SET indisready = true WHERE indexrelid = 'late'::regclass""")
    loaded = pair.load()
    (told,) = [problem for problem in loaded.problems if problem.startswith("unique")]
    assert told.startswith("unique late on public.order: could not create unique index")
    assert "(code)=(c1) is duplicated" in told
    pair.check_equal()
