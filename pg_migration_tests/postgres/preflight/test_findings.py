"""Findings of what no server of the tests is like: standbys that lag, room for few locks, roles of newer servers."""

from types import SimpleNamespace
from typing import Any

import pytest

from pg_migration.postgres.catalog import Notice
from pg_migration.postgres.preflight import Intent, Severity, activity, objects, permissions, resources, servers

CREATING_ROLES = Intent(workers=2, partition_threshold=1000, create_roles=True)


def having(**parts: Any) -> Any:
    """What has these attributes, in place of a catalog or of two servers."""
    return SimpleNamespace(**parts)


@pytest.mark.parametrize(("lag", "told"), [(None, 0), (59, 0), (90, 1)])
def test_a_standby_that_is_behind(monkeypatch: pytest.MonkeyPatch, lag: int | None, told: int) -> None:
    answers = {"recovery": [(True, lag, False)], "unlogged": []}
    monkeypatch.setattr(activity, "ask", lambda _, name, **__: answers.get(name, []))
    found = activity.replication(having(source=None, target=None), having(tables=[], sequences=[]))
    late = [finding for finding in found if finding.severity is Severity.WARNING]
    assert len(late) == told
    assert all("the source is a standby and 90 s behind" in finding.verdict for finding in late)


@pytest.mark.parametrize(
    ("tables", "severity", "told"),
    [
        (2, Severity.PASSED, "for every worker to lock all 2 tables"),
        (3, Severity.PASSED, "for 1 of 2 workers to lock all 3 tables"),
        (7, Severity.ERROR, "room for about 20 more locks, and 7 tables take 21 at least"),
    ],
)
def test_room_for_locks(monkeypatch: pytest.MonkeyPatch, tables: int, severity: Severity, told: str) -> None:
    monkeypatch.setattr(resources, "room_for_locks", lambda _: 10)
    found = resources.locks(having(source=None), having(tables=range(tables)), CREATING_ROLES)
    assert found.severity is severity
    assert told in found.verdict


def test_roles_that_only_a_newer_server_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permissions, "missing_roles", lambda *_: ["boss", "pg_maintain"])
    found = permissions.roles(having(target=None), having(roles=()), CREATING_ROLES)
    assert found.severity is Severity.ERROR
    assert found.verdict == "the source names roles that only a newer server has: pg_maintain"


@pytest.mark.parametrize(("notices", "severity"), [([], Severity.PASSED), ([("a", "b", "why")], Severity.WARNING)])
def test_what_stays_behind(notices: list[tuple[str, str, str]], severity: Severity) -> None:
    found = objects.not_copied(having(notices=[Notice(*notice) for notice in notices]))
    assert found.severity is severity
    assert ("a b: why" in found.verdict) == bool(notices)


@pytest.mark.parametrize(("rules", "severity"), [("", Severity.PASSED), ("&a < g", Severity.WARNING)])
def test_a_database_that_sorts_by_rules(monkeypatch: pytest.MonkeyPatch, rules: str, severity: Severity) -> None:
    answers = {"source": [("C", "C", "i", "de", rules)], "target": [("C", "C", "i", "de", "")]}
    monkeypatch.setattr(servers, "ask", lambda end, _: answers[end])
    found = servers.collations(having(source="source", target="target"))
    assert found.severity is severity
    assert rules in found.verdict
