"""Figures and lists as people read them, everywhere in the same units and words."""

import re
from collections.abc import Collection, Iterable

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]i?B)")


class Bytes(int):
    """A number of bytes, to be shown as `size`."""


class Seconds(float):
    """A number of seconds, to be shown as `duration`."""


def count(number: float | None) -> str:
    """With thousands separators; nothing for None."""
    return "" if number is None else f"{number:,.0f}"


def sentence(text: str) -> str:
    """The same with a capital letter in front."""
    return text[:1].upper() + text[1:]


def size(number: float | None) -> str:
    """Bytes in the unit that leaves one to four digits before the point; nothing for None."""
    if number is None:
        return ""
    value, unit = float(number), 0
    while value >= 1024 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:,.0f} {UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:,.1f} {UNITS[unit]}"


def bytes_of(text: str) -> int:
    """The bytes that a text such as 50GB means, in units of 1,024 (PostgreSQL docs: "Setting Parameters").

    Raises:
        ValueError: it is not a number above zero with a unit; the message says what is expected.
    """
    found = _WITH_UNIT.fullmatch(text.strip())
    value = round(float(found[1]) * 1024 ** ("kMGT".index(found[2][0]) + 1)) if found else 0
    if value <= 0:
        raise ValueError("must be a number above zero with a unit (kB, MB, GB or TB), such as 50GB")
    return value


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, as precise as is of use; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def foreseen(seconds: float) -> str:
    """As `duration`, of what is only expected: without hundredths that nobody knows."""
    if seconds < 0.1:
        return "< 0.1 s"
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def roughly(seconds: float) -> str:
    """An estimate of seconds, minutes or hours, without figures that it can't know."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 55:
        return f"{5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    if minutes < 10:
        return f"{minutes} min"
    if minutes < 55:
        return f"{5 * round(minutes / 5)} min"
    hours, minutes = divmod(10 * round(minutes / 10), 60)
    return f"{hours} h {minutes:02} min"


def listed(names: Iterable[str], most: int = 10, separator: str = ", ") -> str:
    """Names in a row, the last of many left out and counted."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return separator.join(every[:most]) + more


def counted(number: int, what: str) -> str:
    """So many of something, whose plural is regular."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def checks_told(passed: int, failed: Collection[str]) -> str:
    """How many checks passed, and which failed, in few words; nothing where none was made."""
    parts = [f"{passed:,} passed"] if passed else []
    if failed:
        parts.append(f"FAILED: {', '.join(failed)}")
    return "; ".join(parts)
