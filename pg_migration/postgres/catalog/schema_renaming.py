"""Carry a schema's new name into DDL that the server wrote under its old one.

Discovery deparses with an empty search_path and quote_all_identifiers, so that every reference to a schema is the token
``"schema"`` followed by a dot. (Deparsing relative to a search_path is no substitute: a name that a newer server
has in pg_catalog, such as uuidv7 in 18, would resolve there.) Text in function bodies and string literals is left
alone, except for literals of the reg* types, and of text that is cast to one of them: those name objects.
"""

import re
from collections.abc import Collection, Mapping

_TOKEN = re.compile(
    r"""
    (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>[^\W\d]\w*|)\$.*?\$(?P=tag)\$)
    | (?P<identifier>"(?:[^"]|"")*")
    """,
    re.VERBOSE | re.DOTALL,
)
_LEXEME = re.compile(_TOKEN.pattern + r"| \w+ | [^\s\w]", re.VERBOSE | re.DOTALL)
_BEFORE_OBJECT_NAMES = frozenset(
    {"ON", "ONLY", "TO", "FUNCTION", "PROCEDURE", "AGGREGATE", "STATISTICS", "COLLATION", "CONVERSION", "PARSER"}
    | {"TEMPLATE", "DICTIONARY", "CONFIGURATION", "FAMILY", "CLASS", "OPERATOR", "TABLE", "INDEX", "VIEW", "SEQUENCE"}
    | {"TYPE", "DOMAIN", "COLUMN"}
)
_MEMBER = re.compile(r'"(?P<name>(?:[^"]|"")*)"|(?P<operator>[-+*/<>=~!@#%^&|`?]+)')
_TEXT_OF_OBJECT = re.compile(r'::(?:"?pg_catalog"?\.)?"?text"?\)::(?:"?pg_catalog"?\.)?"?reg[a-z]+"?')
_TYPED_NAME = re.compile(r"""'(?P<schema>"(?:[^"']|"")+"|[^\W\d][\w$]*)\.(?P<rest>"(?:[^"']|"")+"|[^\W\d][\w$]*)'""")
_NEEDLESS = re.compile(r'^"([a-z_][a-z0-9_]*)"$')
_OBJECT_LITERAL = re.compile(r'::(?:"?pg_catalog"?\.)?"?reg[a-z]+"?')
# Rows that are spoken of without an alias that is written anywhere, and the kinds of objects in which they are: besides
# triggers and rules ON CONFLICT and RETURNING, which functions in standard SQL may have.
_UNDECLARED = frozenset({"old", "new", "excluded"})
_SPEAK_OF_ROWS = frozenset({"trigger", "rule", "function"})


