"""What a masked column holds instead: SQL over one row, of the column's type, with built-in functions only.

The same value of the same domain gets the same mask under the same key, so that joins stay what they are. A domain is
a column, or all columns that foreign keys connect. Each has a key of its own, derived from the main one; it stands in
the statements that read the source, and so in that server's log.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.errors import ConfigurationError

MIN_KEY_BYTES = 32

TEXTS = frozenset({"text", "varchar", "bpchar", "citext"})
# How many of the low bits are permuted; the others stay. So small numbers stay small, which leaves sequences room.
_PERMUTED_BITS = {"int2": 14, "int4": 30, "int8": 52}
_YEARS = {"date", "timestamp", "timestamptz"}
_JSON = {"json", "jsonb"}

EMAIL_SUFFIX = "@example.invalid"
# Of hexadecimal digits: fewer than the first may not be unique, and more are not given.
UNIQUE_DIGITS = 16
_DIGITS = 32
# Of a column's own key: with a value of usual length it is one block of SHA-256.
_OWN_KEY_BYTES = 24

# Of a column in a primary key, unique key or foreign key.
OF_KEYS = frozenset({"hash", "email", "permute"})
KEYED = frozenset({*OF_KEYS, "digits"})
KINDS = ("null", "fixed", "hash", "email", "digits", "permute", "year", "redact_json", "sql")


@dataclass(frozen=True)
class Mask:
    """What is done with a column: one of `KINDS`, and what that takes."""

    kind: str
    value: object = None

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True)
class MaskedColumn:
    """A column as far as its mask depends on it.

    ``type`` is how the source writes it, ``base`` the name of the type behind domains, ``length`` how many characters
    there may be at most. ``bits`` are those of the narrowest whole number of its domain.
    """

    name: str
    type: str
    base: str
    length: int | None = None
    bits: int = 0


def mask_of(given: object, place: str) -> Mask:
    """The mask that a document names.

    Raises:
        ConfigurationError: there is none such.
    """
    if given is None:
        return Mask("null")
    if isinstance(given, str):
        kind, colon, rest = given.partition(":")
        if colon and kind.strip() in ("sql", "fixed"):
            return Mask(kind.strip(), rest.strip())
        if given in KINDS and given not in ("sql", "fixed", "redact_json"):
            return Mask(given)
    elif isinstance(given, Mapping) and len(given) == 1:
        ((kind, value),) = given.items()
        if kind == "sql" and isinstance(value, str):
            return Mask("sql", value)
        if kind == "fixed" and isinstance(value, (str, int, float, bool)):
            return Mask("fixed", str(value).lower() if isinstance(value, bool) else str(value))
        if kind == "redact_json" and isinstance(value, list) and value:
            return Mask("redact_json", tuple(_path(path, place) for path in value))
    raise ConfigurationError(
        f"{place}: there is no such mask. Masks are 'null', hash, email, digits, permute, year, 'sql: expression', "
        f"{{fixed: value}} and {{redact_json: [paths]}}"
    )


def _path(given: object, place: str) -> tuple[str, ...]:
    steps = given.split(".") if isinstance(given, str) else given
    if not isinstance(steps, list) or not steps or not all(isinstance(step, str) and step for step in steps):
        raise ConfigurationError(f"{place}: a path is written as a.b.c, or as a list of keys")
    if "*" in steps:
        raise ConfigurationError(f"{place}: a path can't hold a wildcard; mask the whole column with 'null' instead")
    return tuple(steps)


def problem_of(mask: Mask, column: MaskedColumn) -> str | None:
    """Why a column can't have a mask, by its type and length."""
    kind, base = mask.kind, column.base
    wanted: Mapping[str, tuple[Callable[[str], bool], str]] = {
        "hash": (TEXTS.__contains__, "text"),
        "email": (TEXTS.__contains__, "text"),
        "digits": (TEXTS.__contains__, "text"),
        "permute": (lambda name: name in _PERMUTED_BITS or name == "uuid", "smallint, integer, bigint or uuid"),
        "year": (_YEARS.__contains__, "date or timestamp"),
        "redact_json": (_JSON.__contains__, "json or jsonb"),
    }
    if kind in wanted and not wanted[kind][0](base):
        return f"mask {kind} is for columns of {wanted[kind][1]}, and this one is of {column.type}"
    shortest = UNIQUE_DIGITS + 1 + len(EMAIL_SUFFIX)
    if kind == "email" and column.length is not None and column.length < shortest:
        return f"an address of mask email takes {shortest} characters, the column {column.length}"
    if kind == "fixed" and column.length is not None and len(str(mask.value)) > column.length:
        return f"the fixed value has {len(str(mask.value))} characters, the column takes {column.length}"
    return None


