"""Whether rows can be chosen and masked as a transform says, and what people should know of that."""

from collections.abc import Iterator

from pg_migration.postgres.preflight.finding import Finding, error, passed, warning
from pg_migration.postgres.transform.transformation import Transformation, told

TRANSFORM = "transform"


def look_at_transform(made: Transformation) -> Iterator[Finding]:
    """What stands in the way of a transform, and what it does."""
    for problem in made.problems:
        yield error(TRANSFORM, problem, "Change the transform. Nothing was written")
    for caution in made.cautions:
        yield warning(TRANSFORM, caution, "Look whether that is meant")
    if not made.problems:
        lines = told(made)
        yield passed(TRANSFORM, "\n".join(lines) if lines else "all rows as they are")
