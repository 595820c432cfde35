"""A 64-bit hash of one value or of a row: for the same bytes the same on every server, for others another one.

PostgreSQL's hash functions serve its own equality, to which 1.0 and 1.00 are the same, -0 and 0, '1 mon' and '30 days',
'a' and 'A' under some collations. They also leave out what equality has no need of: numeric's the sign and what kind of
infinity it is, those of 64-bit numbers and of times half of the bits, which they fold over the others. So a type goes
in by a form that shows all of a value: itself where the function takes in every byte, else what it is sent or written
as. hash_record_extended (from 14 on) can do none of that, and costs more: it builds a record and takes it apart again.

All this is there from PostgreSQL 12 on, and has the same results on servers of one byte order.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2 import sql

from pg_migration.postgres.catalog import Column

VERSION = 1
"""Of the forms below: what is hashed by another version can't be compared with this one's."""

# Hash functions that take in every byte of a value.
_WHOLE = {
    "int2": "hashint2extended",
    "int4": "hashint4extended",
    "oid": "hashoidextended",
    "uuid": "uuid_hash_extended",
    "inet": "hashinetextended",
    "cidr": "hashinetextended",
    "macaddr": "hashmacaddrextended",
    "macaddr8": "hashmacaddr8extended",
}

# Send functions whose results are short and the same on every server, in any encoding.
_SENT = {
    "timestamp": "timestamp_send",
    "timestamptz": "timestamptz_send",
    "time": "time_send",
    "timetz": "timetz_send",
    "interval": "interval_send",
    "money": "cash_send",
    "bit": "bit_send",
    "varbit": "varbit_send",
    "char": "charsend",  # its text has another form since 16
    "pg_lsn": "pg_lsn_send",  # and this one's since 19
}

# Output functions whose results are the same on every server, under the settings of our sessions.
_WRITTEN = {
    "numeric": "numeric_out",
    "jsonb": "jsonb_out",
    "json": "json_out",
    "xml": "xml_out",
    "bpchar": "bpcharout",
    "name": "nameout",
    "anyarray": "array_out",
    "anyenum": "enum_out",
}

# Nothing but NaN and the two zeros are equal to another value. NaN has many binary forms, which mean the same.
_FLOAT = (
    "CASE WHEN pg_catalog.float{size}eq({{value}}, 0) OR pg_catalog.float{size}eq({{value}}, 'NaN') "
    "THEN {{text}} ELSE pg_catalog.hashfloat{size}extended({{value}}, {{seed}}) END"
)

_OTHERS = {
    "bool": "pg_catalog.hashint4extended(CASE WHEN {value} THEN 1 ELSE 0 END, {seed})",
    "int8": "pg_catalog.hashint8extended({value}, "
    "pg_catalog.hashint8extended(pg_catalog.int8shr({value}, 32), {seed}))",
    "float4": _FLOAT.format(size=4),
    "float8": _FLOAT.format(size=8),
    # There is no difference to infinity.
    "date": "CASE WHEN pg_catalog.isfinite({value}) THEN pg_catalog.hashint4extended("
    "pg_catalog.date_mi({value}, '2000-01-01'), {seed}) ELSE {text} END",
    # No function hashes bytea by itself.
    "bytea": "pg_catalog.hash_array_extended(ARRAY[{value}], {seed})",
    # An array is sent with its elements' type, of which domains have another OID on every server.
    "char inside": "pg_catalog.hash_array_extended(ARRAY[pg_catalog.overlay("
    "pg_catalog.array_send({value}), pg_catalog.int4send(0), 9, 4)], {seed})",
}

# In a row, a value of any type is written by its own output function, and NULL is told from the empty string.
_ANY_TEXT = "ROW({value})::pg_catalog.text"

# Less the zeros that 19 writes. What looks like a pg_lsn in a text beside it passes for one.
_LSN_INSIDE = "pg_lsn inside"
_LSN_TEXT = rf"pg_catalog.regexp_replace({_ANY_TEXT}, E'([0-9A-F]+)/0*([0-9A-F]+)', E'\\1/\\2', 'g')"
_LSNS = frozenset({"pg_lsn", _LSN_INSIDE})

_TEXTS = {
    _LSN_INSIDE: _LSN_TEXT,
    **{name: f"pg_catalog.textin(pg_catalog.{function}({{value}}))" for name, function in _WRITTEN.items()},
    "text": "{value}",
    "varchar": "{value}",
    "float4": "pg_catalog.textin(pg_catalog.float4out({value}))",
    "float8": "pg_catalog.textin(pg_catalog.float8out({value}))",
    "date": "pg_catalog.textin(pg_catalog.date_out({value}))",
}

HASHED = frozenset({*_WHOLE, *_SENT, *_OTHERS, *_TEXTS})
"""The base types that have a form of their own."""


@dataclass(frozen=True)
class ValueHashes:
    """How values are hashed on one side.

    Args:
        in_utf8: text is hashed as what it is in UTF-8, which is not the encoding of its database.
    """

    in_utf8: bool = False

    def of(self, column: Column, seed: int) -> sql.Composable:
        """The hash of a column's value, never NULL. Columns of one row have different seeds."""
        value, known = sql.Identifier(column.name), column.base_type or ""
        text = self._of_text(sql.SQL(_TEXTS.get(known, _ANY_TEXT)).format(value=value), seed)
        if known not in HASHED or known == _LSN_INSIDE:
            return text
        found: sql.Composable = text
        if known in _WHOLE:
            found = sql.SQL(f"pg_catalog.{_WHOLE[known]}({{}}, {{}})").format(value, sql.Literal(seed))
        elif known in _SENT:
            sent = sql.SQL(f"pg_catalog.encode(pg_catalog.{_SENT[known]}({{}}), 'hex')").format(value)
            found = _of_bytes_in_text(sent, seed)
        elif known in _OTHERS:
            found = sql.SQL(_OTHERS[known]).format(value=value, seed=sql.Literal(seed), text=text)
        else:
            found = text
        return sql.SQL("CASE WHEN {} IS NULL THEN {} ELSE {} END").format(
            value, sql.Literal(_hash_of_null(seed)), found
        )

    def _of_text(self, text: sql.Composable, seed: int) -> sql.Composable:
        if not self.in_utf8:
            return _of_bytes_in_text(text, seed)
        # The hash of an array is 31 times 1 plus the hash of its one element, modulo 2^64: the subtraction can't
        # overflow but for 31 hashes of all.
        return sql.SQL(
            "pg_catalog.int8mi(pg_catalog.hash_array_extended(ARRAY[pg_catalog.convert_to({}, 'UTF8')], {}), 31)"
        ).format(text, sql.Literal(seed))


