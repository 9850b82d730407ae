"""Order among things that refer to each other, and the cycles in it.

One walk (Tarjan's strongly connected components, with its own stack, so that a chain of any
length is fine) serves typedefs, constants, structs, services and includes alike.
"""

from __future__ import annotations

import typing

_Node = typing.TypeVar("_Node", bound=typing.Hashable)
Successors: typing.TypeAlias = "typing.Callable[[_Node], typing.Iterable[_Node]]"


def components(nodes: typing.Iterable[_Node], successors: Successors[_Node]) -> list[list[_Node]]:
    """Groups nodes that reach each other; a group stands after every group that it refers to."""
    index: dict[_Node, int] = {}
    lowest: dict[_Node, int] = {}
    pending: list[_Node] = []
    waiting: set[_Node] = set()
    found: list[list[_Node]] = []
    for root in nodes:
        if root in index:
            continue
        index[root] = lowest[root] = len(index)
        pending.append(root)
        waiting.add(root)
        path = [(root, iter(successors(root)))]
        while path:
            node, rest = path[-1]
            for successor in rest:
                if successor not in index:
                    index[successor] = lowest[successor] = len(index)
                    pending.append(successor)
                    waiting.add(successor)
                    path.append((successor, iter(successors(successor))))
                    break
                if successor in waiting:
                    lowest[node] = min(lowest[node], index[successor])
            else:
                path.pop()
                if path:
                    parent = path[-1][0]
                    lowest[parent] = min(lowest[parent], lowest[node])
                if lowest[node] == index[node]:
                    group: list[_Node] = []
                    while not group or group[-1] != node:
                        group.append(pending.pop())
                        waiting.discard(group[-1])
                    found.append(group[::-1])
    return found


def is_cycle(group: list[_Node], successors: Successors[_Node]) -> bool:
    """Tells whether a group is a cycle: several nodes, or one that refers to itself."""
    return len(group) > 1 or group[0] in successors(group[0])


def shortest_cycle(group: list[_Node], successors: Successors[_Node]) -> list[_Node]:
    """Gives a shortest way from the first node of a cyclic group back to it, that node at its start only."""
    start = group[0]
    members = set(group)
    came_from: dict[_Node, _Node] = {}
    level = [start]
    while level:
        following: list[_Node] = []
        for node in level:
            for successor in successors(node):
                if successor == start:
                    way = [node]
                    while way[-1] != start:
                        way.append(came_from[way[-1]])
                    return way[::-1]
                if successor in members and successor not in came_from:
                    came_from[successor] = node
                    following.append(successor)
        level = following
    return group
