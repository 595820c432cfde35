"""What another PostgreSQL does not have or does otherwise, and what rows name on their own server."""

import re
from collections.abc import Iterable, Iterator, Mapping

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.connection.statements import Question, fetch
from pg_migration.postgres.figures import listed
from pg_migration.postgres.preflight.ends import Ends, ask, question
from pg_migration.postgres.preflight.finding import Finding, error, passed, warning
from pg_migration.postgres.preflight.objects import FEATURES

MEANING = "meaning of values in the target"

# Since then standard_conforming_strings can't be off, and Dutch has another stemmer. Release notes, "Migration".
POSTGRES_19 = 190000
# Since then a column is generated in a child only where it is in its parents. Release notes of 16, "Migration".
POSTGRES_16 = 160000
# Until then a generated column could choose the partition; until 14 an operator could follow its only operand.
POSTGRES_13 = 130000
POSTGRES_14 = 140000
ALWAYS_ON = "standard_conforming_strings"

_BODY = re.compile(r"\n(?:AS |BEGIN ATOMIC|RETURN )")
_SETTING = re.compile(r'^ SET "([^"]+)" TO (.*)$', re.MULTILINE)
_ENCODINGS = re.compile(r" FOR '([^']+)' TO '([^']+)' FROM ")
_RIGHT = re.compile(r"\bRIGHTARG = ")
_ICU = "PROVIDER = icu"
_DUTCH = re.compile(
    r"""'"?pg_catalog"?\."?dutch(_stem)?"?'
    | '"?dutch(_stem)?"?'(::"?text"?\))?::"?(pg_catalog"?\."?)?reg(config|dictionary)
    | "dutch_stem"
    | \blanguage\ =\ 'dutch'
    | \b(to_tsvector|\w*to_tsquery|ts_headline|ts_lexize)\s*\(\s*'dutch(_stem)?'""",
    re.VERBOSE | re.IGNORECASE,
)


def questions_of_source(ends: Ends) -> list[Question]:
    """What to ask of the source."""
    return [question("text_search")] if _has_other_stemmers(ends) else []


def questions_of_target(catalog: Catalog) -> list[Question]:
    """What to ask of the target."""
    asked = {"missing_settings": _settings(catalog), "missing_encodings": _encodings(catalog)}
    icu = [question("icu")] if _of_icu(catalog) else []
    return [*(question(name, names=[*used]) for name, used in asked.items() if used), *icu]


def settings(ends: Ends, catalog: Catalog) -> Iterator[Finding]:
    """That the target has the settings that functions make for themselves."""
    made = _settings(catalog)
    missing = _missing(ends, "missing_settings", made)
    off = [name for name, value in made.get(ALWAYS_ON, ()) if value == "'off'"]
    uses = [f"{function}: {name}" for name in missing for function, _ in made[name]]
    if off and ends.target.server_version >= POSTGRES_19:
        uses += [f"{function}: {ALWAYS_ON} as off" for function in off]
    if uses:
        advice = (
            "In the source run ALTER FUNCTION ... RESET for each, and see to it that the function needs it no longer"
        )
        yield _lacking(ends, "does not have settings that functions make", uses, advice)


def encodings(ends: Ends, catalog: Catalog) -> Iterator[Finding]:
    """That the target has the encodings that conversions are for."""
    used = _encodings(catalog)
    missing = _missing(ends, "missing_encodings", used)
    if missing:
        uses = [f"{conversion}: {name}" for name in missing for conversion in used[name]]
        yield _lacking(ends, "does not have encodings of conversions", uses, "Drop these conversions in the source")


def xml(ends: Ends, catalog: Catalog) -> Iterator[Finding]:
    """That the target can read XML, where there are columns of it."""
    columns = list(_columns_of(catalog, "xml"))
    if columns and not _reads_xml(ends.target):
        yield warning(
            FEATURES,
            f"the target's server was built without libxml. Rows with a value in {listed(columns)} make the copy of "
            "their table fail",
            "Give a server that was built with libxml",
        )


def icu(ends: Ends, catalog: Catalog) -> Iterator[Finding]:
    """That the target can sort by ICU, where there are collations of it."""
    made = _of_icu(catalog)
    if made and not ask(ends.target, "icu")[0][0]:
        yield error(
            FEATURES,
            f"the target's server was built without ICU, by which these sort: {listed(made)}",
            "Give a server that was built with ICU, or drop these collations in the source",
        )


def postfix_operators(ends: Ends, catalog: Catalog) -> Iterator[Finding]:
    """That the target takes operators without a right operand."""
    if _is_crossed(ends, POSTGRES_14):
        uses = [
            item.identity
            for item in catalog.objects
            if item.kind == "operator" and not _RIGHT.search(item.statements[0])
        ]
        if uses:
            advice = "Drop them in the source, or make functions of them: none can be called in the target"
            yield _lacking(ends, "does not have operators without a right operand", uses, advice)


