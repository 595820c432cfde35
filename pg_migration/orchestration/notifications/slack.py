"""Messages to an incoming webhook of Slack."""

import logging
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pg_migration.orchestration.notifications.message import TIMEOUT_SECONDS, Message, NotSent, without

# Slack cuts messages off at 40,000 characters; nobody reads as many.
MAX_SLACK_CHARACTERS = 3500


@dataclass(frozen=True)
class Slack:
    """An incoming webhook. Its URL is a secret: whoever knows it can post."""

    url: str = field(repr=False)
    name = "Slack"

    def send(self, message: Message) -> None:
        """Post, as preformatted text so that tables stay tables."""
        # Imported when it is needed: most code locations never are told to.
        from slack_sdk.errors import SlackClientError
        from slack_sdk.webhook import WebhookClient

        client = WebhookClient(self.url, timeout=TIMEOUT_SECONDS, logger=_silence())
        try:
            answer = client.send(text=f"*{_escaped(message.subject)}*\n```{_escaped(_shortened(message.text))}```")
        except (OSError, ValueError, SlackClientError) as error:
            raise NotSent(self._scrubbed(f"{type(error).__name__}: {error}")) from None
        if answer.status_code != 200:
            raise NotSent(self._scrubbed(f"status {answer.status_code}: {answer.body}"))

    def _scrubbed(self, text: str) -> str:
        return without(without(text, self.url), urlsplit(self.url).path.strip("/"))


def _silence() -> logging.Logger:
    """A logger that says nothing: the client's own would log the URL."""
    logger = logging.Logger("slack", logging.CRITICAL)
    logger.addHandler(logging.NullHandler())
    return logger


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("```", "'''")


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SLACK_CHARACTERS else f"{text[:MAX_SLACK_CHARACTERS].rstrip()}\n..."
