"""Which tables a pattern means."""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def matches(schema: str, name: str, pattern: str) -> bool:
    """Whether an fnmatch pattern, case-sensitive, means this table by ``table`` or by ``schema.table``."""
    return fnmatchcase(name, pattern) or fnmatchcase(f"{schema}.{name}", pattern)


def is_excluded(schema: str, name: str, patterns: Iterable[str]) -> bool:
    """Whether any pattern means this table."""
    return any(matches(schema, name, pattern) for pattern in patterns)
