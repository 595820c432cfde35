"""Security labels come along where the target has loaded their provider; else they are named."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pg_migration.postgres.migration import Migration, compare, migrate, validate
from pg_migration_tests.conftest import PostgresServer

# PostgreSQL has no provider that works on every machine: this one takes every label.
PROVIDER = """
#include "postgres.h"
#include "fmgr.h"
#include "commands/seclabel.h"
PG_MODULE_MAGIC;
void _PG_init(void);
static void check(const ObjectAddress *object, const char *label) {}
void _PG_init(void) { register_label_provider("tests", check); }
"""
LABELS = r"""
    CREATE SCHEMA "Odd schema"; CREATE TABLE t (id int PRIMARY KEY, "B" text); CREATE VIEW v AS SELECT id FROM t;
    CREATE FUNCTION f(OUT a int, INOUT b int) LANGUAGE sql AS 'SELECT 1, 2'; CREATE DOMAIN d AS int;
    CREATE PUBLICATION p; CREATE AGGREGATE total(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
    SECURITY LABEL FOR tests ON TABLE t IS 'it''s'; SECURITY LABEL FOR tests ON COLUMN t."B" IS 'column';
    SECURITY LABEL FOR tests ON VIEW v IS 'view'; SECURITY LABEL FOR tests ON SCHEMA "Odd schema" IS 'schema';
    SECURITY LABEL FOR tests ON FUNCTION f(int) IS 'function'; SECURITY LABEL FOR tests ON DOMAIN d IS 'domain';
    SECURITY LABEL FOR tests ON PUBLICATION p IS 'publication'; SECURITY LABEL FOR tests ON AGGREGATE total(*) IS 'all';
    SELECT lo_create(7000), lo_from_bytea(7001, 'one'), lo_from_bytea(7002, 'two') \g /dev/null
    SECURITY LABEL FOR tests ON LARGE OBJECT 7001 IS 'it''s %s {}';
    SECURITY LABEL FOR tests ON LARGE OBJECT 7002 IS 'two';
    SELECT format('SECURITY LABEL FOR tests ON DATABASE %I IS %L', current_database(), 'database') \gexec
"""
CHANGES = """
    SECURITY LABEL FOR tests ON TABLE t IS 'other'; SECURITY LABEL FOR tests ON VIEW v IS NULL;
    SECURITY LABEL FOR tests ON COLUMN t.id IS 'new'; SECURITY LABEL FOR tests ON LARGE OBJECT 7000 IS 'new';
    SECURITY LABEL FOR tests ON LARGE OBJECT 7001 IS NULL; SECURITY LABEL FOR tests ON LARGE OBJECT 7002 IS 'other';
"""
LABELS_OF_LARGE_OBJECTS = "SELECT objoid, provider, label FROM pg_seclabel WHERE classoid = 2613 ORDER BY 1"
LOADED = r"SELECT format('ALTER DATABASE %I SET session_preload_libraries = %L', current_database(), '{}') \gexec"


@pytest.fixture(scope="module")
def provider(postgres16: PostgresServer) -> Iterator[Path]:
    compiler = shutil.which("cc")
    headers = postgres16.bindir.parent / "include" / "postgresql" / "server"
    if compiler is None or not headers.is_dir():
        pytest.skip("no compiler, or no headers of the server")
    folder = postgres16.server.folder / "provider"
    folder.mkdir(mode=0o755)
    (folder / "labels.c").write_text(PROVIDER)
    made = folder / "labels.so"
    command = [compiler, "-shared", "-fPIC", f"-I{headers}", "-o", made, folder / "labels.c"]
    subprocess.run(command, check=True, capture_output=True)
    made.chmod(0o755)
    yield made
    shutil.rmtree(folder)


def dump(server: PostgresServer, url: str) -> str:
    text = server.dump_schema(url, None, "--create", "--exclude-schema=_pg_migration")
    return text.replace(url.rpartition("/")[2], "this_database")


@pytest.mark.longer
def test_they_come_along_where_their_provider_is(postgres16: PostgresServer, provider: Path) -> None:
    source, target = postgres16.create_database(), postgres16.create_database()
    try:
        postgres16.psql(source, LOADED.format(provider))
        postgres16.psql(source, LABELS)
        done = migrate(Migration.between(source, target, schemas="*"))
        assert done.failures == ()
        assert any(note.startswith("security labels of large objects: the target has not") for note in done.notes)
        assert sum("has not loaded this provider" in note for note in done.notes) == 9
        postgres16.psql(target, LOADED.format(provider))
        for change in (CHANGES, ""):
            assert migrate(Migration.between(source, target, schemas="*")).failures == ()
            assert dump(postgres16, source) == dump(postgres16, target)
            large_objects = [postgres16.psql(url, LABELS_OF_LARGE_OBJECTS) for url in (source, target)]
            assert large_objects[0] == large_objects[1] != ""
            assert validate(Migration.between(source, target, schemas="*")).failures == ()
            postgres16.psql(source, change)
            told = "".join(validate(Migration.between(source, target, schemas="*")).failures)
            assert [oid for oid in ("7000", "7001", "7002") if f"{oid}: security labels" in told] == (
                ["7000", "7001", "7002"] if change else []
            )
        assert compare(Migration.between(source, target, schemas="*")) == []
    finally:
        for url in (source, target):
            postgres16.drop_database(url)
