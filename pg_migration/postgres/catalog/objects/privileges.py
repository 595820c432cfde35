"""Privileges: the statements that lead from what PostgreSQL gives by default to what somebody granted.

Only the difference is said, as PostgreSQL's pg_dump does (buildACLCommands), grant by grant in the order in which the
server keeps them, so that a dump of the result lists them alike.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from pg_migration.postgres.catalog.reading.rows import DefaultPrivilegesRow, OwnerRow, PrivilegesRow
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.roles.reach import Reach

Granted = PrivilegesRow | DefaultPrivilegesRow

Grant = tuple[str, str | None, str, bool]
"""Grantor, grantee (None for PUBLIC), privilege, with grant option."""

# What a role is granted on these may be what lets it migrate.
_GIVES_WORK = ("SCHEMA", "DATABASE", "FOREIGN DATA WRAPPER", "FOREIGN SERVER")

Option = tuple[str | None, str]
"""A role, and a privilege that it may grant."""


def _grants(items: Iterable[Sequence[str | None]]) -> list[Grant]:
    return [
        (str(grantor), grantee, str(privilege), grantable == "true") for grantor, grantee, privilege, grantable in items
    ]


def roles_of(row: Granted) -> frozenset[str]:
    """Every role that the statements of a row name; an owner's own grants do not say whose they are."""
    held, by_default = _grants(row["held"]), _grants(row["by_default"])
    beyond = [grant for grant in held if grant not in by_default]
    named = grantors_of(row) | {grantee for _, grantee, _, _ in beyond} | {role for role, _ in _lost(held, by_default)}
    return frozenset(role for role in named if role is not None)


def grantors_of(row: Granted) -> frozenset[str]:
    """Whoever granted something besides the owner: they have to say it themselves."""
    return frozenset(grantor for grantor, *_ in _grants(row["held"]) if grantor != row["owner"])


def without_grants_to(role: str, row: PrivilegesRow) -> PrivilegesRow:
    """The privileges on what others are made in, or with, less those of a role; other rows as they are."""
    if row["word"] not in _GIVES_WORK or row["owner"] == role:
        return row
    return {**row, "held": [item for item in row["held"] if item[1] != role]}


def as_owned_by(maker: str, row: PrivilegesRow) -> PrivilegesRow:
    """The privileges on what is left to the role that makes it, instead of being given to its owner.

    An owner has every privilege, so nothing is said of what others have granted it. What it has granted in the source,
    as one of many, is what the owner grants in the target.
    """
    owner = row["owner"]
    ours, held = {owner, maker}, dict[tuple[str, str | None, str], bool]()
    for grantor, grantee, privilege, grantable in _grants(row["held"]):
        if grantee not in ours:
            once = (owner if grantor in ours else grantor, grantee, privilege)
            held[once] = held.get(once, False) or grantable
    by_default = [grant for grant in _grants(row["by_default"]) if grant[1] not in ours]
    return {**row, "held": _as_rows((*once, held[once]) for once in held), "by_default": _as_rows(by_default)}


def within_reach(kind: str, row: Any, reach: Reach) -> Any:
    """A row of a kind less what the target's role can't give, which is named in its column ``forgone``."""
    reduce = {"owner": _owner, "default privileges": _default_privileges, "privileges": _privileges}.get(kind)
    return reduce(row, reach) if reduce is not None else row


def _owner(row: OwnerRow, reach: Reach) -> OwnerRow:
    role = row["role"]
    return row if reach.may_own(role) else {**row, "forgone": [f"it is not given to {role}"]}


def _default_privileges(row: DefaultPrivilegesRow, reach: Reach) -> DefaultPrivilegesRow:
    missing = sorted(role for role in roles_of(row) if not reach.has(role))
    named = missing if reach.may_own(row["owner"]) else [row["owner"]]
    return {**row, "forgone": [f"they are not set for {', '.join(named)}"]} if named else row


def _privileges(row: PrivilegesRow, reach: Reach) -> PrivilegesRow:
    """Less the grants by and to roles out of reach, and those that rest on them."""
    owner = row["owner"]
    theirs = () if reach.may_own(owner) else (owner,)  # whoever owns it instead has all that an owner has
    held = [grant for grant in _grants(row["held"]) if grant[1] not in theirs]
    kept = [
        grant
        for grant in held
        if (grant[0] == owner or reach.may_become(grant[0])) and (grant[1] is None or reach.has(grant[1]))
    ]
    before: set[Option] = {(role, privilege) for role, privilege in row["options_on_relation"] or ()}
    while True:
        options = before | {(owner, privilege) for _, _, privilege, _ in kept}
        options |= {(grantee, privilege) for _, grantee, privilege, grantable in kept if grantable}
        founded = [grant for grant in kept if (grant[0], grant[2]) in options]
        if len(founded) == len(kept):
            break
        kept = founded
    forgone = [f"{g[2]} to {_role(g[1])} by {g[0]} is not granted" for g in held if g not in kept]
    default = [grant for grant in _grants(row["by_default"]) if grant[1] not in theirs]
    reduced: PrivilegesRow = {**row, "held": _as_rows(kept), "by_default": _as_rows(default)}
    return {**reduced, "forgone": forgone} if forgone else reduced


def _as_rows(grants: Iterable[Grant]) -> list[list[str | None]]:
    return [[grantor, grantee, privilege, str(grantable).lower()] for grantor, grantee, privilege, grantable in grants]


def _role(name: str | None) -> str:
    return "PUBLIC" if name is None else quote(name)


