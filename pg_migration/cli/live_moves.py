"""The commands of a live move: follow, look, cut over, go back, give up."""

from typing import TYPE_CHECKING

import click

from pg_migration.cli.databases import database_options
from pg_migration.cli.help import HelpfulCommand
from pg_migration.cli.job_command import Config, JobCommand
from pg_migration.cli.pairs import chosen_pair, every_pair, is_about_all, pair_options

if TYPE_CHECKING:
    from pg_migration.orchestration.pair import Pair


def before_follow(pair: "Pair", config: Config) -> Config:
    """Where the target is to follow: look whether it may."""
    from pg_migration.cli.before_live_moves import refuse_unwatched

    return refuse_unwatched(pair, config)


def _before_end(pair: "Pair", config: Config) -> Config:
    from pg_migration.cli.before_live_moves import refuse_nothing

    return refuse_nothing(pair, config)


def _before_release(pair: "Pair", config: Config) -> Config:
    from pg_migration.cli.before_live_moves import ask_database

    return ask_database(pair, config)


MAX_PAUSE = click.Option(
    ["--max-pause", "max_pause_seconds"],
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long writers may wait at most; where that is not enough they go on where they are, and the command fails."
    "  [default: 60]",
)
CHECK = click.Option(
    ["--check"],
    type=click.Choice(["content", "count"]),
    help="How tables are compared while writers wait: 'count' their rows, after a comparison of all that is not older "
    "than a day, or hash their 'content', which takes longer.  [default: count]",
)

LIVE_MOVES = (
    JobCommand(
        "follow",
        "migrate",
        "Copy everything while the source is written to, prove it, and have PostgreSQL's logical replication keep the "
        "target in step with the source from there on. Makes a publication and a slot in the source.",
        (
            "pg_migration follow --source postgresql://mover@old/shop --target postgresql://mover@new/shop",
            "pg_migration follow --no-identity reload --max-retained-wal 200GB",
        ),
        always={"follow": True},
        before=before_follow,
    ),
    JobCommand(
        "adopt",
        "adopt_new_tables",
        "Have the target follow tables and partitions that were made in the source since it began to follow.",
        ("pg_migration adopt", "pg_migration adopt --pair shop"),
        before=_before_end,
    ),
    JobCommand(
        "cutover",
        "cutover",
        "Make the target the database that is written to: writers of the source wait while the last changes arrive and "
        "everything is compared.",
        (
            "pg_migration cutover --dry-run",
            "pg_migration cutover --max-pause 30 --way-back",
        ),
        step="take_over",
        settings=(
            click.Option(
                ["--dry-run"], is_flag=True, default=None, help="Only look, and tell how long they would wait."
            ),
            MAX_PAUSE,
            CHECK,
            click.Option(
                ["--way-back"],
                is_flag=True,
                default=None,
                help="Replicate what is written to the target back to the source, so that go-back loses nothing.",
            ),
        ),
        before=_before_end,
    ),
    JobCommand(
        "abandon",
        "abandon_replication",
        "Stop following: everything that was made in the source for it goes. The rows of the target stay.",
        ("pg_migration abandon", "pg_migration abandon --slot pg_migration_0123456789ab"),
        step="stop_following",
        settings=(
            click.Option(
                ["--slot"],
                metavar="NAME",
                help="A slot and publication of this tool that no ledger tells of, to remove from the source.",
            ),
        ),
    ),
    JobCommand(
        "go-back",
        "go_back",
        "Make the source the database that is written to again, with all that was written to the target since a "
        "cutover --way-back.",
        ("pg_migration go-back", "pg_migration go-back --max-pause 30 --check content"),
        step="take_back",
        settings=(MAX_PAUSE, CHECK),
        before=_before_end,
    ),
    JobCommand(
        "end-way-back",
        "end_way_back",
        "End the replication back to the source that a cutover --way-back has begun.",
        ("pg_migration end-way-back", "pg_migration end-way-back --pair shop"),
        before=_before_end,
    ),
    JobCommand(
        "release",
        "release",
        "DANGEROUS: allow migrations again into a target that has taken over; the next one replaces what applications "
        "have written there.",
        ("pg_migration release", "pg_migration release --database shop"),
        step="allow_migrations",
        settings=(
            click.Option(
                ["--database"], metavar="NAME", help="The target database's name. Without it you are asked to type it."
            ),
        ),
        before=_before_release,
    ),
)


@click.command(
    cls=HelpfulCommand,
    examples=("pg_migration lag", "pg_migration lag --watch", "pg_migration lag --all --json"),
    help="Show how far the target is behind the source that it follows, how much WAL the source keeps for it, and what "
    "is wrong. It also does what the sensor does: drops a slot that keeps more than max_retained_wal, and clears away "
    "what a dead run left in the source. Ends with status 0 when all is well, 1 when something is wrong or it can't "
    "tell, 2 when nothing is followed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON; with --watch one line each time.")
@click.option("-w", "--watch", is_flag=True, help="Show it again every two seconds, until nothing is followed.")
@click.pass_context
def lag(context: click.Context, as_json: bool, watch: bool) -> None:
    """Show how far behind it is."""
    from pg_migration.cli.lag import lag as show
    from pg_migration.cli.lag import lag_of_all

    if is_about_all(context):
        context.exit(lag_of_all(every_pair(context), as_json, watch))
    context.exit(show(chosen_pair(context), as_json, watch))


lag.params = [*database_options(), *pair_options(every=True), *lag.params]
