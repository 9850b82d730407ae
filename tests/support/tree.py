"""A ZooKeeper in memory, for what needs no threads: nodes, versions, sessions, watches, writes that belong together.

A test plays all its clients in one thread, and may end a session, or let a connection break before or
after any write.
"""

from __future__ import annotations

import collections
import typing

from rpcgen.runtime.discovery.zookeeper.asked import (
    DONE,
    Ask,
    Check,
    Children,
    Commit,
    Create,
    Delete,
    Exists,
    Get,
    Node,
    Operation,
    Outcome,
    Problem,
    Put,
)
from rpcgen.runtime.discovery.zookeeper.session import Away, Stat

Watcher: typing.TypeAlias = typing.Callable[[object], None]


class _Node:
    def __init__(self, data: bytes, owner: int, zxid: int, now: float) -> None:
        self.data = data
        self.owner = owner
        self.born = zxid
        self.created = self.modified = now
        self.version = 0
        self.changed = zxid
        self.children: set[str] = set()


class Refusal(Exception):
    """An operation is refused."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


class Tree:
    """All nodes of a ZooKeeper."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        """Seconds since 1970; a test moves it."""
        self._zxid = 0
        self._session = 0
        self._nodes: dict[str, _Node] = {"": _Node(b"", 0, 0, self.now)}
        self._watches: dict[tuple[str, str], list[tuple[int, Watcher]]] = collections.defaultdict(list)
        self.log: list[tuple[int, Operation]] = []
        """Session and operation, of all that was done."""

    def session(self) -> TreeSession:
        """Begins a session."""
        self._session += 1
        return TreeSession(self, self._session)

    def expire(self, session: TreeSession) -> None:
        """Ends a session and what lives with it."""
        session.is_over = True
        self.drop_watches(session.id)
        for path in [path for path, node in self._nodes.items() if node.owner == session.id]:
            self._zxid += 1
            self._delete(path)

    def drop_watches(self, session: int) -> None:
        """As when a connection breaks."""
        for watches in self._watches.values():
            watches[:] = [one for one in watches if one[0] != session]

    def children(self, path: str) -> list[str]:
        return sorted(self._nodes[path].children) if path in self._nodes else []

    def get(self, path: str) -> bytes | None:
        node = self._nodes.get(path)
        return None if node is None else node.data

    def version(self, path: str) -> int:
        return self._nodes[path].version

    def paths(self) -> list[str]:
        return sorted(path for path in self._nodes if path)

    def commit(self, session: int, operations: typing.Sequence[Operation]) -> Outcome:
        """Does all of it or nothing."""
        self._zxid += 1
        undo: list[typing.Callable[[], None]] = []
        told: list[tuple[str, str]] = []
        for at, operation in enumerate(operations):
            try:
                self._do(session, operation, undo, told)
            except Refusal as refusal:
                for one in reversed(undo):
                    one()
                return Outcome(refusal.problem, at, refusal.problem.name)
        self.log += [(session, operation) for operation in operations]
        self._tell(told)
        return DONE

    def _do(
        self,
        session: int,
        operation: Operation,
        undo: list[typing.Callable[[], None]],
        told: list[tuple[str, str]],
    ) -> None:
        path = operation.path
        parent = self._nodes.get(path.rpartition("/")[0])
        node = self._nodes.get(path)
        if isinstance(operation, Create):
            if parent is None:
                raise Refusal(Problem.NO_NODE)
            if node is not None:
                raise Refusal(Problem.EXISTS)
            self._nodes[path] = _Node(
                operation.data, session if operation.ephemeral else 0, self._zxid, self.now
            )
            parent.children.add(path.rpartition("/")[2])
            undo.append(lambda: self._forget(path))
            told += [("node", path), ("children", path.rpartition("/")[0])]
            return
        if node is None:
            raise Refusal(Problem.NO_NODE)
        if operation.version not in (-1, node.version):
            raise Refusal(Problem.VERSION)
        if isinstance(operation, Delete):
            if node.children:
                raise Refusal(Problem.NOT_EMPTY)
            self._forget(path)

            def restore(node: _Node = node) -> None:
                self._nodes[path] = node
                self._nodes[path.rpartition("/")[0]].children.add(path.rpartition("/")[2])

            undo.append(restore)
            told += [("node", path), ("children", path), ("children", path.rpartition("/")[0])]
        elif isinstance(operation, Put):
            before = (node.data, node.version, node.modified)
            node.data, node.version, node.modified = operation.data, node.version + 1, self.now

            def reset(node: _Node = node) -> None:
                node.data, node.version, node.modified = before

            undo.append(reset)
            told.append(("node", path))
        else:
            assert isinstance(operation, Check)

    def _forget(self, path: str) -> None:
        del self._nodes[path]
        self._nodes[path.rpartition("/")[0]].children.discard(path.rpartition("/")[2])

    def _delete(self, path: str) -> None:
        self._forget(path)
        self._tell([("node", path), ("children", path), ("children", path.rpartition("/")[0])])

    def _tell(self, told: list[tuple[str, str]]) -> None:
        for key in dict.fromkeys(told):
            for _, watcher in self._watches.pop(key, ()):
                watcher(None)

    def ask(self, session: int, ask: Ask) -> typing.Any:
        """Gives the answer."""
        if isinstance(ask, Commit):
            return self.commit(session, ask.operations)
        node = self._nodes.get(ask.path)
        if ask.watch is not None and (node is not None or isinstance(ask, Exists)):
            kind = "children" if isinstance(ask, Children) else "node"
            watches = self._watches[kind, ask.path]
            if (session, ask.watch) not in watches:
                watches.append((session, ask.watch))
        if node is None:
            return None
        if isinstance(ask, Get):
            return Node(node.data, self._stat(node))
        return sorted(node.children) if isinstance(ask, Children) else self._stat(node)

    def _stat(self, node: _Node) -> Stat:
        born = (node.born, int(node.created * 1000))
        return Stat(node.owner, born, 0, node.created, node.modified, node.version, len(node.children))


class TreeSession:
    """One client's session; what a ``Session`` is to masters, workers and queues."""

    timeout = 10.0

    def __init__(self, tree: Tree, number: int) -> None:
        self.tree = tree
        self.id = number
        self.is_over = False
        self.connections = 1
        self.breaks_after: int | None = None
        """Writes after which the connection breaks: the answer to the last one is lost."""
        self.writes = 0

    def gather(self, asks: typing.Iterable[Ask]) -> list[typing.Any]:
        answers = []
        for ask in asks:
            if self.is_over:
                raise Away
            if isinstance(ask, Commit):
                if self.breaks_after == 0:
                    self.tree.drop_watches(self.id)
                    raise Away
                answers.append(self.tree.ask(self.id, ask))
                self.writes += 1
                if self.breaks_after is not None:
                    self.breaks_after -= 1
                    if self.breaks_after == 0:
                        self.tree.drop_watches(self.id)
                        raise Away
            else:
                answers.append(self.tree.ask(self.id, ask))
        return answers

    def stat(self, path: str) -> Stat | None:
        stat: Stat | None = self.gather([Exists(path)])[0]
        return stat

    def make(self, path: str) -> None:
        for at, letter in enumerate(f"{path}/"):
            if letter == "/" and at and self.tree.get(path[:at]) is None:
                self.tree.commit(self.id, (Create(path[:at]),))

    def delete(self, path: str) -> None:
        self.gather([Commit((Delete(path),))])

    def away(self, _: float) -> float:
        return 0.0
