"""Rows that users keep in tables of extensions, and where sequences of extensions stand."""

from collections.abc import Callable

import pytest

from pg_migration_tests.orchestration.harness import Platform

# An extension whose files are everywhere, made to have tables as others do: its own schema, rows that it ships, a
# sequence, and conditions that tell users' rows.
EXTENSION = """
SET allow_system_table_mods = on;
CREATE EXTENSION vector;
CREATE SCHEMA tool;
CREATE TABLE tool.settings (key text PRIMARY KEY, value text, builtin boolean NOT NULL DEFAULT false);
INSERT INTO tool.settings VALUES ('shipped', 'by the extension', true), ('other', 'too', true);
CREATE SEQUENCE tool.job_id_seq;
CREATE TABLE tool.job (
    id int PRIMARY KEY DEFAULT nextval('tool.job_id_seq'),
    setting text REFERENCES tool.settings,
    command text,
    twice int GENERATED ALWAYS AS (id * 2) STORED
);
CREATE TABLE tool.log (line text);
ALTER EXTENSION vector ADD SCHEMA tool;
ALTER EXTENSION vector ADD TABLE tool.settings;
ALTER EXTENSION vector ADD SEQUENCE tool.job_id_seq;
ALTER EXTENSION vector ADD TABLE tool.job;
ALTER EXTENSION vector ADD TABLE tool.log;
UPDATE pg_extension
   SET extcondition = ARRAY['', 'WHERE NOT builtin', '', ''],
       extconfig = ARRAY['tool.job', 'tool.settings', 'tool.job_id_seq', 'tool.log']::regclass[]::oid[]
 WHERE extname = 'vector';
"""
ROWS = """
INSERT INTO tool.settings VALUES ('mine', 'set by a user', false);
INSERT INTO tool.job (setting, command) VALUES ('mine', 'vacuum'), ('shipped', E'an\\nalyze');
INSERT INTO tool.log VALUES ('twice'), ('twice'), (NULL);
CREATE TABLE t (v vector(2), setting text REFERENCES tool.settings);
INSERT INTO t VALUES ('[1,2]', 'mine');
"""
CONTENTS = """
SELECT (SELECT string_agg(s::text, ';' ORDER BY s::text COLLATE "C") FROM tool.settings s),
       (SELECT string_agg(j::text, ';' ORDER BY id) FROM tool.job j),
       (SELECT string_agg(l::text, ';' ORDER BY l::text) FROM tool.log l),
       (SELECT last_value FROM tool.job_id_seq)
"""


@pytest.fixture
def tool(platform: Platform) -> Platform:
    """The extension on both sides, with a user's rows in the source."""
    platform.source.psql(EXTENSION + ROWS)
    platform.target.psql(EXTENSION)
    return platform


def check_equal(platform: Platform) -> None:
    assert platform.target.psql(CONTENTS) == platform.source.psql(CONTENTS)


def test_users_rows_are_copied_and_follow_the_source(tool: Platform) -> None:
    assert tool.migrate_directly().failures == ()
    check_equal(tool)
    tool.source.psql(
        "UPDATE tool.settings SET value = 'otherwise' WHERE key = 'mine'; DELETE FROM tool.job WHERE id = 1;"
        "INSERT INTO tool.job (command) VALUES ('new'); DELETE FROM tool.log WHERE line IS NULL;"
        # A row that the extension ships, made the user's own.
        "UPDATE tool.settings SET value = 'changed', builtin = false WHERE key = 'other';"
    )
    # Triggers of users do not fire.
    tool.target.psql(
        "CREATE FUNCTION double() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.command := ''x''; RETURN new; END';"
        "CREATE TRIGGER d BEFORE INSERT ON tool.job FOR EACH ROW EXECUTE FUNCTION double();"
        "ALTER TABLE tool.job ENABLE ALWAYS TRIGGER d;"
    )
    assert tool.migrate_directly().failures == ()
    check_equal(tool)
    assert tool.target.psql("SELECT value FROM tool.settings WHERE builtin") == "by the extension"
    assert tool.target.psql("SELECT tgenabled FROM pg_trigger WHERE tgname = 'd'") == "A"


