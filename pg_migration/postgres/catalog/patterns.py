"""Which tables a pattern means."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from pg_migration.postgres.catalog.model import TableName
from pg_migration.postgres.errors import ConfigurationError

_WILDCARDS = frozenset("*?[")
MAX_SUGGESTIONS = 3


def matches(schema: str, name: str, pattern: str) -> bool:
    """Whether a pattern means this table, by ``table`` or by ``schema.table``: as its name, or as one of fnmatch's.

    Both are case-sensitive.
    """
    return any(text == pattern or fnmatchcase(text, pattern) for text in (name, f"{schema}.{name}"))


def is_excluded(schema: str, name: str, patterns: Iterable[str]) -> bool:
    """Whether any pattern means this table."""
    return any(matches(schema, name, pattern) for pattern in patterns)


def unmatched(patterns: Iterable[str], tables: Collection[TableName]) -> tuple[str, ...]:
    """The patterns of ``exclude_tables`` that mean no table, and may: those with wildcards.

    Raises:
        ConfigurationError: a name without wildcards means no table. Whoever wrote it wants one left out that would be
            copied.
    """
    idle = [pattern for pattern in patterns if not any(matches(*table, pattern) for table in tables)]
    if names := [pattern for pattern in idle if not _WILDCARDS & set(pattern)]:
        told = "; ".join(f"'{name}'{suggestion(name, tables)}" for name in names)
        raise ConfigurationError(
            f"exclude_tables names what is no table of the migrated schemas, or is none any more: {told}. Names are "
            f"case-sensitive, without quotes, and may have their schema before them, as in the source: schema.table. "
            f"Correct them or take them out; nothing was changed."
        )
    return tuple(idle)


def suggestion(name: str, tables: Collection[TableName]) -> str:
    """Tables that are called much alike."""
    plain = name.replace('"', "").lower()
    known = {f"{schema}.{table}".lower(): f"{schema}.{table}" for schema, table in tables}
    short = {table.lower(): f"{schema}.{table}" for schema, table in tables}
    near = [
        *get_close_matches(plain, list(known), MAX_SUGGESTIONS),
        *get_close_matches(plain.rpartition(".")[2], list(short), MAX_SUGGESTIONS),
    ]
    found = list(dict.fromkeys(known.get(text) or short[text] for text in near))[:MAX_SUGGESTIONS]
    return f" (did you mean {' or '.join(found)}?)" if found else ""
