"""A message, and what every channel has to be able to do with it."""

from dataclasses import dataclass
from typing import Protocol

TIMEOUT_SECONDS = 20


class NotSent(Exception):
    """A channel refused or could not be reached. ``str()`` of it holds no secret."""


@dataclass(frozen=True)
class Message:
    """What is told: a line, and the same in plain text and in HTML."""

    subject: str
    text: str
    html: str


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """What logs call it."""

    def send(self, message: Message) -> None:
        """Send, or raise.

        Raises:
            NotSent: with the reason.
        """


def without(text: str, secret: str) -> str:
    return " ".join((text.replace(secret, "***") if secret else text).split())
