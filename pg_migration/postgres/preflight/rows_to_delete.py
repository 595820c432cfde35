"""That nothing is deleted in the target but what earlier runs have put there."""

from collections.abc import Sequence

from pg_migration.postgres.figures import listed
from pg_migration.postgres.ledger.own_rows import UnknownRows, Written
from pg_migration.postgres.preflight.finding import Finding, error, passed, warning

ROWS_TO_DELETE = "rows of the target that would be deleted"


def of_ours(written: Sequence[Written]) -> Finding:
    """Where all rows that would go are ours; ``written`` are the tables that others have written to since."""
    if not written:
        return passed(ROWS_TO_DELETE, "none but what earlier runs have loaded from this source")
    return warning(
        ROWS_TO_DELETE,
        f"tables of earlier runs were written to since they were loaded: {listed(map(str, written))}",
        "What was written there is lost, as the tables are loaded anew",
    )


def of_unknown_rows(found: Sequence[UnknownRows], target: str, overwrite: bool) -> Finding:
    """Where there are rows that we did not load from this source.

    Args:
        target: where they are.
        overwrite: whether they may go all the same.
    """
    reasons = dict.fromkeys(strange.reason for strange in found)
    told = "; ".join(f"{listed(str(s) for s in found if s.reason == reason)}: {reason}" for reason in reasons)
    if overwrite:
        return warning(ROWS_TO_DELETE, f"overwrite_existing_rows is set: in {told}", "They are lost")
    return error(
        ROWS_TO_DELETE,
        f"the target {target} holds rows that were not loaded from this source by earlier runs, and would be deleted: "
        f"{told}. Nothing was changed",
        "Make sure that source and target are not swapped. If these rows may go, set overwrite_existing_rows: true "
        "(pg_migration run --overwrite)",
    )
