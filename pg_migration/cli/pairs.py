"""Which pairs of databases a command is about: the one of the environment, or those of a project of Dagster."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pg_migration.cli.databases import GIVEN
from pg_migration.cli.dotenv import overridden
from pg_migration.cli.exit_status import Misused, misuse_told
from pg_migration.cli.help import DATABASES, GroupedOption

if TYPE_CHECKING:
    from pg_migration.orchestration.pair import Pair
    from pg_migration.orchestration.project import Project

LOCATION = "PG_MIGRATION_LOCATION"
_PAIR, _ALL = "pg_migration.pair", "pg_migration.all"


def pair_options(every: bool = False) -> list[click.Parameter]:
    """``--pair``, and ``--all`` for commands that can do it for all pairs of a project."""
    told = "A pair of the Dagster project that this folder belongs to."
    found: list[click.Parameter] = [_option(["--pair"], _PAIR, told, metavar="NAME")]
    if every:
        found.append(_option(["--all"], _ALL, "All pairs of that project.", is_flag=True))
    return found


def _option(flags: list[str], key: str, told: str, **settings: Any) -> click.Option:
    def remember(context: click.Context, _: click.Parameter, value: Any) -> None:
        context.meta[key] = value

    return GroupedOption(flags, group=DATABASES, expose_value=False, callback=remember, help=told, **settings)


def is_about_all(context: click.Context) -> bool:
    """Whether a command was called with ``--all``.

    Raises:
        click.UsageError: with something else that says which databases are meant.
    """
    if context.meta.get(_ALL) and context.meta.get(_PAIR):
        raise click.UsageError("--all is about every pair, so it can't be combined with --pair")
    return bool(context.meta.get(_ALL))


def chosen_pair(context: click.Context) -> "Pair":
    """The pair that a command is about.

    Raises:
        Misused: there is none of that name, or the project can't be loaded.
        click.UsageError: a database or schema was chosen as well.
    """
    name = context.meta.get(_PAIR)
    if name is None:
        from pg_migration.orchestration import environment

        return environment.pair()
    known = project_pairs(context)
    if name not in known:
        raise Misused(f"the project has no pair {name!r}, but {', '.join(known) or 'none at all'}")
    return known[name]


def every_pair(context: click.Context) -> Mapping[str, "Pair"]:
    """The pairs that ``--all`` is about.

    Raises:
        Misused: there is none, or as `project_pairs`.
    """
    if pairs := project_pairs(context):
        return pairs
    raise Misused("the project has no pair: no document of type pg_migration.MigrationComponent")


def project_pairs(context: click.Context) -> Mapping[str, "Pair"]:
    """The pairs of the project that this folder belongs to, by name, in the order of their files.

    Raises:
        Misused: there is no project, or it can't be loaded.
        click.UsageError: a database or schema was chosen as well.
    """
    if context.meta.get(GIVEN):
        raise click.UsageError(
            "a pair of a project says which databases and schemas are meant, so --pair and --all can't be combined "
            "with --source, --target, --schema and --target-schema"
        )
    from pg_migration.orchestration.env_file import current_folder, read_env_file

    project = found_project()
    if project is None:
        raise Misused(
            "this folder belongs to no Dagster project: neither it nor one above has a pyproject.toml with "
            "[tool.dg.project]. `pg_migration init --cluster` writes a project"
        )
    with misuse_told():
        here = current_folder()
        if project.folder != here:  # that of the project counts wherever in it somebody is, but for what is said here
            context.with_resource(overridden({**read_env_file(project.folder), **read_env_file(here)}))
        if not os.environ.get(LOCATION):
            context.with_resource(overridden({LOCATION: project.module}))
        return project.pairs()


def found_project() -> "Project | None":
    """The project that this folder belongs to, if any.

    Raises:
        Misused: the folder is gone.
    """
    from pg_migration.orchestration.env_file import current_folder
    from pg_migration.orchestration.project import Project

    with misuse_told():
        return Project.around(current_folder())