def generated_columns(ends: Ends, catalog: Catalog) -> Iterator[Finding]:
    """That the target takes the generated columns of partitioned tables, inheritance children and partitions."""
    choosing = [
        f"{table.schema}.{table.name}.{column.name}"
        for table in catalog.tables
        for column in table.columns
        if column.generated and quote(column.name) in (table.partition_key or "")
    ]
    if choosing and _is_crossed(ends, POSTGRES_13):
        advice = "Partition these tables by another key in the source"
        yield _lacking(ends, "does not take generated columns that choose the partition", choosing, advice)
    if not _is_crossed(ends, POSTGRES_16):
        return
    plain = {(*table.key, column.name) for table in catalog.tables for column in table.columns if not column.generated}
    uses = [
        f"{table.schema}.{table.name}.{column.name}: not generated in {'.'.join(parent)}"
        for table in catalog.tables
        for column in table.columns
        if column.generated
        for parent in table.parents
        if (*parent, column.name) in plain
    ]
    if uses:
        yield _lacking(
            ends,
            "does not have generated columns below others",
            uses,
            "In the source make them ordinary columns (from 13 on by ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION, "
            "which keeps the values), or have the parent compute them, too",
        )


def meaning(ends: Ends, catalog: Catalog) -> list[Finding]:
    """That the target finds by what is stored what the source finds by it."""
    found = [*_stemmers(ends, catalog), *_databases(catalog)]
    return found or [passed(MEANING, "as in the source")]


def _stemmers(ends: Ends, catalog: Catalog) -> Iterator[Finding]:
    if not _has_other_stemmers(ends):
        return
    leaning = [
        item.identity for item in catalog.objects if item.kind != "comment" and any(map(_DUTCH.search, item.statements))
    ]
    leaning += [
        f"default_text_search_config ({name})" for (name,) in ask(ends.source, "text_search") if _is_dutch(name)
    ]
    if leaning:
        yield warning(
            MEANING,
            f"PostgreSQL 19 finds other stems of Dutch words, which these lean on: {listed(leaning)}. Stored tsvector "
            "values keep the stems that they have, by which searches of the target may not find them; what the target "
            "computes itself has other values than in the source",
            "After the migration write stored ones anew in the target, or have configurations use a dictionary of the "
            "former stemmer there: TEMPLATE = snowball, Language = dutch_porter",
        )


def _databases(catalog: Catalog) -> Iterator[Finding]:
    if columns := list(_columns_of(catalog, "regdatabase")):
        yield warning(
            MEANING,
            f"columns of type regdatabase hold names of databases: {listed(columns)}. Rows that name one which the "
            "target's server does not have make the copy of their table fail",
            "Have databases of these names there first",
        )


def _columns_of(catalog: Catalog, kind: str) -> Iterator[str]:
    """The columns of a built-in type, of domains over it, and of arrays."""
    for table in catalog.tables:
        for column in table.columns:
            if column.base_type == kind or column.ddl_type in (f'"{kind}"[]', f"{kind}[]"):
                yield f"{table.schema}.{table.name}.{column.name}"


def _reads_xml(connection: Connection) -> bool:
    """Nothing but the answer to such a question tells it to everybody."""
    try:
        fetch(connection, "SELECT xml_is_well_formed('<a/>')")
    except psycopg2.errors.FeatureNotSupported:
        return False
    return True


def _has_other_stemmers(ends: Ends) -> bool:
    return ends.source.server_version < POSTGRES_19 <= ends.target.server_version


def _is_dutch(configuration: str) -> bool:
    return configuration.rpartition(".")[2] == "dutch"


def _settings(catalog: Catalog) -> Mapping[str, list[tuple[str, str]]]:
    """The functions that make a setting, and its value as DDL has it, by the setting's name.

    Names with a dot are those of modules: any may be set, known or not.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for item in catalog.objects:
        if item.kind == "function":
            head = _BODY.split(item.statements[0], 1)[0]
            for name, value in _SETTING.findall(head):
                if "." not in name:
                    found.setdefault(name, []).append((item.identity, value))
    return found


def _encodings(catalog: Catalog) -> Mapping[str, list[str]]:
    """The conversions for an encoding, by its name."""
    found: dict[str, list[str]] = {}
    for item in catalog.objects:
        if item.kind == "conversion" and (match := _ENCODINGS.search(item.statements[0])):
            for name in match.groups():
                found.setdefault(name, []).append(item.identity)
    return found


def _of_icu(catalog: Catalog) -> list[str]:
    return [
        item.identity
        for item in catalog.objects
        if item.kind == "collation" and any(_ICU in statement for statement in item.statements)
    ]


def _is_crossed(ends: Ends, version: int) -> bool:
    """Whether the source is older than a version, and the target is not."""
    return bool(ends.source.server_version < version <= ends.target.server_version)


def _missing(ends: Ends, query: str, names: Mapping[str, object]) -> list[str]:
    return [name for (name,) in ask(ends.target, query, names=[*names])] if names else []


def _lacking(ends: Ends, what: str, uses: Iterable[str], advice: str) -> Finding:
    lines = "\n".join(f"  - {use}" for use in uses)
    return error(FEATURES, f"the target's PostgreSQL {ends.target.server_version // 10000} {what}:\n{lines}", advice)
