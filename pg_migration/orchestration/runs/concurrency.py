"""How many runs may read one source or write to one target at once."""

from collections.abc import Mapping

from pg_migration.orchestration.location.names import legal
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.run_tags import PAIR_TAG, RETRY_TAGS, TARGET_TAG
from pg_migration.postgres.connection.endpoint import Side


def run_tags(pair: Pair) -> Mapping[str, str]:
    """Tags by which runs on one target queue up (concurrency in dagster.yaml), and by which they are started again.

    A comparison queues, too: it would find a target that is being filled to be wrong.
    """
    return {TARGET_TAG: pair.place(Side.TARGET), PAIR_TAG: pair.places, **RETRY_TAGS}


def source_pool(pair: Pair) -> str:
    """The pool of steps that open a connection to the source for each worker: one for each source database.

    dagster.yaml limits how many runs with such steps go on at once; that runs on one target queue up is another matter,
    see `run_tags`.
    """
    return pair.pool or f"source_{legal(pair.place(Side.SOURCE))}"