def is_short(mask: Mask, column: MaskedColumn) -> bool:
    """Whether two values may get one mask, as the column takes so few characters of it."""
    return mask.kind == "hash" and column.length is not None and column.length < UNIQUE_DIGITS


def permuted_bits(base: str) -> int:
    """How many bits of a whole number are permuted; 0 for what is none."""
    return _PERMUTED_BITS.get(base, 0)


def expression(mask: Mask, column: MaskedColumn, key: bytes, domain: str) -> str:
    """The expression of a mask.

    Args:
        mask: one that the column can have; the text of ``sql`` has been looked at.
        key: the main one.
        domain: whose values get the same mask where they are the same.
    """
    name, own = quote(column.name), _derived(key, domain)
    if mask.kind == "null":
        made = "NULL"
    elif mask.kind == "fixed":
        made = _literal(str(mask.value))
    elif mask.kind == "sql":
        made = f"({mask.value})"
    elif mask.kind == "year":
        made = _year(name, column.base)
    elif mask.kind == "redact_json":
        assert isinstance(mask.value, tuple)
        made = _redacted(name, mask.value)
    else:
        made = _keyed(mask.kind, name, column, own)
    return f"CAST({made} AS {column.type})"


def _keyed(kind: str, name: str, column: MaskedColumn, key: bytes) -> str:
    """A mask that depends on the key, NULL for NULL."""
    if kind == "permute" and column.base != "uuid":
        other = _permuted(name, key, column.bits or _PERMUTED_BITS[column.base])
        return f"CASE WHEN {name} IS NULL THEN NULL ELSE {other} END"
    text = f"CAST({name} AS pg_catalog.text)"
    if column.base == "citext":  # to which upper and lower case are the same
        text = f"pg_catalog.lower({text})"
    if column.base == "uuid":
        text = f"pg_catalog.textin(pg_catalog.uuid_out({name}))"
    digest = _keyed_digest(text, key)
    if kind == "digits":
        return f"CASE WHEN {name} IS NULL THEN NULL ELSE {_other_digits(text, digest)} END"
    if kind == "permute":
        return f"pg_catalog.uuid_in(pg_catalog.textout({_hexadecimal(digest, _DIGITS)}))"
    if kind == "email":
        room = _DIGITS if column.length is None else column.length - 1 - len(EMAIL_SUFFIX)
        local = _hexadecimal(digest, min(_DIGITS, room))
        return f"pg_catalog.textcat(pg_catalog.textcat('u', {local}), '{EMAIL_SUFFIX}')"
    return _hexadecimal(digest, min(_DIGITS, column.length or _DIGITS))


def _hexadecimal(digest: str, digits: int) -> str:
    written = f"pg_catalog.encode(pg_catalog.substr({digest}, 1, {(digits + 1) // 2}), 'hex')"
    return f"pg_catalog.substr({written}, 1, {digits})" if digits % 2 else written


def _derived(key: bytes, domain: str) -> bytes:
    whole = hmac.new(key, f"pg_migration mask\0{domain}".encode(), hashlib.sha256).digest()
    return whole[:_OWN_KEY_BYTES]


def _keyed_digest(text: str, key: bytes) -> str:
    """SHA-256 of a column's key and a text, which is sent in UTF-8, as our sessions are.

    HMAC takes two of them. It is for messages that somebody may lengthen, and of what is cut to half nobody can.
    """
    return f"pg_catalog.sha256(pg_catalog.byteacat({_bytes(key)}, pg_catalog.textsend({text})))"


