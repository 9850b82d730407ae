"""What a session is asked, as values: reads, and writes that happen together or not at all.

They are data, so that what decides on them needs no ZooKeeper; ``Session.gather`` sends them.
"""

from __future__ import annotations

import enum
import typing

from rpcgen.runtime.records import Record

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.session import Stat

    Watcher: typing.TypeAlias = collections.abc.Callable[[object], None]


class Get(Record):
    """Asks for a node. Answered by a ``Node``, or None: it is not there (and then it is not watched)."""

    path: str
    watch: Watcher | None = None


class Exists(Record):
    """Asks whether a node is there. Answered by a ``Stat`` or None; watched either way."""

    path: str
    watch: Watcher | None = None


class Children(Record):
    """Asks for the names of a node's children. Answered by a list, or None: it is not there (and not watched)."""

    path: str
    watch: Watcher | None = None


class Create(Record):
    """Makes a node."""

    path: str
    data: bytes = b""
    ephemeral: bool = False


class Put(Record):
    """Sets a node's data, which is then at the next version."""

    path: str
    data: bytes
    version: int


class Delete(Record):
    """Deletes a node."""

    path: str
    version: int = -1


class Check(Record):
    """Lets the others happen only while a node's data is at a version."""

    path: str
    version: int


Operation: typing.TypeAlias = Create | Put | Delete | Check


class Commit(Record):
    """Does all of this, in order, or nothing. Answered by an ``Outcome``."""

    operations: tuple[Operation, ...]


Ask: typing.TypeAlias = Get | Exists | Children | Commit


class Node(Record):
    """A node that was read.

    Args:
        data: What it holds.
        stat: What it is; None where it may not be read.
    """

    data: bytes
    stat: Stat | None


class Problem(enum.Enum):
    """Why an operation was refused."""

    NO_NODE = enum.auto()
    EXISTS = enum.auto()
    VERSION = enum.auto()
    NOT_EMPTY = enum.auto()
    NOT_ALLOWED = enum.auto()
    OTHER = enum.auto()


class Outcome(Record):
    """What became of a ``Commit``.

    Args:
        problem: Why nothing of it was done; None: all of it was.
        at: The index of the operation that was refused.
        said: ZooKeeper's own word.
    """

    problem: Problem | None = None
    at: int = -1
    said: str = ""

    @property
    def is_done(self) -> bool:
        return self.problem is None


DONE: typing.Final = Outcome()
