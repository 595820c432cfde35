"""Which columns look as if they were about people: by their names, and by values that have the shape of such.

Neither proves anything. A name says what somebody meant to keep there, a shape what somebody did.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Column, SchemaObject, Table, TableName
from pg_migration.postgres.catalog.values_path import ValuesPath, fetch_rows
from pg_migration.postgres.transform.masks import EMAIL_SUFFIX

SAMPLED_ROWS = 1000
SAMPLED_CHARACTERS = 400
# Of values that look like telephone numbers; a few that do are often just numbers.
MOST = 0.5

_TEXTS = frozenset({"text", "varchar", "bpchar", "name"})
_HELD_IN_TEXT = frozenset({*_TEXTS, "json", "jsonb", "xml", "anyarray"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

EMAIL, PHONE, NAME, BORN, PLACE = "e-mail address", "telephone number", "name", "date of birth", "address"
ACCOUNT, IDENTITY, NETWORK, SECRET, TRAIT = "account", "number of a person", "network address", "secret", "trait"

_NAMED: Mapping[str, frozenset[str]] = {
    EMAIL: frozenset({"email", "emails", "mail"}),
    PHONE: frozenset({"phone", "phones", "telephone", "mobile", "msisdn", "fax", "cellphone"}),
    NAME: frozenset({"surname", "firstname", "lastname", "fullname", "username", "forename", "nickname", "login"}),
    BORN: frozenset({"birth", "birthday", "birthdate", "dob", "born"}),
    ACCOUNT: frozenset({"iban", "creditcard", "cardnumber", "ccnumber", "cvv"}),
    IDENTITY: frozenset({"ssn", "passport", "taxid", "nationalid"}),
    NETWORK: frozenset({"ip", "ipaddress", "ipaddr"}),
    PLACE: frozenset({"address", "street", "zip", "zipcode", "postcode"}),
    SECRET: frozenset({"password", "passwd", "pwd"}),
    TRAIT: frozenset({"gender", "religion", "ethnicity", "salary", "diagnosis"}),
}
_TOGETHER: Mapping[str, tuple[tuple[str, str], ...]] = {
    EMAIL: (("e", "mail"),),
    NAME: tuple(
        (first, "name")
        for first in ("first", "last", "full", "given", "family", "maiden", "user", "nick", "middle", "person")
    ),
    ACCOUNT: (("card", "number"), ("credit", "card"), ("account", "number"), ("cc", "number")),
    IDENTITY: (("tax", "id"), ("national", "id"), ("social", "security")),
    PLACE: (("postal", "code"), ("zip", "code")),
}
# A column that ends so is about what the words before it name.
_ABOUT_ANOTHER = frozenset({"id", "ids", "count", "type", "status", "hash", "at", "list", "verified", "template"})
# Of these it is no value of a person that they hold.
_NEVER = frozenset({"bool"})
_NEVER_BY_KIND: Mapping[str, frozenset[str]] = {
    BORN: frozenset({"bool", "int2", "int4", "int8"}),
    NAME: frozenset({"int2", "int4", "int8", "uuid", "oid", "timestamp", "timestamptz", "date"}),
    EMAIL: frozenset({"int2", "int4", "int8", "uuid", "oid", "timestamp", "timestamptz", "date"}),
    SECRET: frozenset({"timestamp", "timestamptz", "date", "int4", "int8"}),
    PLACE: frozenset({"uuid", "int8", "timestamp", "timestamptz", "date"}),
    PHONE: frozenset({"uuid", "timestamp", "timestamptz", "date"}),
}


@dataclass(frozen=True)
class Suspicion:
    """A column that looks personal: what it seems to hold, and what tells that."""

    table: TableName
    column: str
    kind: str
    reason: str

    @property
    def label(self) -> str:
        """The column, as a transform names it."""
        return ".".join((*self.table, self.column))


def by_name(column: Column) -> str | None:
    """What a column seems to hold by its name, and None where that says nothing."""
    words = [word.lower() for word in _WORD.findall(column.name)]
    if not words or words[-1] in _ABOUT_ANOTHER or "sha" in words:
        return None
    pairs = set(pairwise(words))
    for kind, names in _NAMED.items():
        named = not names.isdisjoint(words) or not pairs.isdisjoint(_TOGETHER.get(kind, ()))
        alone = kind == NAME and words == ["name"]
        if (named or alone) and column.base_type not in _NEVER | _NEVER_BY_KIND.get(kind, frozenset()):
            return kind
    return None


def named_personal(tables: Iterable[Table]) -> list[Suspicion]:
    """The columns of some tables that look personal by their names, and are not masked; none of tables without rows."""
    return [
        Suspicion(table.key, column.name, kind, "its name")
        for table in tables
        for column in _open(table)
        if (kind := by_name(column)) is not None
    ]


def written_personal(objects: Iterable[SchemaObject]) -> list[str]:
    """The objects whose comments, defaults or bodies hold what looks like an address or an account, for people.

    No mask reaches into what a database is made of.
    """
    found = []
    for item in objects:
        text = "\n".join(item.shown)
        kind = EMAIL if _has_address(text) else ACCOUNT if _has_iban(text) else None
        if kind is not None:
            found.append(f"{item.identity} ({kind})")
    return found


def _open(table: Table) -> list[Column]:
    """The columns whose values are in the target as they were in the source."""
    if table.is_partition or (table.transform is not None and table.transform.condition == "false"):
        return []
    masked = table.transform.masked if table.transform is not None else frozenset[str]()
    return [column for column in table.stored_columns if column.name not in masked]


def held_personal(
    connection: Connection, tables: Iterable[Table], name: Callable[[Table], TableName], application: Sequence[str]
) -> list[Suspicion]:
    """The columns of some tables that look personal by a sample of their values, and are not masked.

    Args:
        connection: to the side that is looked at.
        name: what a table is called there.
        application: as `application_path`.

    Raises:
        psycopg2.Error: that side can't be read.
    """
    found = []
    for table in tables:
        columns = [c for c in _open(table) if c.base_type is None or c.base_type in _HELD_IN_TEXT]
        if not columns:
            continue
        values = sql.SQL(", ").join(
            sql.SQL("pg_catalog.substr(pg_catalog.format('%s', {}), 1, {})").format(
                sql.Identifier(column.name), sql.Literal(SAMPLED_CHARACTERS)
            )
            for column in columns
        )
        statement = sql.SQL("SELECT {} FROM {} LIMIT {}").format(
            values, sql.Identifier(*name(table)), sql.Literal(SAMPLED_ROWS)
        )
        rows = fetch_rows(connection, ValuesPath.of(table, name(table), application), statement)
        for number, column in enumerate(columns):
            held = [row[number] for row in rows if row[number]]
            if (shape := shape_of(held)) is not None:
                kind, count = shape
                told = f"{count:,} of {len(held):,} values that were looked at"
                found.append(Suspicion(table.key, column.name, kind, told))
    return found


_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE)
_PHONE = re.compile(r"(?:\+|00?|\()[0-9][0-9 ()/.-]{5,18}[0-9]")
_IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_CARD = re.compile(r"(?<![0-9.-])[3-6](?:[ -]?[0-9]){12,18}(?![0-9.-])")


def shape_of(values: Sequence[str]) -> tuple[str, int] | None:
    """What some of the values look like, and how many do; None where they look like nothing personal."""
    for kind, looks, least in (
        (EMAIL, _has_address, 0.0),
        (ACCOUNT, _has_iban, 0.0),
        (ACCOUNT, _has_card, 0.0),
        (PHONE, lambda value: _PHONE.fullmatch(value.strip()) is not None, MOST),
    ):
        count = sum(1 for value in values if looks(value))
        if count and count >= least * len(values):
            return kind, count
    return None


def _has_address(value: str) -> bool:
    return any(not found.lower().endswith(EMAIL_SUFFIX) for found in _EMAIL.findall(value))


def _has_iban(value: str) -> bool:
    """By its check digits (ISO 13616)."""
    for found in _IBAN.findall(value):
        plain = found.replace(" ", "")
        digits = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
        if 15 <= len(plain) <= 34 and int(digits) % 97 == 1:
            return True
    return False


def _has_card(value: str) -> bool:
    """By its check digit (Luhn's algorithm)."""
    for found in _CARD.findall(value):
        digits = [int(letter) for letter in found if letter.isdigit()]
        doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
        if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1:
            return True
    return False
