"""What a check of a whole database says about one object."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Observation:
    """One object, and what about it is worth telling. ``wrong`` is what makes the check fail."""

    object: str
    what: str
    wrong: bool = True

    def __str__(self) -> str:
        return f"{self.object}: {self.what}"
