"""The command ``pg_migration`` and what belongs to it.

Dagster takes seconds to import, so it is imported by the commands that use it, not for a page of help.
"""

from typing import Any

import click

from pg_migration.cli.compare import compare
from pg_migration.cli.databases import database_options
from pg_migration.cli.dotenv import local_environment
from pg_migration.cli.exit_status import Stopped
from pg_migration.cli.help import HelpfulCommand
from pg_migration.cli.init import init
from pg_migration.cli.job_command import JobCommand, RunsJob
from pg_migration.cli.live_moves import LIVE_MOVES, before_follow, lag
from pg_migration.cli.pairs import chosen_pair, every_pair, is_about_all, pair_options
from pg_migration.cli.roles import roles
from pg_migration.cli.streams import harmless
from pg_migration.cli.suggest_masks import suggest_masks

JOBS = (
    JobCommand(
        "preflight",
        "preflight",
        "Look whether a migration can go ahead, and say what to do about what can't.",
        (
            "pg_migration preflight --source postgresql://reader@old/shop --target postgresql://mig@new/shop",
            "pg_migration preflight --schema app --schema crm --no-owners",
            "pg_migration preflight --all",
        ),
        for_all=True,
    ),
    JobCommand(
        "plan",
        "plan",
        "Show how every table would be copied, and about how long that takes; writes nothing.",
        ("pg_migration plan", "pg_migration plan --workers 16 --partition-threshold 500000"),
    ),
    JobCommand(
        "run",
        "migrate",
        "Copy everything from the source to the target in one run, and prove it.",
        (
            "pg_migration run --source postgresql://reader@old/shop --target postgresql://mig@new/shop",
            "pg_migration run --schema app --schema crm --exclude-tables 'audit_*' --workers 8",
            "pg_migration run --all",
        ),
        for_all=True,
        before=before_follow,
    ),
    JobCommand(
        "validate",
        "validate",
        "Compare source and target as they are now; copies nothing.",
        ("pg_migration validate", "pg_migration validate --exclude-tables 'audit_*' --content-sample-percent 10"),
        for_all=True,
    ),
    JobCommand(
        "repair",
        "repair",
        "Compare the rows of all tables, or of those that match a PATTERN, and load anew what differs.",
        ("pg_migration repair", "pg_migration repair public.flights 'sales.*'"),
        tables_of="repair_tables",
    ),
    JobCommand(
        "swap-back",
        "swap_back",
        "Make the copy live again that the last run with --refresh swap has replaced; the source is not asked.",
        ("pg_migration swap-back", "pg_migration swap-back --target postgresql://mig@new/shop"),
    ),
)


class _Program(click.Group):
    """Ends with the status that its commands choose, whatever can be printed."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with harmless():
            return super().main(*args, **kwargs)

    def list_commands(self, _: click.Context) -> list[str]:
        return list(self.commands)  # in the order that people need them in

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped from None


@click.group(
    cls=_Program,
    help="Moves one PostgreSQL database into another, and proves that the copy is right. PG_MIGRATION_SOURCE_URL says "
    "where from, PG_MIGRATION_TARGET_URL where to, in the environment or in a file .env in this folder. --source and "
    "--target say it, too, but everybody on this machine can see a password that is in them. Ends with "
    "status 0 on full success only, 1 when something failed or differs, 2 when the command or the configuration is "
    "wrong, 130 when you stopped it with Ctrl-C.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="pg_migration", prog_name="pg_migration")
@click.pass_context
def main(context: click.Context) -> None:
    """The program."""
    context.with_resource(local_environment())


for _spec in (*JOBS, *LIVE_MOVES):
    main.add_command(RunsJob(_spec))
main.add_command(lag)
compare.params = [*database_options(), *pair_options(), *compare.params]
main.add_command(compare)
roles.params = [*database_options(), *pair_options(), *roles.params]
main.add_command(roles)
suggest_masks.params = [*database_options(), *pair_options(), *suggest_masks.params]
main.add_command(suggest_masks)


@main.command(
    cls=HelpfulCommand,
    examples=("pg_migration prepare --all", "pg_migration prepare --pair shop"),
    help="Make what the target lacks before a run: the database where the pair has create_database, with the encoding "
    "and locale of the source's, and the roles that the source needs where the pair has bring_roles. `pg_migration "
    "run` does the same first. Ends with status 0 when everything is there, 1 when something was refused.",
)
@click.pass_context
def prepare(context: click.Context) -> None:
    """Prepare one pair, or all."""
    from pg_migration.cli.prepare import prepare_chosen

    context.exit(prepare_chosen(context))


prepare.params = pair_options(every=True)
main.add_command(init)


@main.command(
    cls=HelpfulCommand,
    examples=("pg_migration ui", "pg_migration ui --port 3001"),
    help="Show Dagster's UI, on the records that the other commands write, and run what it asks for: for all pairs of "
    "the Dagster project that this folder belongs to, else for the databases of the environment. Ctrl-C ends it.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at. The UI has no login.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="The port.")
@click.pass_context
def ui(context: click.Context, host: str, port: int) -> None:
    """Become Dagster's UI."""
    from pg_migration.cli.ui import become_ui

    become_ui(context, host, port)


ui.params = [*database_options(), *ui.params]


@main.command(
    help="Show what goes on in the target: which run, what each worker does, how far it all is and how long the rest "
    "takes; or how the last run ended. Asks the target alone, and changes nothing. Ends with status 0 when it could "
    "tell, 1 when not.",
    cls=HelpfulCommand,
    examples=(
        "pg_migration status",
        "pg_migration status --target postgresql://mig@new/shop --watch",
        "pg_migration status --all",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON; with --watch one line each time.")
@click.option("-w", "--watch", is_flag=True, help="Show it again every two seconds, until the run has ended.")
@click.pass_context
def status(context: click.Context, as_json: bool, watch: bool) -> None:
    """Show what goes on."""
    if is_about_all(context):
        from pg_migration.cli.status_of_all import status_of_all

        context.exit(status_of_all(every_pair(context), as_json, watch))
    from pg_migration.cli.status import status as show

    show(context, chosen_pair(context), as_json, watch)


status.params = [*database_options("--target"), *pair_options(every=True), *status.params]


@main.command(
    cls=HelpfulCommand,
    examples=("pg_migration report", "pg_migration report 1451bad3", "pg_migration report --json > report.json"),
    help="Print the report of a run: its identifier or how that begins, or 'last'. Ends as the run ended.",
)
@click.argument("run", default="last")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def report(context: click.Context, run: str, as_json: bool) -> None:
    """Print a report."""
    from pg_migration.cli.report import report as print_it

    print_it(context, run, as_json)


report.params = [*pair_options(), *report.params]
