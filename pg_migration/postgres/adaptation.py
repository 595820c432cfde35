"""What psycopg2 has to be told before its first connection: how to write literals.

psycopg2 decides once, when it connects, how a session reads backslashes, while a session here sets
``standard_conforming_strings`` for itself: where a database or role has it off, literals with a backslash would come
out wrong. Giving the setting with the connection is no way out, since poolers refuse that. An escape string with every
backslash doubled means the same under either setting (PostgreSQL docs: "String Constants with C-Style Escapes").
"""

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import encodings, register_adapter


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


def set_up() -> None:
    """Register what is here, for every connection of the process."""
    register_adapter(str, _StringLiteral)
