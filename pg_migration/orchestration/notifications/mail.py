"""Messages by mail."""

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from pg_migration.orchestration.notifications.message import TIMEOUT_SECONDS, Message, NotSent, without
from pg_migration.postgres.errors import ConfigurationError

SMTP_HOST = "PG_MIGRATION_SMTP_HOST"
SMTP_PORT = "PG_MIGRATION_SMTP_PORT"
SMTP_USER = "PG_MIGRATION_SMTP_USER"
SMTP_PASSWORD = "PG_MIGRATION_SMTP_PASSWORD"
SMTP_TLS = "PG_MIGRATION_SMTP_TLS"
MAIL_FROM = "PG_MIGRATION_MAIL_FROM"
MAIL_TO = "PG_MIGRATION_MAIL_TO"

# Of each of the two ways of TLS, and of none, with the port that servers listen on for it.
PORTS = {"starttls": 587, "tls": 465, "none": 25}


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
            raise NotSent(without(f"{type(error).__name__}: {error}", self.password)) from None
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


def mail_channel(known: Mapping[str, str]) -> Mail:
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
