"""Where notifications go: a Slack webhook, e-mail. Configured by environment variables alone.

dagster-slack posts with a bot's token and Dagster's e-mail sensor sends nothing after a success, so Slack's own client
of incoming webhooks and the standard library's SMTP client do it here.
"""

import logging
import os
import smtplib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Protocol
from urllib.parse import urlsplit

from pg_migration.postgres.errors import ConfigurationError

SLACK_WEBHOOK_URL = "PG_MIGRATION_SLACK_WEBHOOK_URL"
SMTP_HOST = "PG_MIGRATION_SMTP_HOST"
SMTP_PORT = "PG_MIGRATION_SMTP_PORT"
SMTP_USER = "PG_MIGRATION_SMTP_USER"
SMTP_PASSWORD = "PG_MIGRATION_SMTP_PASSWORD"
SMTP_TLS = "PG_MIGRATION_SMTP_TLS"
MAIL_FROM = "PG_MIGRATION_MAIL_FROM"
MAIL_TO = "PG_MIGRATION_MAIL_TO"

# Of each of the two ways of TLS, and of none, with the port that servers listen on for it.
PORTS = {"starttls": 587, "tls": 465, "none": 25}
TIMEOUT_SECONDS = 20
# Slack cuts messages off at 40,000 characters; nobody reads as many.
MOST_SLACK_CHARACTERS = 3500


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
        return _without(_without(text, self.url), urlsplit(self.url).path.strip("/"))


def _silence() -> logging.Logger:
    """A logger that says nothing: the client's own would log the URL."""
    logger = logging.Logger("slack", logging.CRITICAL)
    logger.addHandler(logging.NullHandler())
    return logger


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("```", "'''")


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_SLACK_CHARACTERS else f"{text[:MOST_SLACK_CHARACTERS].rstrip()}\n..."


@dataclass(frozen=True)
class Mail:
    """A mail server, and who gets mail through it. ``tls`` is one of PORTS."""

    host: str
    port: int
    tls: str
    sender: str
    recipients: tuple[str, ...]
    user: str
    password: str = field(repr=False)
    name = "e-mail"

    def send(self, message: Message) -> None:
        """Send one message to all recipients, as plain text with HTML as an alternative."""
        try:
            with self._connect() as server:
                if self.tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
                refused = server.send_message(self._letter(message))
        except (OSError, ValueError, smtplib.SMTPException) as error:
            raise NotSent(_without(f"{type(error).__name__}: {error}", self.password)) from None
        if refused:
            raise NotSent(f"the server refused {', '.join(refused)}")

    def _connect(self) -> smtplib.SMTP:
        if self.tls == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = " ".join(message.subject.split())
        letter["From"], letter["To"] = self.sender, ", ".join(self.recipients)
        letter["Date"], letter["Message-ID"] = formatdate(), make_msgid()
        # Mail servers that answer out of office leave such mail alone. RFC 3834.
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.text)
        letter.add_alternative(message.html, subtype="html")
        return letter


def _without(text: str, secret: str) -> str:
    return " ".join((text.replace(secret, "***") if secret else text).split())


def channels(environment: Mapping[str, str] = os.environ) -> Iterator[Channel | ConfigurationError]:
    """The channels that are configured; in the place of one that can't be used, what is wrong with it."""
    known = {name: value.strip() for name, value in environment.items()}
    if url := known.get(SLACK_WEBHOOK_URL):
        yield Slack(url)
    if known.get(SMTP_HOST):
        try:
            yield _mail(known)
        except ConfigurationError as error:
            yield error


def _mail(known: Mapping[str, str]) -> Mail:
    tls = (known.get(SMTP_TLS) or "starttls").lower()
    if tls not in PORTS:
        raise ConfigurationError(f"{SMTP_TLS} is {tls!r}, but must be one of {', '.join(PORTS)}")
    port = known.get(SMTP_PORT) or str(PORTS[tls])
    if not port.isdecimal():
        raise ConfigurationError(f"{SMTP_PORT} is {port!r}, but must be a number")
    sender = known.get(MAIL_FROM) or ""
    recipients = tuple(name.strip() for name in known.get(MAIL_TO, "").split(",") if name.strip())
    missing = [name for name, value in ((MAIL_FROM, sender), (MAIL_TO, recipients)) if not value]
    if missing:
        raise ConfigurationError(f"{SMTP_HOST} is set, but not {' and '.join(missing)}: no mail can be sent")
    return Mail(
        known[SMTP_HOST], int(port), tls, sender, recipients, known.get(SMTP_USER, ""), known.get(SMTP_PASSWORD, "")
    )
