"""Read the form in which PostgreSQL keeps expressions (pg_node_tree), for what their text does not say.

Some constructs look an operator up by its bare name: ``IS DISTINCT FROM``, ``NULLIF``, ``CASE x WHEN``, ``USING`` and
comparisons of rows have no place for the operator's schema. Which one it is only the stored form tells. Its grammar is
that of src/backend/nodes/outfuncs.c and read.c; the names of nodes differ between versions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r"[(){}]|(?:\\.|[^\s(){}\\])+", re.DOTALL)
_LOGICAL = "BOOLEXPR"

WRITTEN_OUT = "operator"


@dataclass
class Node:
    """A node with its fields: each holds nodes, lists and words."""

    tag: str
    fields: dict[str, list["Item"]] = field(default_factory=dict)

    def words(self, name: str) -> list[str]:
        """The words of a field, those in a list included, an empty field's mark not."""
        return [item for item in _flat(self.fields.get(name, [])) if isinstance(item, str) and item != "<>"]

    def nodes(self, name: str) -> list["Node"]:
        """The nodes of a field, those in a list included."""
        return [item for item in _flat(self.fields.get(name, [])) if isinstance(item, Node)]


Item = Node | list["Item"] | str


def _flat(items: list[Item]) -> Iterator[Node | str]:
    for item in items:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def parse(text: str) -> list[Item]:
    """The items of a stored expression."""
    top: list[Item] = []
    stack: list[tuple[list[Item], Node | None, str]] = []
    here, node, name = top, None, ""
    for token in _TOKEN.findall(text):
        if token in ("{", "("):
            stack.append((here, node, name))
            inside: list[Item] = []
            if token == "(":
                here.append(inside)
            here, node, name = inside, Node("") if token == "{" else None, ""
            if node is not None:
                stack[-1][0].append(node)
        elif token in ("}", ")"):
            here, node, name = stack.pop()
        elif node is None:
            here.append(token)
        elif not node.tag:
            node.tag = token
        # What follows the name of a field is its value, whatever it looks like.
        elif token[0] == ":" and (not name or here):
            name, here = token[1:], []
            node.fields[name] = here
        else:
            here.append(token)
    return top


def lookups(text: str) -> Iterator[tuple[str, int]]:
    """Every operator in a stored expression, by its OID, and the construct that looks it up.

    The construct is `WRITTEN_OUT` where the text of the expression names the operator.
    """
    pending = list(_flat(parse(text)))
    told: set[int] = set()
    while pending:
        node = pending.pop()
        if not isinstance(node, Node):
            continue
        construct, comparisons = _by_bare_name(node)
        for found in (node, *comparisons):
            if id(found) not in told:
                yield from (
                    (construct, int(word)) for word in found.words("opno") + found.words("opnos") if word.isdigit()
                )
        told |= {id(found) for found in comparisons}
        pending += (item for items in node.fields.values() for item in _flat(items))


def _by_bare_name(node: Node) -> tuple[str, list[Node]]:
    """How a node looks its operators up, and the nodes inside that are part of its way of writing."""
    if node.tag == "DISTINCTEXPR":
        return "IS DISTINCT FROM", []
    if node.tag == "NULLIFEXPR":
        return "NULLIF", []
    if node.tag in ("CASE", "CASEEXPR") and node.nodes("arg"):
        return "CASE", [test for when in node.nodes("args") for test in when.nodes("expr")]
    if node.tag == "JOINEXPR" and node.words("usingClause"):
        return "USING", _compared(node.nodes("quals"))
    if node.tag in ("ROWCOMPARE", "ROWCOMPAREEXPR"):
        return "comparison of rows", []
    if node.tag == "SUBLINK" and any(test.tag == _LOGICAL for test in node.nodes("testexpr")):
        # Written with the name of the first column's operator for all of them.
        return "comparison of rows", _compared(node.nodes("testexpr"))
    return WRITTEN_OUT, []


def _compared(nodes: list[Node]) -> list[Node]:
    """The comparisons that a condition joins with AND."""
    return [part for node in nodes for part in (node.nodes("args") if node.tag == _LOGICAL else [node])]
