"""Suggest masks for a source that nobody has looked through yet. Nothing is written."""

from pg_migration.postgres.catalog.values_path import application_path
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.transform.personal import held_personal, named_personal
from pg_migration.postgres.transform.rules import read_facts
from pg_migration.postgres.transform.suggestions import suggested


def suggest_masks(run: MigrationRun) -> str:
    """The text of a transform that masks what looks personal in the source, by names and by a sample of the values.

    What the run's own transform masks or ignores already is not in it.

    Raises:
        MigrationError: a side can't be asked.
    """
    run.migration.check()
    catalog, source = run.catalog, run.sides.source_connection
    tables = [table for table in catalog.tables if not table.is_partition]
    suspicions = [
        *named_personal(tables),
        *held_personal(source, tables, lambda table: table.key, application_path(catalog.settings, {})),
    ]
    left = [found for found in suspicions if found.label not in run.ignored_columns]
    concerned = {found.table for found in left}
    return suggested(left, catalog, read_facts(source, [table for table in tables if table.key in concerned]))