def _on(row: PrivilegesRow, privileges: Iterable[str]) -> str:
    """``SELECT, INSERT ON TABLE "t"``, or with the column in parentheses after each privilege."""
    if row["word"] == "COLUMN":
        return (
            ", ".join(f"{privilege} ({row['quoted_column']})" for privilege in privileges)
            + f" ON TABLE {row['quoted']}"
        )
    return f"{', '.join(privileges)} ON {row['word']} {row['quoted']}"


def _grant_statements(
    grants: Sequence[Grant], owner: str, on: str | None, row: PrivilegesRow | None, before: Iterable[Option] = ()
) -> list[str]:
    """The grants one after another, each at a time when its grantor holds what it grants.

    The server lists grants in the order in which they came about. A grant may so stand before the grant option that its
    grantor has today: then the grantor held it in another way, which was taken back. The owner lends it for as long.

    Args:
        before: the grant options that are held without these grants.
    """
    statements: list[str] = []
    options = set(before)
    lent: dict[Option, None] = {}

    def what(privileges: Sequence[str]) -> str:
        return _on(row, privileges) if row is not None else f"{', '.join(privileges)} {on}"

    def take_back(which: Sequence[Option]) -> None:
        for role, privilege in which:
            del lent[role, privilege]
            kept = (owner, role, privilege, False) in made
            statements.append(f"REVOKE {'GRANT OPTION FOR ' if kept else ''}{what([privilege])} FROM {_role(role)}")

    made: set[Grant] = set()
    for (grantor, grantee, grantable), group in groupby(grants, key=lambda grant: (grant[0], grant[1], grant[3])):
        privileges = [privilege for _, _, privilege, _ in group]
        grant = f"GRANT {what(privileges)} TO {_role(grantee)}{' WITH GRANT OPTION' if grantable else ''}"
        if grantor == owner:
            # A role that holds the option in another way by now: the owner's grant to it came after that.
            take_back([option for option in lent if option[0] == grantee and option in options])
            statements.append(grant)
        else:
            if wanted := [p for p in privileges if not {(grantor, p)} & (options | lent.keys())]:
                statements.append(f"GRANT {what(wanted)} TO {_role(grantor)} WITH GRANT OPTION")
                lent |= dict.fromkeys((grantor, privilege) for privilege in wanted)
            # The server writes down who grants; only that role can say it.
            statements += [f"SET LOCAL ROLE {quote(grantor)}", grant, "RESET ROLE"]
        made |= {(grantor, grantee, privilege, grantable) for privilege in privileges}
        if grantable:
            options |= {(grantee, privilege) for privilege in privileges}
    take_back([option for option in lent if (owner, *option, True) not in made])
    return statements


def _lost(held: Sequence[Grant], by_default: Sequence[Grant]) -> list[tuple[str | None, list[str]]]:
    """What the default gives and nobody holds, by grantee."""
    kept = {(grantee, privilege) for _, grantee, privilege, _ in held}
    lost = [(grantee, privilege) for _, grantee, privilege, _ in by_default if (grantee, privilege) not in kept]
    return [
        (grantee, [privilege for _, privilege in group]) for grantee, group in groupby(lost, key=lambda pair: pair[0])
    ]


def privilege_statements(row: PrivilegesRow) -> list[str]:
    """REVOKE what the default gives and nobody holds, then GRANT what is held beyond the default."""
    held, by_default = _grants(row["held"]), _grants(row["by_default"])
    statements = [
        f"REVOKE {_on(row, privileges)} FROM {_role(grantee)}" for grantee, privileges in _lost(held, by_default)
    ]
    beyond = [grant for grant in held if grant not in by_default]
    # Who may grant a privilege on a table may grant it on each column.
    options: set[Option] = {(role, privilege) for role, privilege in row["options_on_relation"] or ()}
    options |= {(grantee, privilege) for _, grantee, privilege, grantable in by_default if grantable}
    return statements + _grant_statements(beyond, row["owner"], None, row, options)


def revocation(row: PrivilegesRow) -> str:
    """Back to the default privileges."""
    held, by_default = _grants(row["held"]), _grants(row["by_default"])
    grantees = dict.fromkeys(grantee for _, grantee, _, _ in held)
    statements = [f"REVOKE {_on(row, ['ALL'])} FROM {_role(grantee)} CASCADE" for grantee in grantees]
    return ";\n".join(statements + _grant_statements(by_default, row["owner"], None, row))


def default_privilege_statements(row: DefaultPrivilegesRow) -> tuple[tuple[str, ...], str]:
    """ALTER DEFAULT PRIVILEGES for one owner and kind, in one schema or anywhere; and the statements that undo it."""
    head = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(row['owner'])} "
    if row["target_schema"] is not None:
        head += f"IN SCHEMA {quote(row['target_schema'])} "
    held, by_default, on = _grants(row["held"]), _grants(row["by_default"]), f"ON {row['word']}"
    revocations = [
        f"REVOKE {', '.join(privileges)} {on} FROM {_role(grantee)}" for grantee, privileges in _lost(held, by_default)
    ]
    beyond = [grant for grant in held if grant not in by_default]
    grants = revocations + _grant_statements(beyond, row["owner"], on, None)
    grantees = dict.fromkeys(grantee for _, grantee, _, _ in held)
    undo = [f"REVOKE ALL {on} FROM {_role(grantee)}" for grantee in grantees]
    undo += _grant_statements(by_default, row["owner"], on, None)
    return tuple(head + grant for grant in grants), ";\n".join(head + statement for statement in undo)
