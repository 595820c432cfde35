"""Findings of what no server of the tests is like: standbys that lag, room for few locks, roles of newer servers."""

from types import SimpleNamespace
from typing import Any

import pytest

from pg_migration.postgres.catalog import Notice
from pg_migration.postgres.preflight import (
    Intent,
    Severity,
    activity,
    objects,
    other_versions,
    permissions,
    resources,
    servers,
)

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


@pytest.mark.parametrize(("version", "severity"), [(180000, Severity.PASSED), (190000, Severity.ERROR)])
def test_roles_whose_names_have_a_line_break(monkeypatch: pytest.MonkeyPatch, version: int, severity: Severity) -> None:
    monkeypatch.setattr(permissions, "missing_roles", lambda *_: ["plain", "a\nb"])
    reach = having(role="me", creates_roles=True, superuser=True)
    found = permissions.roles(
        having(target=having(server_version=version), reach=reach), having(roles=()), CREATING_ROLES
    )
    assert found.severity is severity
    assert (r"in the name of a role: 'a\nb'" in found.verdict) is (severity is Severity.ERROR)


def item(kind: str, name: str, *statements: str) -> Any:
    return having(kind=kind, identity=f"{kind} {name}", statements=statements)


# As a server writes them under the settings of discovery.
MADE = [
    item(
        "function",
        "f",
        'CREATE OR REPLACE FUNCTION "f"()\n RETURNS integer\n LANGUAGE "sql"\n SET "escape_string_warning" TO \'off\'\n'
        " SET \"my.own\" TO '1'\n SET \"search_path\" TO 'public', 'pg_temp'\nAS $function$\n SET \"not_one\" TO '1'\n"
        "$function$\n",
    ),
    item(
        "function", "g", 'CREATE OR REPLACE FUNCTION "g"()\n SET "standard_conforming_strings" TO \'off\'\nRETURN 1\n'
    ),
    item("function", "h", 'CREATE OR REPLACE FUNCTION "h"()\n SET "standard_conforming_strings" TO \'on\'\nRETURN 1\n'),
    item("conversion", "m", "CREATE CONVERSION \"m\" FOR 'LATIN1' TO 'MULE_INTERNAL' FROM \"latin1_to_mic\""),
]


@pytest.mark.parametrize(
    ("version", "off"), [(180000, []), (190000, ["function g: standard_conforming_strings as off"])]
)
def test_what_the_target_has_no_longer(monkeypatch: pytest.MonkeyPatch, version: int, off: list[str]) -> None:
    known = {"search_path", "standard_conforming_strings", "LATIN1"}
    monkeypatch.setattr(other_versions, "ask", lambda _, __, names: [(name,) for name in names if name not in known])
    ends, catalog = having(target=having(server_version=version)), having(objects=MADE)
    (settings,) = other_versions.settings(ends, catalog)
    (encodings,) = other_versions.encodings(ends, catalog)
    lines = [line.removeprefix("  - ") for line in settings.verdict.splitlines()[1:]]
    assert lines == ["function f: escape_string_warning", *off]
    assert encodings.verdict.splitlines()[1:] == ["  - conversion m: MULE_INTERNAL"]
    assert {settings.severity, encodings.severity} == {Severity.ERROR}


def test_what_the_target_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_versions, "ask", lambda *_, **__: [])
    ends = having(target=having(server_version=160000))
    assert [*other_versions.settings(ends, having(objects=MADE))] == []
    assert [*other_versions.encodings(ends, having(objects=MADE))] == []


DUTCH = {
    "a constant": ("index", """("to_tsvector"('"dutch"'::"regconfig", "t"))"""),
    "a name that is cast": ("view", """SELECT "to_tsvector"(('dutch'::"text")::"regconfig", "t")"""),
    "a trigger": ("trigger", """EXECUTE FUNCTION "tsvector_update_trigger"('w', 'pg_catalog.dutch', 't')"""),
    "a configuration": ("text search configuration", 'ADD MAPPING FOR "word" WITH "dutch_stem"'),
    "a dictionary": ("text search dictionary", """(TEMPLATE = "pg_catalog"."snowball", language = 'dutch')"""),
    "a body": ("function", "AS $$SELECT websearch_to_tsquery( 'dutch', $1)$$"),
    "a comment": ("comment", "IS 'see dutch_stem, \"dutch_stem\"'"),
    "a word": ("default", """SET DEFAULT 'dutch'::"text" """),
}


