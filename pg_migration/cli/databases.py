"""The options that say which databases and schemas are meant, instead of the environment."""

from functools import partial

import click

from pg_migration.cli.dotenv import overridden
from pg_migration.cli.help import DATABASES, GroupedOption

SEVERAL = "NAME"

# What a command's context has where one of the options was given.
GIVEN = "pg_migration.databases"

OPTIONS = (
    ("--source", "PG_MIGRATION_SOURCE_URL", "URL", "The database to read."),
    ("--target", "PG_MIGRATION_TARGET_URL", "URL", "The database to write."),
    ("--schema", "PG_MIGRATION_SOURCE_SCHEMA", SEVERAL, "A schema to migrate; may be given several times."),
    ("--target-schema", "PG_MIGRATION_TARGET_SCHEMA", SEVERAL, "Its name in the target; as often as --schema."),
)


def _set(variable: str, context: click.Context, _: click.Parameter, value: str | tuple[str, ...] | None) -> None:
    """Set a variable while the command runs: what reads the environment need not know of options."""
    if value not in (None, ()):
        context.meta[GIVEN] = True
        text = value if isinstance(value, str) else ",".join(value or ())
        context.with_resource(overridden({variable: text}))


def database_options(*flags: str) -> list[click.Parameter]:
    """Such an option for each of the variables. Others on the machine can read a password that is in one.

    Args:
        flags: only these; none: all.
    """
    return [
        GroupedOption(
            [flag],
            group=DATABASES,
            metavar=metavar,
            multiple=metavar == SEVERAL,
            expose_value=False,
            callback=partial(_set, variable),
            help=f"{told}  [default: {variable}]",
        )
        for flag, variable, metavar, told in OPTIONS
        if not flags or flag in flags
    ]
