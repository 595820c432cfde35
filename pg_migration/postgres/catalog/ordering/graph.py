"""Order objects by what they lean on, as pg_depend records it."""

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node")


def topological_order(
    dependencies: Mapping[Node, Iterable[Node]], rank: Callable[[Node], tuple[object, ...]]
) -> list[Node]:
    """Nodes, each after everything it depends on; of those that could come next, the lowest ``rank`` comes first.

    Raises:
        ValueError: when there is a cycle. Its argument is the list of nodes that could not be placed.
    """
    waiting = {node: len(set(needed)) for node, needed in dependencies.items()}
    dependents: dict[Node, list[Node]] = {node: [] for node in dependencies}
    for node, needed in dependencies.items():
        for other in set(needed):
            dependents[other].append(node)
    ranks = {node: rank(node) for node in dependencies}
    by_rank: list[tuple[tuple[object, ...], int, Node]] = []
    numbers = {node: number for number, node in enumerate(dependencies)}
    for node, count in waiting.items():
        if count == 0:
            heapq.heappush(by_rank, (ranks[node], numbers[node], node))
    order: list[Node] = []
    while by_rank:
        _, _, node = heapq.heappop(by_rank)
        order.append(node)
        for dependent in dependents[node]:
            waiting[dependent] -= 1
            if waiting[dependent] == 0:
                heapq.heappush(by_rank, (ranks[dependent], numbers[dependent], dependent))
    if len(order) < len(waiting):
        placed = set(order)
        raise ValueError([node for node in dependencies if node not in placed])
    return order


def cycles(dependencies: Mapping[Node, Iterable[Node]]) -> list[list[Node]]:
    """The groups of nodes that depend on each other in a circle (strongly connected components of two or more).

    Tarjan's algorithm, without recursion, since chains of views and inheritance can be long.
    """
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    on_stack: set[Node] = set()
    stack: list[Node] = []
    found: list[list[Node]] = []
    for start in dependencies:
        if start in index:
            continue
        work = [(start, iter(list(dependencies[start])))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, neighbours = work[-1]
            for other in neighbours:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(list(dependencies[other]))))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        group.append(member)
                        if member == node:
                            break
                    if len(group) > 1:
                        found.append(group)
    return found


def reachable(start: Iterable[Node], edges: Mapping[Node, Iterable[Node]]) -> set[Node]:
    """``start`` and everything that can be reached from it along ``edges``."""
    seen = set(start)
    work = list(seen)
    while work:
        for other in edges.get(work.pop(), ()):
            if other not in seen:
                seen.add(other)
                work.append(other)
    return seen
