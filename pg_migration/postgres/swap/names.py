"""What the schemas beside a live one are called."""

# PostgreSQL docs: "Identifiers and Key Words" (NAMEDATALEN).
MOST_BYTES = 63


def next_name(live: str) -> str:
    """The schema that is loaded to take the place of a live one."""
    return f"{live}__next"


def previous_name(live: str) -> str:
    """The schema with what was live before."""
    return f"{live}__previous"


def is_too_long(live: str) -> bool:
    """Whether these names are longer than the server keeps."""
    return any(len(name.encode()) > MOST_BYTES for name in (next_name(live), previous_name(live)))