def quote(name: str) -> str:
    """``name`` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def without_quoted_text(ddl: str) -> str:
    """``ddl`` with strings, quoted names and dollar-quoted bodies taken out."""
    return _TOKEN.sub("", ddl)


def without_strings(ddl: str) -> str:
    """``ddl`` with strings and dollar-quoted bodies taken out."""
    return _TOKEN.sub(lambda token: token["identifier"] or "", ddl)


def may_hold_alias(ddl: str, schema: str, kind: str) -> bool:
    """Whether something besides the schema has its name, so that ``"schema".`` may not be the schema.

    Args:
        kind: of the object that ``ddl`` makes.
    """
    name = quote(schema)
    return name in ddl and (
        (schema in _UNDECLARED and kind in _SPEAK_OF_ROWS)
        or any(token.group() == name and ddl[token.end() : token.end() + 1] != "." for token in _TOKEN.finditer(ddl))
    )


def table_aliases(ddl: str, relative: str, schema: str) -> frozenset[int]:
    """Where in ``ddl`` the name of ``schema`` before a dot is that of a table or alias.

    ``relative`` is the same as the server writes it with the schema on its search_path: there the references to the
    schema are gone, and those to an alias are not. What is defined, and the table that it is defined on, keep their
    schema always; they follow a word that no column follows (conditions of joins are written in parentheses), in small
    letters where the server describes an object (``trigger on table``) rather than writing DDL.
    """
    name, found = quote(schema), set()
    left = [(lexeme.start(), lexeme.group()) for lexeme in _LEXEME.finditer(ddl)]
    right = [lexeme.group() for lexeme in _LEXEME.finditer(relative)]
    here = there = 0
    while here < len(left):
        offset, text = left[here]
        if text == name and here + 1 < len(left) and left[here + 1][1] == ".":
            if right[there : there + 2] == [name, "."]:
                there += 2
                if here == 0 or left[here - 1][1].upper() not in _BEFORE_OBJECT_NAMES:
                    found.add(offset)
            here += 2
        else:
            here, there = here + 1, there + 1
    return frozenset(found)


class Renaming:
    """Rewrites references to schemas.

    ``schemas`` maps names in the discovered database to names in the target; equal pairs cost nothing. ``exceptions``
    says which schema a single name in a schema moves to instead: members of an extension that the target has elsewhere.
    """

    def __init__(self, schemas: Mapping[str, str], exceptions: Mapping[tuple[str, str], str] | None = None) -> None:
        self._exceptions = {
            (quote(schema), name): quote(new) for (schema, name), new in (exceptions or {}).items() if schema != new
        }
        self._names = {quote(old): quote(new) for old, new in schemas.items() if old != new}
        self._mentioned = {*self._names, *(schema for schema, _ in self._exceptions)}

    def __call__(self, ddl: str, aliases: Collection[int] = ()) -> str:
        """``ddl`` with every reference to a renamed schema under its new name.

        ``aliases`` are places where such a name followed by a dot is that of a table or alias (`table_aliases`).
        """
        if not any(name in ddl for name in self._mentioned):
            return ddl
        return _TOKEN.sub(lambda token: token.group() if token.start() in aliases else self._replacement(token), ddl)

    def optional(self, ddl: str | None) -> str | None:
        """The same, passing None through."""
        return None if ddl is None else self(ddl)

    def _replacement(self, token: re.Match[str]) -> str:
        text, source = token.group(), token.string
        if token.lastgroup == "identifier" or token["identifier"] is not None:
            qualifies = (
                source[token.end() : token.end() + 1] == "." and source[token.start() - 1 : token.start()] != "."
            )
            if not qualifies:
                return text
            if self._exceptions and (member := _MEMBER.match(source, token.end() + 1)):
                name = member["name"].replace('""', '"') if member["name"] is not None else member["operator"]
                if (text, name) in self._exceptions:
                    return self._exceptions[text, name]
            return self._names.get(text, text)
        if token["string"] is not None and _OBJECT_LITERAL.match(source, token.end()):
            inner = text[1:-1].replace("''", "'")
            renamed = self._names.get(inner) or self(inner)
            return "'" + renamed.replace("'", "''") + "'"
        if token["string"] is not None and _TEXT_OF_OBJECT.match(source, token.end()):
            return self._as_people_write(text)
        return text

    def _as_people_write(self, literal: str) -> str:
        """The literal of a name as somebody typed it: only where it has capital letters or blanks is it quoted."""
        name = _TYPED_NAME.fullmatch(literal)
        if name is None:
            return literal
        schema = quote(name["schema"].lower()) if name["schema"][0] != '"' else name["schema"]
        new = self._names.get(schema, schema)
        if new == schema:
            return literal
        typed = _NEEDLESS.sub(r"\1", new).replace("'", "''")
        return f"'{typed}.{name['rest']}'"

    def left_in_text(self, ddl: str) -> Mapping[str, list[str]]:
        """String literals that name a renamed schema and are left as they are, by the schema's old name.

        A literal names a schema that stands in it before a dot, or in a list of names and nothing else.
        """
        found: dict[str, list[str]] = {}
        for token in _TOKEN.finditer(ddl):
            text = token["string"] or token["escaped"]
            if text is None or self._replacement(token) != text:
                continue
            for quoted in self._names:
                name = quoted[1:-1].replace('""', '"')
                before_dot = rf'(?<![\w$"])(?:{re.escape(name)}|{re.escape(quoted)})\s*\.\s*["\w]'
                listed = [element.strip().strip('"') for element in text[text.index("'") + 1 : -1].split(",")]
                in_list = name in listed and all(re.fullmatch(r"[\w$ ]+", element) for element in listed)
                if in_list or re.search(before_dot, text):
                    found.setdefault(name, []).append(text)
        return found


_PATH_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+))\s*(?:,|$)')


def search_path_clause(setting: str, schemas: Mapping[str, str]) -> str:
    """How pg_get_functiondef writes a function's own search_path, each schema under its new name.

    Args:
        setting: the value as the catalogs keep it, a list of names, quoted where need be.
        schemas: old names to new ones.
    """
    names = (quoted.replace('""', '"') if quoted else plain.strip() for quoted, plain in _PATH_ELEMENT.findall(setting))
    literals = ("'" + schemas.get(name, name).replace("'", "''") + "'" for name in names)
    return f'\n SET "search_path" TO {", ".join(literals)}\n'