@pytest.mark.parametrize("case", DUTCH)
def test_stems_of_dutch_words(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr(other_versions, "ask", lambda *_, **__: [("pg_catalog.simple",)])
    catalog = having(objects=[item(DUTCH[case][0], "x", DUTCH[case][1])], tables=[])
    told = {}
    for source, target in ((180000, 190000), (190000, 190000), (150000, 180000)):
        ends = having(source=having(server_version=source), target=having(server_version=target))
        (found,) = other_versions.meaning(ends, catalog)
        told[source, target] = found.severity is Severity.WARNING
    expected = case not in ("a comment", "a word")
    assert told == {(180000, 190000): expected, (190000, 190000): False, (150000, 180000): False}


def test_stems_where_no_configuration_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_versions, "ask", lambda *_, **__: [("pg_catalog.dutch",)])
    ends = having(source=having(server_version=180000), target=having(server_version=190000))
    (found,) = other_versions.meaning(ends, having(objects=[], tables=[]))
    assert "default_text_search_config (pg_catalog.dutch)" in found.verdict


@pytest.mark.parametrize(("source", "target", "told"), [(150000, 180000, 1), (150000, 150000, 0), (160000, 180000, 0)])
def test_generated_columns_below_others(source: int, target: int, told: int) -> None:
    def table(name: str, generated: str, *parents: tuple[str, str]) -> Any:
        columns = [having(name="a", generated=""), having(name="b", generated=generated)]
        return having(schema="s", name=name, key=("s", name), columns=columns, parents=parents, partition_key=None)

    p, q = table("p", ""), table("q", "s")
    below = [table("c", "s", p.key), table("d", "s", q.key), table("e", "", p.key), table("f", "s", q.key, p.key)]
    ends = having(source=having(server_version=source), target=having(server_version=target))
    found = [*other_versions.generated_columns(ends, having(tables=[p, q, *below]))]
    assert len(found) == told
    for finding in found:
        assert finding.severity is Severity.ERROR
        lines = [line.removeprefix("  - ") for line in finding.verdict.splitlines()[1:]]
        assert lines == ["s.c.b: not generated in s.p", "s.f.b: not generated in s.p"]


@pytest.mark.parametrize(("source", "target", "told"), [(120000, 180000, 1), (130000, 180000, 0), (120000, 120000, 0)])
def test_generated_columns_that_choose_the_partition(source: int, target: int, told: int) -> None:
    columns = [having(name="a", generated=""), having(name='"B', generated="s")]
    tables = [
        having(schema="s", name=name, key=("s", name), columns=columns, parents=(), partition_key=key)
        for name, key in (("t", 'RANGE ("""B")'), ("u", 'RANGE ("a")'), ("v", None))
    ]
    ends = having(source=having(server_version=source), target=having(server_version=target))
    found = [*other_versions.generated_columns(ends, having(tables=tables))]
    assert [finding.verdict.splitlines()[1:] for finding in found] == [['  - s.t."B']] * told


@pytest.mark.parametrize(("source", "target", "told"), [(120000, 140000, 1), (140000, 180000, 0), (130000, 130000, 0)])
def test_operators_without_a_right_operand(source: int, target: int, told: int) -> None:
    made = [
        item("operator", "!(bigint, )", 'CREATE OPERATOR "s".! (PROCEDURE = "f", LEFTARG = bigint)'),
        item("operator", "!!( , bigint)", 'CREATE OPERATOR "s".!! (PROCEDURE = "f", RIGHTARG = bigint)'),
        item("operator", "+(int, int)", 'CREATE OPERATOR "s".+ (PROCEDURE = "f", LEFTARG = int, RIGHTARG = int)'),
    ]
    ends = having(source=having(server_version=source), target=having(server_version=target))
    found = [*other_versions.postfix_operators(ends, having(objects=made))]
    assert [finding.verdict.splitlines()[1:] for finding in found] == [["  - operator !(bigint, )"]] * told


def test_names_of_databases_in_rows() -> None:
    kinds = (("a", "regdatabase", '"regdatabase"'), ("b", "anyarray", '"regdatabase"[]'), ("c", "int4", "integer"))
    columns = [having(name=name, base_type=base, ddl_type=ddl) for name, base, ddl in kinds]
    same = having(server_version=190000)
    catalog = having(objects=[], tables=[having(schema="s", name="t", columns=columns)])
    (found,) = other_versions.meaning(having(source=same, target=same), catalog)
    assert found.severity is Severity.WARNING
    assert "s.t.a, s.t.b. Rows" in found.verdict
