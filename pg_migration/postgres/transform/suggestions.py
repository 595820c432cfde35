"""A transform to begin with: a mask for each column that looks personal, as the column can have it."""

from collections.abc import Iterable, Mapping

from pg_migration.postgres.catalog import Catalog, TableName
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.transform.masks import TEXTS, Mask, permuted_bits, problem_of
from pg_migration.postgres.transform.personal import ACCOUNT, BORN, EMAIL, PHONE, Suspicion
from pg_migration.postgres.transform.rules import ColumnFacts, Facts

KEY_VARIABLE = "MASK_KEY"
_WISHED: Mapping[str, str] = {EMAIL: "email", PHONE: "digits", ACCOUNT: "digits", BORN: "year"}


def suggested(suspicions: Iterable[Suspicion], catalog: Catalog, facts: Facts) -> str:
    """The text of a file for `PG_MIGRATION_TRANSFORM`."""
    of_keys = {
        (table, column)
        for key in catalog.foreign_keys
        for table, columns in ((key.table, key.columns), (key.referenced, key.referenced_columns))
        for column in columns
    }
    by_table: dict[TableName, dict[str, list[Suspicion]]] = {}
    for found in suspicions:
        by_table.setdefault(found.table, {}).setdefault(found.column, []).append(found)
    lines = [
        "# What looked personal, by names of columns and by values. Look at each: what was not found is not masked,",
        "# and what was found may be harmless. Columns that need no mask go into personal.ignore.",
        f"key: env:{KEY_VARIABLE}  # at least 32 bytes: openssl rand -hex 32",
        "tables:" if by_table else "tables: {}",
    ]
    for table, columns in sorted(by_table.items()):
        lines += [f"  {_key(_name(table))}:", "    mask:"]
        for column, reasons in columns.items():
            known = facts[table, column]
            in_key = (table, column) in of_keys or known.in_unique_key
            mask = mask_for(reasons[0].kind, known, in_key)
            why = ", ".join(f"{found.kind} by {found.reason}" for found in reasons)
            if mask is None:
                lines.append(f"      # {_key(column)}: {why}: no mask fits {known.column.type}; leave the table out?")
            else:
                lines.append(f"      {_key(column)}: {_written(mask)}  # {why}")
    lines += ["personal:", "  strict: false  # true: a column that looks personal and is not named here fails the run"]
    return "".join(f"{' '.join(line.splitlines())}\n" for line in lines)


def mask_for(kind: str, known: ColumnFacts, in_key: bool) -> Mask | None:
    """The best mask that a column can have for what it seems to hold."""
    column = known.column
    wished = [Mask(_WISHED.get(kind, "hash")), Mask("hash"), Mask("permute"), Mask("null")]
    if column.base not in TEXTS and not permuted_bits(column.base):
        wished = [Mask(_WISHED.get(kind, "hash")), Mask("null")]
    for mask in wished:
        if in_key and mask.kind not in ("hash", "email", "permute"):
            continue
        if mask.kind == "null" and known.not_null:
            continue
        if problem_of(mask, column) is None and not known.in_exclusion and not known.in_partition_key:
            return mask
    return None


def _name(table: TableName) -> str:
    return ".".join(map(quote, table)) if any("." in part for part in table) else ".".join(table)


def _key(text: str) -> str:
    """A text as YAML reads it as that text, on one line."""
    plain = text.replace("_", "").replace(".", "").isalnum() and text.isascii() and not text[:1].isdigit()
    if plain and text.lower() not in ("null", "true", "false", "yes", "no", "on", "off", "y", "n"):
        return text
    escaped = "".join(
        {"\\": "\\\\", '"': '\\"'}.get(letter, letter) if letter.isprintable() else f"\\U{ord(letter):08x}"
        for letter in text
    )
    return f'"{escaped}"'


def _written(mask: Mask) -> str:
    return "'null'" if mask.kind == "null" else mask.kind
