"""What preflight says: one line for each thing that it looked at, with what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from pg_migration.postgres.errors import ConfigurationError, MigrationError


class Severity(str, Enum):
    """What a finding means for the migration: an error stops it before the target is touched."""

    PASSED = "passed"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """What was looked at (``check``), what was found, and what a person should do about it (empty when nothing).

    ``misuse`` tells an error that is in what was asked for, whatever is done to the servers.
    """

    check: str
    severity: Severity
    verdict: str
    advice: str = ""
    misuse: bool = False

    def __str__(self) -> str:
        return f"{self.verdict}. {self.advice}" if self.advice else self.verdict


class NotReady(MigrationError):
    """Something stands in the way of the migration; the message names all of it."""


def passed(check: str, verdict: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Severity.PASSED, verdict)


def warning(check: str, verdict: str, advice: str) -> Finding:
    """The migration goes on, and somebody should know."""
    return Finding(check, Severity.WARNING, verdict, advice)


def error(check: str, verdict: str, advice: str) -> Finding:
    """The migration can't go on."""
    return Finding(check, Severity.ERROR, verdict, advice)


def misuse(check: str, verdict: str, advice: str) -> Finding:
    """What was asked for can't be done as it was asked."""
    return Finding(check, Severity.ERROR, verdict, advice, misuse=True)


def demand(findings: Iterable[Finding]) -> None:
    """Refuse to go on when any finding is an error.

    Raises:
        ConfigurationError: naming what can't be done as it was asked, whatever else there is.
        NotReady: naming all errors.
    """
    found = [finding for finding in findings if finding.severity is Severity.ERROR]
    if (wrong := next((finding for finding in found if finding.misuse), None)) is not None:
        raise ConfigurationError(str(wrong))
    errors = [str(finding) for finding in found]
    if len(errors) == 1:
        raise NotReady(errors[0])
    if errors:
        listed = "\n".join(f"- {line}" for line in errors)
        raise NotReady(f"{len(errors)} things stand in the way; nothing was changed:\n{listed}")


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """What stops the migration before what only warns, and that before what is in order."""
    return sorted(findings, key=lambda finding: _RANKS.index(finding.severity))


_RANKS = (Severity.ERROR, Severity.WARNING, Severity.PASSED)
