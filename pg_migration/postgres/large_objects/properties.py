"""Owners, privileges and comments of large objects: how they are given, and whether both sides have the same."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import PrivilegesOfLargeObjects
from pg_migration.postgres.catalog.objects.large_objects import privileges_query, privileges_row
from pg_migration.postgres.catalog.objects.privileges import as_owned_by, privilege_statements, within_reach
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.large_objects.state import State
from pg_migration.postgres.roles.reach import Reach


class Properties:
    """What is given to large objects besides their bytes, as the options have it.

    Args:
        found: the privileges that the objects of a side have.
        creator: the role that makes the objects of the target.
        owners: whether owners are carried over.
        privileges: whether grants are.
        reach: of the target's role, where what it can't give is left out.
        unlabelled: providers whose security labels are left out.
    """

    def __init__(
        self,
        found: Iterable[PrivilegesOfLargeObjects],
        creator: str,
        owners: bool,
        privileges: bool,
        reach: Reach | None,
        unlabelled: Collection[str] = (),
    ) -> None:
        self._found = {(one.owner, one.acl): one for one in found}
        self._creator, self._owners, self._privileges, self._reach = creator, owners, privileges, reach
        self._unlabelled = unlabelled

    def learn(self, connection: Connection, states: Iterable[State]) -> None:
        """Read the privileges that some objects have, as far as they are not known."""
        unknown = {(s.owner, s.acl): s.oid for s in states if (s.owner, s.acl) not in self._found}
        if self._privileges and unknown:
            condition = sql.SQL("m.oid = ANY ({})").format(sql.Literal(list(unknown.values())))
            rows = fetch(connection, privileges_query(condition))
            self._found |= {(one.owner, one.acl): one for one in (PrivilegesOfLargeObjects(*row) for row in rows)}

    def owner_of(self, state: State) -> str | None:
        """Whom an object is given to; None where it is left to the role that makes it."""
        reachable = self._reach is None or self._reach.may_own(state.owner)
        return state.owner if self._owners and reachable else None

    def grants_on(self, state: State, objects: str = "") -> list[str]:
        """The statements that give the privileges of one object to some, which are named as GRANT names them."""
        one = self._found.get((state.owner, state.acl))
        if one is None or not self._privileges:  # what was changed while it was read is read again when it is compared
            return []
        row = privileges_row(one, objects)
        if self.owner_of(state) is None and state.owner != self._creator:
            row = as_owned_by(self._creator, row)
        if self._reach is not None:
            row = within_reach("privileges", row, self._reach)
        return privilege_statements(row)

    def labels_of(self, state: State) -> list[tuple[str, str]]:
        """The security labels that an object gets, each with its provider."""
        return [(provider, label) for provider, label in state.labels if provider not in self._unlabelled]

    def statements(self, states: Iterable[State]) -> Iterator[sql.Composable]:
        """What gives objects that were just made to their owners, with their privileges, comments and labels."""
        every = sorted(states, key=lambda state: (state.owner, state.acl, state.oid))
        for state in every:
            if state.comment is not None:
                named = sql.Literal(state.oid), sql.Literal(state.comment)
                yield sql.SQL("COMMENT ON LARGE OBJECT {} IS {}").format(*named)
            for provider, label in self.labels_of(state):
                parts = sql.Identifier(provider), sql.Literal(state.oid), sql.Literal(label)
                yield sql.SQL("SECURITY LABEL FOR {} ON LARGE OBJECT {} IS {}").format(*parts)
            owner = self.owner_of(state)
            if owner is not None and owner != self._creator:
                yield sql.SQL(f"ALTER LARGE OBJECT {state.oid} OWNER TO {quote(owner)}")
        for _, group in groupby(every, key=lambda state: (state.owner, state.acl)):
            alike = list(group)
            yield from map(sql.SQL, self.grants_on(alike[0], ", ".join(str(state.oid) for state in alike)))


def difference(source: State, ours: Properties, target: State | None, theirs: Properties) -> str | None:
    """In what an object of the target is not as the source's; None where it is the same.

    Args:
        ours: the properties of the source's objects.
        theirs: of the target's.
    """
    if target is None:
        return "missing"
    owner = ours.owner_of(source)
    found = [
        what
        for what, same in (
            ("size", source.size == target.size),
            ("content", None in (source.digest, target.digest) or source.digest == target.digest),
            ("owner", owner is None or owner == target.owner),
            ("privileges", ours.grants_on(source) == theirs.grants_on(target)),
            ("comment", source.comment == target.comment),
            ("security labels", ours.labels_of(source) == theirs.labels_of(target)),
        )
        if not same
    ]
    return ", ".join(found) or None


def undone_defaults(grantees: Sequence[str | None], objects: str) -> list[str]:
    """The statements that take back what default privileges gave on objects that were just made."""
    named = ["PUBLIC" if grantee is None else quote(grantee) for grantee in grantees]
    taken = [f"REVOKE ALL ON LARGE OBJECT {objects} FROM {name}" for name in named]
    return [*taken, f"GRANT ALL ON LARGE OBJECT {objects} TO CURRENT_USER"] if taken else []
