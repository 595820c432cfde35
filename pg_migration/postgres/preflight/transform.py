"""Whether rows can be chosen and masked as a transform says, and what people should know of that."""

from collections.abc import Iterator

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.figures import listed
from pg_migration.postgres.preflight.finding import Finding, error, passed, warning
from pg_migration.postgres.transform.document import Document
from pg_migration.postgres.transform.personal import named_personal, written_personal
from pg_migration.postgres.transform.transformation import Transformation, told

TRANSFORM = "transform"
PERSONAL = "personal data"
_ADVICE = "Mask it, or name it in personal.ignore of the transform"


# PostgreSQL docs: ALTER TABLE of 17 ("foreign key constraints on partitioned tables may not be declared NOT VALID").
PARTITIONED_NOT_VALID_SINCE = 180000


def look_at_transform(
    made: Transformation, catalog: Catalog, document: Document, target_version: int
) -> Iterator[Finding]:
    """What stands in the way of a transform, what it does, and what looks as if it were forgotten.

    Args:
        catalog: the source's, to which it was applied.
        target_version: server_version_num.
    """
    for problem in made.problems:
        yield error(TRANSFORM, problem, "Change the transform. Nothing was written")
    for caution in made.cautions:
        yield warning(TRANSFORM, caution, "Look whether that is meant")
    partitioned = {table.key for table in catalog.tables if table.kind == "p"}
    for key in catalog.foreign_keys if target_version < PARTITIONED_NOT_VALID_SINCE else ():
        if key.address in made.not_valid and key.table in partitioned:
            yield error(
                TRANSFORM,
                f"foreign key {key.name} of {'.'.join(key.table)} would be NOT VALID, which no foreign key of a "
                f"partitioned table can be before PostgreSQL 18",
                "Choose rows of both tables alike, or say subset",
            )
    unknown = [name for name in document.ignored if name not in _columns(catalog)]
    if unknown:
        yield error(
            TRANSFORM, f"personal.ignore names what is no column: {listed(unknown)}", "Correct it or take it out"
        )
    if left := [found for found in named_personal(catalog.tables) if found.label not in document.ignored]:
        named = listed(f"{found.label} ({found.kind})" for found in left)
        verdict = f"looks personal by its name, and is not masked: {named}"
        yield error(PERSONAL, verdict, _ADVICE) if document.strict else warning(PERSONAL, verdict, _ADVICE)
    if written := written_personal(catalog.objects):
        yield warning(
            PERSONAL,
            f"the structure is copied as it is, and looks personal in {listed(written)}",
            "Look at the comments, defaults and texts of these, and change them in the source",
        )
    if not made.problems:
        lines = told(made)
        yield passed(TRANSFORM, "\n".join(lines) if lines else "all rows as they are")


def _columns(catalog: Catalog) -> set[str]:
    return {".".join((*table.key, column.name)) for table in catalog.tables for column in table.columns}