def test_rows_that_no_migration_loaded_stay(tool: Platform) -> None:
    tool.target.psql("INSERT INTO tool.settings VALUES ('theirs', 'of the target', false)")
    done = tool.migrate_directly()
    assert done.failures == ()
    told = "extension vector: 1 rows of tool.settings are in the target; 1 further rows there"
    assert told in "\n".join(done.notes)
    assert tool.target.psql("SELECT key FROM tool.settings WHERE NOT builtin ORDER BY 1") == "mine\ntheirs"
    tool.target.psql("UPDATE tool.settings SET value = 'of the target' WHERE key = 'mine'")
    told = "rows that users keep in tables of extension vector were not copied: duplicate key"
    assert told in str(tool.migrate_directly().failures)
    assert tool.migrate_directly(overwrite_existing_rows=True).failures == ()
    check_equal(tool)


def drop_column(platform: Platform) -> None:
    platform.target.psql("ALTER TABLE tool.job DROP COLUMN command")


def drop_table(platform: Platform) -> None:
    platform.target.psql("ALTER EXTENSION vector DROP TABLE tool.log; DROP TABLE tool.log")


@pytest.mark.parametrize(
    ("change", "told"),
    [(drop_column, "no column command in job"), (drop_table, "no configuration table log")],
)
def test_another_version_in_the_target(tool: Platform, change: Callable[[Platform], None], told: str) -> None:
    change(tool)
    assert told in str(tool.migrate_directly().failures)


def test_excluded(tool: Platform) -> None:
    assert tool.migrate_directly(exclude_tables=["tool.job"]).succeeded
    assert tool.target.psql("SELECT count(*) FROM tool.job") == "0"
    assert tool.target.psql("SELECT key FROM tool.settings WHERE NOT builtin") == "mine"


def test_an_extension_that_is_not_migrated_is_named(tool: Platform) -> None:
    tool.source.psql("CREATE SCHEMA mine; CREATE TABLE mine.t (a int)")
    tool.set(SOURCE_SCHEMA="mine")
    done = tool.migrate_directly()
    assert done.succeeded
    told = "so the users' rows in tool.job, tool.job_id_seq, tool.log, tool.settings are not copied"
    assert told in "\n".join(done.notes)


@pytest.mark.longer
def test_no_mask_reaches_them_so_they_stay_behind(tool: Platform) -> None:
    """Also those that a run without a transform has brought."""
    masked = {"tables": {"public.t": {"mask": {"setting": None}}}}
    assert "name tool.settings in extension_rows to have them" in str(tool.migrate_directly(transform=masked).failures)
    tool.source.psql("ALTER TABLE t DROP CONSTRAINT t_setting_fkey")
    tool.target.psql("INSERT INTO tool.log VALUES ('theirs')")
    assert tool.migrate_directly().failures == ()
    done = tool.migrate_directly(transform=masked)
    assert done.failures == ()
    notes = "\n".join(done.notes)
    assert "rows of tool.settings are in the target" not in notes  # as is said of what is read
    assert "deleted, since the transform leaves them out: 1 row of tool.settings" in notes
    assert "4 rows of tool.log stay, which the transform leaves out: others have put rows there" in notes
    left = "SELECT (SELECT count(*) FROM tool.job), (SELECT count(*) FROM tool.settings)"
    assert tool.target.psql(left) == "0|2"
    assert tool.migrate_directly(transform=masked).failures == ()
    assert tool.migrate_directly(transform={**masked, "extension_rows": ["tool.settings"]}).failures == ()
    assert tool.target.psql(left) == "0|3"
    tool.target.psql("TRUNCATE tool.log")
    assert tool.migrate_directly(transform={**masked, "extension_rows": True}).failures == ()
    check_equal(tool)
