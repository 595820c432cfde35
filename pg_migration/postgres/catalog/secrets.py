"""Statements as people may see them: passwords and the like are put out of sight."""

import re

# CREATE SUBSCRIPTION and CREATE USER MAPPING hold them in full, and options of a foreign server may.
_KINDS = ("subscription", "user mapping", "server", "foreign-data wrapper", "foreign table")
_LITERAL = r" ?E?'(?:[^']|'')*'"
_CONNECTION = re.compile(rf"(\bCONNECTION)(?:{_LITERAL})")
_OPTION = re.compile(rf'("(?:[^"]|"")*"|\w+)(?:{_LITERAL})')
_HARMLESS = frozenset({"user", "username", "host", "port", "dbname", "schema_name", "table_name", "column_name"})
_SECRET = re.compile("pass|secret|token|key|credential", re.IGNORECASE)


def without_secrets(kind: str, name: str, statement: str) -> str:
    """A statement that makes an object, with asterisks for what is nobody's business.

    Args:
        kind: of the object; an alteration is of kind ``settings``.
        name: of the object, which tells what an alteration alters.
    """
    what = name if kind == "settings" else kind
    if not what.startswith(_KINDS):
        return statement
    if what.startswith("subscription"):
        return _CONNECTION.sub(r"\1 '***'", statement)
    every = what.startswith("user mapping")
    before, options, after = statement.partition("OPTIONS (") if every else ("", "", statement)
    return before + options + _OPTION.sub(lambda option: _masked(option, every), after)


def _masked(option: re.Match[str], every: bool) -> str:
    name = option[1].strip('"').lower()
    secret = name not in _HARMLESS if every else bool(_SECRET.search(name))
    return f"{option[1]} '***'" if secret else option[0]
