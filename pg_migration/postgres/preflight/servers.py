"""How the two servers and databases compare: versions, encodings, collations."""

from collections.abc import Iterator

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import Question, fetch
from pg_migration.postgres.figures import listed
from pg_migration.postgres.preflight.ends import Ends, ask, question
from pg_migration.postgres.preflight.finding import Finding, error, passed, warning

VERSIONS = "server versions"
ENCODINGS = "encodings"
COLLATIONS = "collations of the databases"
COLUMN_COLLATIONS = "collations of columns in the target"
COLLATION_VERSIONS = "collation versions"

OLDEST, NEWEST = 12, 19
SQL_ASCII = "SQL_ASCII"
PROVIDERS = {"c": "libc", "i": "ICU", "b": "builtin", "d": "default"}


def versions(source: int, target: int) -> Finding:
    """That both versions (server_version_num) are known here, and that the target is not older."""
    majors = (source // 10000, target // 10000)
    said = f"PostgreSQL {majors[0]} to {majors[1]}"
    if min(majors) < OLDEST:
        return error(VERSIONS, f"{said}: versions before {OLDEST} are not supported", "Upgrade that server first")
    if majors[1] < majors[0]:
        return warning(VERSIONS, f"{said}: the target is older", "Give a target that is at least as new as the source")
    if max(majors) > NEWEST:
        return warning(
            VERSIONS, f"{said}: versions after {NEWEST} are not tested", "Look for a newer version of pg_migration"
        )
    return passed(VERSIONS, said)


def encodings(ends: Ends) -> Finding:
    """That the target's encoding can hold the source's text."""
    source, target = (str(end.info.parameter_status("server_encoding")) for end in (ends.source, ends.target))
    said = f"{source} to {target}"
    if source == target or (target == "UTF8" and source != SQL_ASCII):
        return passed(ENCODINGS, said)
    return warning(
        ENCODINGS,
        f"{said}: text that is not valid in {target} makes the copy of its table fail"
        if target != SQL_ASCII
        else f"{said}: the target does not know what its bytes mean",
        f"Make the target database with ENCODING '{source}'",
    )


def collations(ends: Ends) -> Finding:
    """That text sorts the same by default."""
    source, target = (_collation(end) for end in (ends.source, ends.target))
    if source == target:
        return passed(COLLATIONS, source)
    return warning(
        COLLATIONS,
        f"text sorts by {source} in the source and by {target} in the target: ORDER BY, comparisons and upper() may "
        f"answer otherwise",
        "If that matters, make the target database with the same LOCALE",
    )


def _collation(end: Connection) -> str:
    ((collate, ctype, provider, locale, rules),) = ask(end, "collation")
    if provider != "c":
        return f"{locale} ({PROVIDERS.get(provider, provider)}{f', with the rules {rules}' if rules else ''})"
    names = dict.fromkeys(_as_libc_means(name) for name in (collate, ctype))
    return f"{' and '.join(names)} (libc)"


def _as_libc_means(name: str) -> str:
    """One spelling for locales that are one: C is POSIX, and UTF-8 may be written utf8."""
    if name in ("C", "POSIX"):
        return "C"
    language, dot, codeset = name.partition(".")
    return f"{language}{dot}{codeset.lower().replace('-', '')}"


def used_collations(ends: Ends, catalog: Catalog) -> Finding:
    """That the target's operating system has the locales that columns and indexes name."""
    names = [name for (name,) in ask(ends.source, "used_collations", tables=[table.oid for table in catalog.tables])]
    missing = [name for (name,) in ask(ends.target, "missing_collations", names=names)] if names else []
    if missing:
        return error(
            COLUMN_COLLATIONS,
            f"columns or indexes use collations that the target does not have: {listed(missing)}",
            "Install these locales on the target's server, then run there: SELECT "
            "pg_import_system_collations('pg_catalog');",
        )
    return passed(
        COLUMN_COLLATIONS, f"columns name {listed(names)}, which the target has" if names else "columns name none"
    )


def collation_versions(ends: Ends, catalog: Catalog) -> list[Finding]:
    """That no library sorts otherwise than when an index was built."""
    found = [
        *_outdated(ends.source, Side.SOURCE, [table.oid for table in catalog.tables]),
        *_outdated(ends.target, Side.TARGET, []),
    ]
    return found or [passed(COLLATION_VERSIONS, "as when the indexes were built")]


def collation_questions(end: Connection, tables: list[int]) -> list[Question]:
    """Which collations have another version now than before."""
    of_database = [question("database_collation_version")] if end.server_version >= 150000 else []
    return of_database + ([question("collation_versions", tables=tables)] if tables else [])


def _outdated(end: Connection, side: Side, tables: list[int]) -> Iterator[Finding]:
    rows = (row for asked in collation_questions(end, tables) for row in fetch(end, *asked))
    for what, recorded, actual, refresh in rows:
        harm = (
            "unique indexes on text may have let duplicates in, which the target refuses"
            if side is Side.SOURCE
            else "indexes on text that were there before may not find their rows"
        )
        yield warning(
            COLLATION_VERSIONS,
            f"{what} of the {side.value} was of version {recorded} when indexes were built and is {actual} now: {harm}",
            f"On the {side.value} run REINDEX on text indexes, then: {refresh};",
        )
