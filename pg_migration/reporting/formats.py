"""Figures as people read them."""

from pg_migration.postgres.planning.forecast import Forecast

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def count(number: float | None) -> str:
    """With thousands separators; nothing for None."""
    return "" if number is None else f"{number:,.0f}"


def size(number: float | None) -> str:
    """Bytes in the unit that leaves one to four digits before the point; nothing for None."""
    if number is None:
        return ""
    value, unit = float(number), 0
    while value >= 1024 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:,.0f} {UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:,.1f} {UNITS[unit]}"


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, as precise as is of use; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def forecast(found: Forecast) -> str:
    """What a run would copy, and about how long that takes, in a sentence."""
    return (
        f"In all about {count(found.rows)} rows, {size(found.bytes)}, in {found.chunks:,} chunks; with {found.workers} "
        f"workers about {duration(found.seconds)} for the copy, without indexes and checks, at "
        f"{size(found.bytes_per_second)}/s for each worker "
        f"({'as in earlier runs' if found.measured else 'assumed: no earlier run has left a figure in the target'})."
    )


def readable(text: str) -> str:
    """Text in which control characters, which an identifier may hold, are written as escapes."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
