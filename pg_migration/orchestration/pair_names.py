"""Names for pairs, made from names of databases or folders."""

import re
from collections.abc import Iterable, Mapping

LONGEST = 30


def pair_name(text: str) -> str:
    """What a pair may be called, as near to a text as can be."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST].rstrip("_")
    return plain if plain[:1].isalpha() else f"db_{plain}"[:LONGEST].rstrip("_")


def pair_names(texts: Iterable[str]) -> Mapping[str, str]:
    """A name for each text, none of which is another's."""
    found: dict[str, str] = {}
    for text in texts:
        name, number = pair_name(text), 1
        while name in found.values():
            number += 1
            end = f"_{number}"
            name = pair_name(text)[: LONGEST - len(end)].rstrip("_") + end
        found[text] = name
    return found


def variables_of(name: str) -> tuple[str, str]:
    """The environment variables with the URLs of a pair's source and target."""
    return f"{name.upper()}_SOURCE_URL", f"{name.upper()}_TARGET_URL"
