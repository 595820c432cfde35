"""What runs do with a ledger of an earlier or a later version of this program, and where there is none."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner

from pg_migration.cli.commands import main
from pg_migration.postgres.ledger.schema import LATEST
from pg_migration_tests.orchestration.harness import Migrated, Platform, Role
from pg_migration_tests.postgres.ledger.old_ledgers import WITHOUT_VERSIONS

VERSION = "SELECT coalesce(max(version), 0) FROM _pg_migration.version"
FIRST_RELEASE = f"""
    {WITHOUT_VERSIONS}
    DROP TABLE _pg_migration.target_state, _pg_migration.brought, _pg_migration.extension_rows;
    ALTER TABLE _pg_migration.run DROP COLUMN identities;
"""
TABLES = "SELECT string_agg(relname, ' ' ORDER BY 1) FROM pg_class WHERE relnamespace = '_pg_migration'::regnamespace"


@pytest.fixture(scope="module")
def migration(migrate_once: Callable[..., Migrated]) -> Migrated:
    return migrate_once()


def test_an_old_ledger_is_read_by_comparisons_and_upgraded_by_the_next_migration(migrated: Platform) -> None:
    migrated.target.psql(FIRST_RELEASE)
    before = migrated.target.psql(TABLES)
    compared = migrated.validate()
    assert compared.success, compared.failures
    assert CliRunner().invoke(main, ["compare"]).exit_code == 0
    assert migrated.run(migrated.definitions.resolve_job_def("preflight"), {}).success
    assert migrated.target.psql(TABLES) == before
    done = migrated.migrate()
    assert done.success, done.failures
    assert migrated.target.psql(VERSION) == str(LATEST)
    assert migrated.target.psql("SELECT count(*) FROM _pg_migration.run") == "2"


def test_what_only_reads_makes_no_ledger(migrated: Platform) -> None:
    migrated.target.psql("DROP SCHEMA _pg_migration CASCADE")
    compared = migrated.validate()
    assert compared.success, compared.failures
    assert CliRunner().invoke(main, ["compare"]).exit_code == 0
    migrated.run(migrated.definitions.resolve_job_def("preflight"), {})
    migrated.run(migrated.definitions.resolve_job_def("plan"), {})
    assert migrated.target.psql("SELECT to_regnamespace('_pg_migration') IS NULL") == "t"


def test_a_ledger_of_a_later_version_is_left_alone(migrated: Platform) -> None:
    migrated.target.psql("INSERT INTO _pg_migration.version VALUES (99)")
    before = migrated.target.dump()
    for job in ("migrate", "validate", "preflight", "plan", "repair"):
        done = migrated.run(migrated.definitions.resolve_job_def(job), {})
        assert not done.success
        told = "\n".join(done.failures.values())
        assert "the version of its schema _pg_migration is 99" in told, (job, told)
        assert "Use the newer program" in told
    compared = CliRunner().invoke(main, ["compare"])
    assert compared.exit_code == 2
    assert "is 99" in compared.output
    assert migrated.target.dump() == before


def test_preflight_tells_who_may_not_upgrade(migrated: Platform, clerk: Role) -> None:
    migrated.target.psql(
        f"{FIRST_RELEASE}; GRANT ALL ON SCHEMA public, _pg_migration TO {clerk.name};"
        f"GRANT ALL ON ALL TABLES IN SCHEMA _pg_migration TO {clerk.name}"
    )
    migrated.set(TARGET_URL=clerk.url(migrated.target))
    done = migrated.run(migrated.definitions.resolve_job_def("preflight"), {})
    told = done.failures["preflight_checks"]
    assert "role clerk may not upgrade the bookkeeping schema _pg_migration" in told
    assert 'GRANT "postgres" TO "clerk"' in told
