"""What psycopg2 has to be told before its first connection: how to write literals and names, and what bytes mean.

psycopg2 decides once, when it connects, how a session reads backslashes, while a session here sets
``standard_conforming_strings`` for itself: where a database or role has it off, literals with a backslash would come
out wrong. Giving the setting with the connection is no way out, since poolers refuse that. An escape string with every
backslash doubled means the same under either setting (PostgreSQL docs: "String Constants with C-Style Escapes").

A database of encoding SQL_ASCII holds bytes, whatever they mean. They are taken for UTF-8, and those that are not stay
what they are (Python docs: "surrogateescape"), so that what was read goes back unchanged. psycopg2 would take ASCII for
granted there, and UTF-8 in every name.
"""

import codecs
from typing import TYPE_CHECKING, Any

import psycopg2.extensions
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import encodings, register_adapter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BYTES = "pg_migration_bytes"


class _StringLiteral:
    """A string as every session reads it, whatever its settings."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._encoding = "utf_8"

    def prepare(self, connection: Connection) -> None:
        """Called by psycopg2 with the connection that the literal is for."""
        self._encoding = encodings[connection.encoding]

    def getquoted(self) -> bytes:
        """The literal, as psycopg2 puts it into a statement."""
        if "\0" in self._text:
            raise ValueError("a string of PostgreSQL can't hold the character NUL (0x00)")
        quoted = "'" + self._text.replace("'", "''") + "'"
        if "\\" in quoted:
            # The blank keeps the E from becoming part of a word before it.
            quoted = " E" + quoted.replace("\\", "\\\\")
        return quoted.encode(self._encoding)

    def __str__(self) -> str:
        return self.getquoted().decode(self._encoding)


def _encode(text: str, _errors: str = "", /) -> tuple[bytes, int]:
    return text.encode("utf_8", "surrogateescape"), len(text)


def _decode(data: "ReadableBuffer", _errors: str = "", /) -> tuple[str, int]:
    read = bytes(data)
    return read.decode("utf_8", "surrogateescape"), len(read)


def _find_codec(name: str) -> codecs.CodecInfo | None:
    return codecs.CodecInfo(_encode, _decode, name=BYTES) if name == BYTES else None


def _quote_ident(ident: str | bytes, scope: Any) -> str:  # noqa: ARG001  (as psycopg2 calls it)
    assert isinstance(ident, str)
    return '"' + ident.replace('"', '""') + '"'


def readable(text: str) -> str:
    """``text``, with bytes that are not UTF-8 written out: for people, and for what takes proper text only."""
    return text.encode("utf_8", "surrogateescape").decode("utf_8", "backslashreplace")


def encoded(text: str, connection: Connection) -> bytes:
    """A statement as psycopg2 sends it."""
    return codecs.encode(text, encodings[connection.encoding])


def set_up() -> None:
    """Register what is here, for every connection of the process."""
    register_adapter(str, _StringLiteral)
    codecs.register(_find_codec)
    encodings["SQL_ASCII"] = encodings["SQLASCII"] = BYTES
    # Its own encodes every name as UTF-8; psycopg2.sql asks for it by this name.
    psycopg2.extensions.quote_ident = _quote_ident
