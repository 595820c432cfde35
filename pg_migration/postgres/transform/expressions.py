"""SQL that users write: conditions on rows, and masks of their own.

It is put into our statements, in the transaction that reads the source. So nothing in it may end the place that it is
put in, and what looks at the clock gets one moment for all sessions of a run, as each has a clock of its own.
"""

import re
from datetime import datetime

from pg_migration.postgres.errors import ConfigurationError

_TOKEN = re.compile(
    r"""
    (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<other>[uUbBxXnN]&?(?='))
    | (?P<string>'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>[^\W\d]\w*|)\$.*?\$(?P=tag)\$)
    | (?P<identifier>"(?:[^"]|"")*")
    | (?P<comment>--|/\*)
    | (?P<parameter>\$\d+)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<blank>\s+)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OF_THE_CLOCK = {
    "current_timestamp": "timestamptz",
    "localtimestamp": "timestamp",
    "current_date": "date",
}
_CALLED = {"now", "transaction_timestamp", "statement_timestamp"}
_REFUSED_WORDS = {
    "current_time": "current_timestamp",
    "localtime": "localtimestamp",
    "clock_timestamp": "now()",
    "timeofday": "now()",
}
_RELATIVE = re.compile(r"'\s*(now|today|tomorrow|yesterday)\b", re.IGNORECASE)


class _Token:
    def __init__(self, match: "re.Match[str]") -> None:
        self.kind, self.text = match.lastgroup or "", match.group()
        if self.kind == "tag":
            self.kind = "dollar"

    @property
    def lower(self) -> str:
        return self.text.lower() if self.kind == "word" else ""


def checked(text: object, place: str, moment: datetime) -> str:
    """An expression that stays in the place that it is put in, at one moment.

    Args:
        text: as the user wrote it.
        place: where that is, for messages.
        moment: what it takes for now.

    Raises:
        ConfigurationError: it can't be used.
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError(f"{place}: expected an expression in SQL")
    if "\0" in text:
        raise ConfigurationError(f"{place}: an expression can't hold the character NUL (0x00)")
    tokens = [_Token(match) for match in _TOKEN.finditer(text.strip())]
    _demand_one_expression(tokens, place)
    return "".join(_at(moment, tokens, place))


def _demand_one_expression(tokens: list[_Token], place: str) -> None:
    depth = 0
    for token in tokens:
        if token.kind == "comment":
            raise ConfigurationError(f"{place}: an expression can't hold a comment")
        if token.kind == "parameter":
            raise ConfigurationError(f"{place}: an expression can't hold a parameter ({token.text})")
        if token.text == ";":
            raise ConfigurationError(f"{place}: an expression can't hold a semicolon")
        if token.text in ("'", '"'):
            raise ConfigurationError(f"{place}: a quote is not closed")
        if token.kind in ("string", "escaped") and _RELATIVE.search(token.text):
            raise ConfigurationError(
                f"{place}: {token.text} means another moment in each session; write current_date or now()"
            )
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(token.text, 0) if token.kind == "mark" else 0
        if depth < 0:
            break
    if depth:
        raise ConfigurationError(f"{place}: its brackets do not match")


def _at(moment: datetime, tokens: list[_Token], place: str) -> list[str]:
    """The same with a moment instead of the clock."""
    then = f"CAST('{moment.isoformat()}' AS pg_catalog.timestamptz)"
    written: list[str] = []
    spoken = [n for n, token in enumerate(tokens) if token.kind != "blank"]
    following = {n: spoken[i + 1 : i + 3] for i, n in enumerate(spoken)}
    skipped = 0
    for n, token in enumerate(tokens):
        if n < skipped:
            continue
        called = [tokens[i].text for i in following.get(n, ())]
        before = _before(tokens, n)
        if token.lower in _REFUSED_WORDS and not before.endswith("."):
            raise ConfigurationError(
                f"{place}: {token.text} means another moment in each session; write {_REFUSED_WORDS[token.lower]}"
            )
        if token.lower in _CALLED and called == ["(", ")"] and before in ("", "pg_catalog."):
            if before:
                _take_back(written, 2)
            written.append(then)
            skipped = following[n][-1] + 1
        elif token.lower in _OF_THE_CLOCK and not before.endswith("."):
            written.append(f"CAST({then} AS pg_catalog.{_OF_THE_CLOCK[token.lower]})")
            if called[:1] == ["("]:  # with a precision, which a moment of the past has no use for
                close = next(i for i in spoken if i > n and tokens[i].text == ")")
                skipped = close + 1
        else:
            written.append(token.text)
    return written


def _before(tokens: list[_Token], place: int) -> str:
    """What qualifies a word: the name and the dot before it."""
    spoken = [token.text for token in tokens[:place] if token.kind != "blank"][-2:]
    return "".join(spoken) if spoken[-1:] == ["."] else ""


def _take_back(written: list[str], count: int) -> None:
    while count:
        count -= 1 if written.pop().strip() else 0
