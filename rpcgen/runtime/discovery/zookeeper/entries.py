"""A server's entry, brought about and kept.

Whatever may have happened to it (its session expired, somebody deleted it, the answer to its
making was lost), the same look at what is there leads to the same end: one node with our
GUID, owned by our session.
"""

from __future__ import annotations

import enum
import logging
import threading
import time
import typing

from rpcgen.runtime.discovery.zookeeper import layout
from rpcgen.runtime.registry import Instance, Registration

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.session import Session, Stat

_log = logging.getLogger("rpcgen")


class _Stage(enum.Enum):
    WANTED = enum.auto()
    WITHDRAWN = enum.auto()
    """Its owner wants it gone; it may still stand there."""
    GONE = enum.auto()
    ABANDONED = enum.auto()
    """This is a forked child: the entry is its parent's."""


class ZooKeeperRegistration(Registration):
    """A node that is kept until it is closed.

    Args:
        url: Of the registry, for messages.
        parent: The node under which it stands.
        instance: What it says.
        wake: Makes the registry's thread look at it soon; called from any thread.
    """

    def __init__(
        self, url: str, parent: str, instance: Instance, wake: collections.abc.Callable[[], None]
    ) -> None:
        self._url = url
        self._parent = parent
        self._instance = instance
        self._data = instance.encode()
        self._prefix = layout.prefix(instance.address)
        self._wake = wake
        self._born = instance.started or time.time()
        self._stage = _Stage.WANTED
        self._stands = threading.Event()
        """Set while the entry stands, and once it is wanted no more: then there is nothing to wait for."""
        self._gone = threading.Event()
        self._node: str | None = None
        self._session = 0
        self.due = 0.0
        """When the registry's thread must look at it, on the monotonic clock."""
        self.problem = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self._instance.address} under {self._parent}"

    @property
    def is_registered(self) -> bool:
        return self._stage is _Stage.WANTED and self._stands.is_set()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do."""
        return self._stage is _Stage.GONE

    def wait(self, timeout: float | None) -> bool:
        if self._stage is _Stage.WANTED:
            self._stands.wait(timeout)
        return self.is_registered

    def close(self, timeout: float = 2.0) -> bool:
        if self._stage is _Stage.ABANDONED:
            return False
        if self._stage is _Stage.WANTED:
            self._stage = _Stage.WITHDRAWN
        self._stands.set()
        self._changed()
        return self._gone.wait(timeout)

    def end(self) -> None:
        """The session is closed, and the node with it."""
        self._stage = _Stage.GONE
        self._stands.set()
        self._gone.set()

    def abandon(self) -> None:
        """In a forked child: it stays the parent's."""
        self._stage = _Stage.ABANDONED

    def void(self) -> None:
        """There is a new connection: nothing that was watched is watched any more."""
        self.due = 0.0

    def doubt(self) -> None:
        """The session is over, or has been away for so long that it may be."""
        self._stands.clear()

    def lost(self, problem: str) -> None:
        """ZooKeeper is out of reach; until its session ends, the entry stands."""

    def reconcile(self, session: Session) -> None:
        """Brings about what is wanted. On the registry's thread.

        Raises:
            Away: The connection broke; to be called again when there is one.
            Refused: ZooKeeper will not have it; to be called again later.
        """
        if self._stage is not _Stage.WANTED:
            self._withdraw(session)
            return
        if self._node is None or self._session != session.id:
            self._settle(session, is_new=self._session != session.id)
        elif session.stat(f"{self._parent}/{self._node}", self._changed) is not None:
            self._stand()
            return
        else:
            self._stands.clear()
            _log.warning("%s: the entry of %s was deleted; making it anew", self._url, self.name)
            self._settle(session, is_new=False)
        if session.stat(f"{self._parent}/{self._node}", self._changed) is None:
            self.due = 0.0
        else:
            self._stand()

    def _stand(self) -> None:
        if self._stage is _Stage.WANTED:
            self._stands.set()

    def _changed(self, _: object = None) -> None:
        """On any thread."""
        self.due = 0.0
        self._wake()

    def _settle(self, session: Session, *, is_new: bool) -> None:
        """Finds the node of this session or makes it; clears away what older ones left.

        Args:
            session: The session.
            is_new: It has no entry of ours yet. Only then are others' of the same address
                removed: two servers behind one address would do so for ever.
        """
        self._node = None
        number = session.id
        listed = session.children(self._parent)
        names = listed[0] if listed is not None else []
        node = self._adopt(session, names)
        while node is None:
            path = session.create(f"{self._parent}/{self._prefix}", self._data)
            if path is None:
                session.make(self._parent)
            else:
                node = path.rpartition("/")[2]
        if is_new:
            self._evict(session, number, [name for name in names if name != node])
        self._node, self._session = node, number

    def _adopt(self, session: Session, names: collections.abc.Iterable[str]) -> str | None:
        """Gives our node if this session owns one; any other of our GUID goes."""
        node = None
        for name in [name for name in names if name.startswith(self._prefix)]:
            stat = session.stat(f"{self._parent}/{name}")
            if stat is not None and stat.owner == session.id and node is None:
                node = name
            else:
                session.delete(f"{self._parent}/{name}")
        return node

    def _evict(self, session: Session, number: int, names: collections.abc.Iterable[str]) -> None:
        """Deletes entries of our address that an older process left: their session lives on for a while."""
        for name, data, stat in session.read(self._parent, layout.suspects(self._instance.address, names)):
            if stat is not None and stat.owner not in (0, number) and self._succeeds(data, stat):
                _log.info("%s: removing %s, which an older process left at %s", self._url, name, self.name)
                session.delete(f"{self._parent}/{name}")

    def _succeeds(self, data: bytes, stat: Stat) -> bool:
        try:
            other = Instance.decode(data)
        except (ValueError, RecursionError):
            return False
        return other.address == self._instance.address and (other.started or stat.created) <= self._born

    def _withdraw(self, session: Session) -> None:
        names = [self._node]
        if self._node is None or self._session != session.id:
            listed = session.children(self._parent)
            names = [name for name in (listed[0] if listed else ()) if name.startswith(self._prefix)]
        for name in names:
            session.delete(f"{self._parent}/{name}")
        self.end()
