"""Statements as people may see them: passwords and the like are put out of sight."""

import re

# CREATE SUBSCRIPTION and CREATE USER MAPPING hold them in full, and options of a foreign server may.
_KINDS = ("subscription", "user mapping", "server", "foreign-data wrapper", "foreign table")
_TOKEN = re.compile(r"""(?P<value>E?'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*"|\w+)""")
# What may be seen of a user mapping, all of whose other options are taken for secrets.
_HARMLESS = frozenset({"user", "username", "host", "port", "dbname"})
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
    before = ""  # what a value is of

    def shown(token: re.Match[str]) -> str:
        nonlocal before
        if token["value"] is not None:
            return "'***'" if _is_secret(what, before) else token.group()
        before = token["name"].strip('"').lower()
        return token.group()

    return _TOKEN.sub(shown, statement)


def _is_secret(what: str, option: str) -> bool:
    if what.startswith("subscription"):
        return option == "connection"
    return option not in _HARMLESS if what.startswith("user mapping") else bool(_SECRET.search(option))