def _of_bytes_in_text(text: sql.Composable, seed: int) -> sql.Composable:
    """Collation C makes the hash one of bytes."""
    return sql.SQL('pg_catalog.hashtextextended({} COLLATE pg_catalog."C", {})').format(text, sql.Literal(seed))


def _hash_of_null(seed: int) -> int:
    """Some number that no value's hash has a reason to be."""
    return int.from_bytes(hashlib.sha256(b"NULL %d" % seed).digest()[:8], "big") >> 1


def together(hashes: Sequence[sql.Composable]) -> sql.Composable:
    """One hash of several, which have to have different seeds."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sql.SQL("0::pg_catalog.int8")
    half = len(hashes) // 2  # the server limits how deep an expression may be
    return sql.SQL("pg_catalog.int8xor({}, {})").format(together(hashes[:half]), together(hashes[half:]))


def text_of(columns: Sequence[Column]) -> sql.Composable:
    """The text of a row of some columns, one for each: what people read, and the same on every server."""
    form = _ANY_TEXT if _LSNS.isdisjoint(column.base_type for column in columns) else _LSN_TEXT
    return sql.SQL(form).format(value=sql.SQL(", ").join(sql.Identifier(column.name) for column in columns))


def form_of(columns: Sequence[Column], same_encoding: bool) -> str:
    """What hashes of rows with these columns are made of, in short: only those of one form can be compared.

    Args:
        same_encoding: text is hashed in the encoding that both databases have, else in UTF-8.
    """
    types = [(column.name, column.base_type if column.base_type in HASHED else None) for column in columns]
    return f"{VERSION}/{hashlib.sha256(repr((types, same_encoding)).encode()).hexdigest()[:8]}"
