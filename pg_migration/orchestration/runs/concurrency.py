"""How many runs may read one source or write to one target at once."""

from collections.abc import Mapping

from pg_migration.orchestration import environment
from pg_migration.orchestration.location.names import legal
from pg_migration.orchestration.run_tags import RETRY_TAGS, TARGET_TAG
from pg_migration.postgres.connection.endpoint import Side


def run_tags() -> Mapping[str, str]:
    """Tags by which runs on one target queue up (concurrency in dagster.yaml), and by which they are started again.

    A comparison queues, too: it would find a target that is being filled to be wrong.
    """
    return {TARGET_TAG: environment.place(Side.TARGET), environment.PAIR_TAG: environment.pair(), **RETRY_TAGS}


def source_pool() -> str:
    """The pool of steps that open a connection to the source for each worker: one for each source database.

    dagster.yaml limits how many runs with such steps go on at once; that runs on one target queue up is another matter,
    see `pg_migration.orchestration.jobs.migrate.run_tags`.
    """
    return f"source_{legal(environment.place(Side.SOURCE))}"
