"""The file that says what is chosen and masked: read, and every word of it known, before any server is asked."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.transform.masks import MIN_KEY_BYTES, Mask, mask_of

NO_ROWS = "none"
NOT_VALID = "not_valid"
MAX_ROWS = 5_000_000
_FROM_ENVIRONMENT = "env:"


@dataclass(frozen=True)
class TableRules:
    """What is said of one table: which of its rows, and how which columns are masked."""

    where: str | None = None
    no_rows: bool = False
    masks: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Subset:
    """Rows that are chosen, and what comes with them; tables and columns are named as in the file.

    ``roots`` has a condition for each table. ``references`` are pairs of columns, as foreign keys that nobody declared.
    """

    roots: Mapping[str, str]
    children: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    limit_rows: int = MAX_ROWS


@dataclass(frozen=True)
class Document:
    """A transform as it was written.

    ``ignored`` are columns that look personal and need no mask; ``strict`` makes an error of others that do.
    ``large_objects`` and ``extension_rows``, those that users keep in tables of extensions (of all, or of the named),
    come along only where that is said: no mask reaches into them. ``foreign_keys_not_valid``: rows
    may point to others that are not chosen, and no foreign key says that they don't. ``digest`` is another one for
    another content or another key.
    """

    tables: Mapping[str, TableRules]
    subset: Subset | None = None
    ignored: tuple[str, ...] = ()
    strict: bool = False
    large_objects: bool = False
    extension_rows: tuple[str, ...] | bool = False
    foreign_keys_not_valid: bool = False
    key: bytes | None = field(default=None, repr=False)
    digest: str = ""


def read_file(path: str, variables: Mapping[str, str]) -> Document:
    """The transform of a file.

    Args:
        variables: as `parse`.

    Raises:
        ConfigurationError: it can't be read, or as `parse`.
    """
    import yaml  # which few runs have a use for

    class Loader(yaml.SafeLoader):
        """Refuses a key that comes twice, of which YAML would take the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            if twice := [key for n, key in enumerate(keys) if key in keys[:n]]:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {twice[0]} is there twice")
            return super().construct_mapping(node, deep)

    try:
        found = yaml.load(Path(path).read_text(encoding="utf-8"), Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise ConfigurationError(f"the transform {path} can't be read: {' '.join(str(error).split())}") from None
    return parse(found, f"the transform {path}", variables)


def parse(document: object, place: str, variables: Mapping[str, str]) -> Document:
    """A transform from what YAML makes of it.

    Args:
        place: where it comes from, for messages.
        variables: those of the environment, by name.

    Raises:
        ConfigurationError: naming what is not known or can't be used.
    """
    return _Parser(place, variables).document(document)


class _Parser:
    def __init__(self, place: str, variables: Mapping[str, str]) -> None:
        self._place, self._variables = place, variables

    def document(self, given: object) -> Document:
        top = self._mapping(
            given, "", ("key", "subset", "tables", "foreign_keys", "personal", "large_objects", "extension_rows")
        )
        tables = {
            name: self._rules(rules, f"tables.{name}")
            for name, rules in self._mapping(top.get("tables") or {}, "tables").items()
        }
        subset = self._subset(top["subset"]) if top.get("subset") is not None else None
        personal = self._mapping(top.get("personal") or {}, "personal", ("ignore", "strict"))
        strict = self._switch(personal, "strict", "personal.strict")
        large_objects = self._switch(top, "large_objects", "large_objects")
        extension_rows = top.get("extension_rows", False)
        if not isinstance(extension_rows, bool):
            extension_rows = self._names(extension_rows, "extension_rows")
        not_valid = self._not_valid(top.get("foreign_keys"), subset)
        ignored, key = self._names(personal.get("ignore"), "personal.ignore"), self._key(top.get("key"))
        return Document(
            tables, subset, ignored, strict, large_objects, extension_rows, not_valid, key, _digest(top, key)
        )

    def _not_valid(self, given: object, subset: Subset | None) -> bool:
        if given not in (None, NOT_VALID):
            raise self._wrong("foreign_keys", f"there is only '{NOT_VALID}'; else all of them hold")
        if given and subset is not None:
            raise self._wrong("foreign_keys", "all foreign keys hold in a subset; leave one of the two out")
        return bool(given)

    def _switch(self, given: Mapping[str, Any], name: str, place: str) -> bool:
        value = given.get(name, False)
        if not isinstance(value, bool):
            raise self._wrong(place, "expected true or false")
        return value

    def _rules(self, given: object, place: str) -> TableRules:
        found = self._mapping(given, place, ("where", "rows", "mask"))
        where, rows = found.get("where"), found.get("rows")
        if where is not None and not isinstance(where, str):
            raise self._wrong(f"{place}.where", "expected a condition in SQL")
        if rows not in (None, NO_ROWS):
            raise self._wrong(f"{place}.rows", "there is only 'none'; for some rows say where")
        if rows and where is not None:
            raise self._wrong(place, "there is either 'rows: none' or 'where'")
        masks = self._mapping(found.get("mask") or {}, f"{place}.mask")
        if rows and masks:
            raise self._wrong(place, "nothing is to be masked of a table without rows")
        return TableRules(
            where, bool(rows), {name: self._mask(mask, f"{place}.mask.{name}") for name, mask in masks.items()}
        )

    def _mask(self, given: object, place: str) -> Mask:
        return mask_of(given, f"{self._place}, {place}")

    def _subset(self, given: object) -> Subset:
        found = self._mapping(given, "subset", ("roots", "children", "whole", "references", "limit_rows"))
        roots = self._mapping(found.get("roots") or {}, "subset.roots")
        if not roots:
            raise self._wrong("subset.roots", "name the tables that rows are chosen of, each with a condition")
        for name, condition in roots.items():
            if not isinstance(condition, str):
                raise self._wrong(f"subset.roots.{name}", "expected a condition in SQL")
        limit = found.get("limit_rows", MAX_ROWS)
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise self._wrong("subset.limit_rows", "expected a number of rows above 0")
        return Subset(
            roots,
            self._names(found.get("children"), "subset.children"),
            self._names(found.get("whole"), "subset.whole"),
            tuple(self._references(found.get("references"))),
            limit,
        )

    def _references(self, given: object) -> Iterable[tuple[str, str]]:
        if given is not None and not isinstance(given, list):
            raise self._wrong("subset.references", "expected a list of {from: column, to: column}")
        for number, item in enumerate(given or (), 1):
            pair = self._mapping(item, f"subset.references[{number}]", ("from", "to"))
            if not all(isinstance(pair.get(end), str) for end in ("from", "to")):
                raise self._wrong(f"subset.references[{number}]", "expected {from: column, to: column}")
            yield pair["from"], pair["to"]

    def _key(self, given: object) -> bytes | None:
        if given is None:
            return None
        if not isinstance(given, str) or not given.startswith(_FROM_ENVIRONMENT):
            # What was given is not repeated: it may be the key itself.
            raise self._wrong("key", "expected env:NAME, the environment variable that holds the key")
        name = given.removeprefix(_FROM_ENVIRONMENT).strip()
        value = self._variables.get(name, "").strip().encode()
        if len(value) < MIN_KEY_BYTES:
            told = f"has {len(value)} bytes" if value else "is not set"
            raise self._wrong(
                "key", f"the environment variable {name} {told}; a key has at least {MIN_KEY_BYTES} bytes, at random"
            )
        return value

    def _names(self, given: object, place: str) -> tuple[str, ...]:
        if given is None:
            return ()
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
            raise self._wrong(place, "expected a list of names")
        return tuple(given)

    def _mapping(self, given: object, place: str, known: tuple[str, ...] = ()) -> Mapping[str, Any]:
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise self._wrong(place, "expected names, each with what belongs to it")
        if unknown := sorted(set(given) - set(known)) if known else []:
            raise self._wrong(place, f"there is no {', '.join(unknown)} here, only {', '.join(known)}")
        return given

    def _wrong(self, place: str, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self._place}{', ' if place else ''}{place}: {what}")


def _digest(document: Mapping[str, Any], key: bytes | None) -> str:
    """Of the content, and of the key without showing anything of it."""
    content = json.dumps(document, sort_keys=True, default=str).encode()
    return hmac.new(key or b"", b"pg_migration transform\0" + content, hashlib.sha256).hexdigest()
