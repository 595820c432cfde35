"""What an older target can't have: found in the DDL before any of it runs."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pg_migration.postgres.catalog import Catalog, SchemaObject
from pg_migration.postgres.catalog.schema_renaming import without_quoted_text, without_strings


@dataclass(frozen=True)
class Feature:
    """Something that came with a server version (server_version_num), and how it shows in DDL of some kinds.

    ``read`` leaves of a statement what is looked at.
    """

    since: int
    name: str
    pattern: re.Pattern[str]
    kinds: frozenset[str] = frozenset()
    read: Callable[[str], str] = without_quoted_text


def _feature(since: int, name: str, pattern: str, *kinds: str) -> Feature:
    return Feature(since * 10000, name, re.compile(pattern), frozenset(kinds))


def _types(since: int, *names: str) -> Feature:
    """Built-in types: where nothing else can stand, as columns, aliases and arguments may have the same name."""
    name = rf'"({"|".join(names)})"(?=[\[,)\s]|$)'
    pattern = rf"""(?s)::{name}
        |^CREATE\ TABLE\ .*"\ {name}
        |^CREATE\ DOMAIN\ [^(]*\ AS\ {name}
        |^CREATE\ TYPE\ .*("\ |SUBTYPE\ =\ ){name}
        |^CREATE\ AGGREGATE\ .*([(]|,\ |TYPE\ =\ ){name}
        |^CREATE\ OR\ REPLACE\ (FUNCTION|PROCEDURE)\ [^\n]*("\ |[(]|,\ ){name}(?=[\[,)]|\ DEFAULT)
        |^CREATE\ OR\ REPLACE\ FUNCTION\ [^\n]*\n\ RETURNS\ (SETOF\ )?{name}"""
    said = f"type {' or '.join(names)}"
    return Feature(since * 10000, said, re.compile(pattern, re.VERBOSE), read=without_strings)


_QUERIES = ("view", "materialized view", "function", "rule")

# Release notes of PostgreSQL 14 to 19, "Migration" and "Utility Commands".
FEATURES = (
    _feature(14, "multirange type", r"\bMULTIRANGE_TYPE_NAME\b", "type"),
    _feature(14, "SQL-standard function body", r"\n(BEGIN ATOMIC|RETURN) ", "function"),
    _feature(14, "OUT argument of a procedure", r"(?s)^CREATE OR REPLACE PROCEDURE [^\n]*\bOUT ", "function"),
    _feature(14, "statistics on an expression", r"ON \(+[^)]", "statistics"),
    _feature(14, "compression method", r"", "compression"),
    _feature(14, "subscripting of a base type", r"\bSUBSCRIPT = ", "type"),
    _feature(14, "SEARCH or CYCLE of a recursive query", r"\) (SEARCH (DEPTH|BREADTH) FIRST BY|CYCLE) ", *_QUERIES),
    _feature(15, "MERGE", r"\bMERGE INTO ", *_QUERIES),
    _feature(15, "NULLS NOT DISTINCT", r"\bNULLS NOT DISTINCT\b", "unique", "index"),
    _feature(15, "security_invoker", r"\bsecurity_invoker=", "view"),
    _feature(15, "unlogged sequence", r"\bUNLOGGED SEQUENCE\b", "sequence"),
    _feature(
        13, "publication by way of the partitioned table", r"\bpublish_via_partition_root = true\b", "publication"
    ),
    _feature(14, "setting of a subscription", r"\b(binary|streaming) = (true|on)\b", "subscription"),
    _feature(15, "publication of a schema", r"", "publication schema"),
    _feature(15, "row filter or list of columns of a publication", r"\bWHERE \(|\)$", "publication table"),
    _feature(15, "setting of a subscription", r"\b(two_phase = on|disable_on_error)\b", "subscription"),
    _feature(15, "foreign key that sets only some columns", r"ON DELETE SET (NULL|DEFAULT) \(", "foreign key"),
    _feature(16, "setting of a subscription", r"\b(streaming = parallel|origin|password_required)\b", "subscription"),
    _feature(16, "collation rules", r"\bRULES = ", "collation"),
    _feature(16, "JSON constructor or IS JSON", r"\bJSON_(ARRAY|OBJECT)(AGG)?\(|\bIS (NOT )?JSON\b"),
    _feature(17, "SQL/JSON function", r"\bJSON_(EXISTS|QUERY|SCALAR|SERIALIZE|TABLE|VALUE)\(|\bJSON\("),
    _feature(17, "MERGE ... WHEN NOT MATCHED BY SOURCE", r"\bWHEN NOT MATCHED BY SOURCE\b", *_QUERIES),
    _feature(17, "builtin collation provider", r"\bPROVIDER = builtin\b", "collation"),
    _feature(17, "setting of a subscription", r"\bfailover\b", "subscription"),
    _feature(17, "login event trigger", r"\bON login\b", "event trigger"),
    _feature(17, "MAINTAIN privilege", r"\bMAINTAIN\b", "privileges", "default privileges"),
    _feature(18, "published generated columns", r"\bpublish_generated_columns = stored\b", "publication"),
    _feature(18, "virtual generated column", r"\bVIRTUAL\b", "table"),
    _feature(18, "OLD or NEW in RETURNING", r"\bRETURNING WITH \(", *_QUERIES),
    _feature(18, "NOT ENFORCED", r"\bNOT ENFORCED\b"),
    _feature(18, "temporal constraint", r"\b(WITHOUT OVERLAPS|PERIOD)\b"),
    _feature(18, "NOT NULL constraint that is not valid", r"\bNOT NULL\b.*\bNOT VALID\b", "not null"),
    _feature(19, "support function of an aggregate", r"\bSUPPORT = ", "aggregate"),
    _feature(19, "IGNORE NULLS of a window function", r"\) IGNORE NULLS OVER ", *_QUERIES),
    _feature(19, "ON CONFLICT ... DO SELECT", r"\bON CONFLICT\b.*\bDO SELECT\b", *_QUERIES),
    _feature(19, "autovacuum_parallel_workers", r"\bautovacuum_parallel_workers="),
    _feature(19, "subscription by way of a server", r"^CREATE SUBSCRIPTION\s+SERVER\b", "subscription"),
    _feature(
        19,
        "setting of a subscription",
        r"\b(retain_dead_tuples|max_retention_duration|wal_receiver_timeout) = ",
        "subscription",
    ),
    _feature(19, "publication of all sequences, or with exceptions", r"\bALL SEQUENCES\b|\bEXCEPT \(", "publication"),
    _feature(19, "connection function of a foreign-data wrapper", r"\sCONNECTION\b", "foreign-data wrapper"),
    Feature(
        190000,
        "Snowball stemmer",
        re.compile(r"(?i)\blanguage = '(dutch_porter|esperanto|polish)'"),
        frozenset({"text search dictionary"}),
        str,
    ),
    _types(13, "pg_snapshot", "regcollation", "xid8"),
    _types(14, *(f"{name}multirange" for name in ("date", "int4", "int8", "num", "ts", "tstz"))),
    _types(19, "oid8", "regdatabase"),
)


def unsupported(source: Catalog, target_version: int) -> tuple[str, ...]:
    """What the source has and a server of the target's version lacks, as lines for people; empty if all goes through.

    Only ever something when the target is older than the source.
    """
    lacking = [feature for feature in FEATURES if target_version < feature.since <= source.version]
    return tuple(line for item in source.objects for line in _uses(item, lacking)) if lacking else ()


def _uses(item: SchemaObject, features: list[Feature]) -> Iterator[str]:
    for feature in features:
        if feature.kinds and item.kind not in feature.kinds:
            continue
        if any(feature.pattern.search(feature.read(statement)) for statement in item.statements):
            yield f"{item.identity}: {feature.name} (PostgreSQL {feature.since // 10000})"