def _permuted(name: str, key: bytes, bits: int) -> str:
    """Another number for each number: a Feistel network of four rounds over the low bits."""
    half = bits // 2
    most = f"{2**half - 1}::pg_catalog.int8"

    def rows(select: str, of: str) -> str:
        return f"(SELECT {select} FROM {of} OFFSET 0) AS halves"

    whole = f"(SELECT CAST({name} AS pg_catalog.int8) AS x OFFSET 0) AS whole"
    found = rows(
        f"x, pg_catalog.int8and(pg_catalog.int8shr(x, {half}), {most}) AS l, pg_catalog.int8and(x, {most}) AS r", whole
    )
    for turn in range(4):
        salt = _bytes(key + bytes([turn]))
        digest = f"pg_catalog.sha256(pg_catalog.byteacat({salt}, pg_catalog.int8send(r)))"
        first = f"pg_catalog.concat('x', pg_catalog.substr(pg_catalog.encode({digest}, 'hex'), 1, 8))"
        number = f"CAST(pg_catalog.bit_in(pg_catalog.textout({first}), 0::pg_catalog.oid, 32) AS pg_catalog.int8)"
        found = rows(f"x, r AS l, pg_catalog.int8xor(l, pg_catalog.int8and({number}, {most})) AS r", found)
    low = f"pg_catalog.int8or(pg_catalog.int8shl(l, {half}), r)"
    return f"(SELECT pg_catalog.int8or(pg_catalog.int8shl(pg_catalog.int8shr(x, {bits}), {bits}), {low}) FROM {found})"


def _other_digits(text: str, digest: str) -> str:
    """The same text with other digits."""
    letter = "pg_catalog.substr(v, i, 1)"
    other = "pg_catalog.substr('0123456789', 1 + pg_catalog.mod(pg_catalog.get_byte(h, pg_catalog.mod(i, 32)), 10), 1)"
    return (
        f"(SELECT coalesce(pg_catalog.string_agg(CASE WHEN pg_catalog.strpos('0123456789', {letter}) "
        f"OPERATOR(pg_catalog.>) 0 THEN {other} ELSE {letter} END, '' ORDER BY i), '') FROM (SELECT {text} AS v, "
        f"{digest} AS h OFFSET 0) AS whole, pg_catalog.generate_series(1, pg_catalog.char_length(v)) AS i)"
    ).replace("1 + pg_catalog.mod", "1 OPERATOR(pg_catalog.+) pg_catalog.mod")


def _year(name: str, base: str) -> str:
    if base == "timestamptz":
        return f"pg_catalog.timezone('UTC', pg_catalog.date_trunc('year', pg_catalog.timezone('UTC', {name})))"
    return f"pg_catalog.date_trunc('year', CAST({name} AS pg_catalog.timestamp))"


def _redacted(name: str, paths: tuple[tuple[str, ...], ...]) -> str:
    """The value with null at the end of each path; one that is neither object nor array is null as a whole."""
    made = f"CAST({name} AS pg_catalog.jsonb)"
    for path in paths:
        steps = ", ".join(map(_literal, path))
        made = f"pg_catalog.jsonb_set({made}, ARRAY[{steps}]::pg_catalog.text[], 'null'::pg_catalog.jsonb, false)"
    kind = f"pg_catalog.jsonb_typeof(CAST({name} AS pg_catalog.jsonb))"
    whole = f"{kind} OPERATOR(pg_catalog.=) ANY (ARRAY['object', 'array']::pg_catalog.text[])"
    return f"CASE WHEN {name} IS NULL THEN NULL WHEN {whole} THEN {made} ELSE 'null'::pg_catalog.jsonb END"


def _bytes(value: bytes) -> str:
    return f"pg_catalog.decode('{value.hex()}', 'hex')"


def _literal(text: str) -> str:
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in quoted else quoted
