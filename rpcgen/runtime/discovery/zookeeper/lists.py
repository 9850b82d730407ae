"""The list of a service, followed for its watches.

Entries are kept by the name of their node, which never comes back with other content: a
change costs one reading of the names, and one of each entry that is new.
"""

from __future__ import annotations

import collections
import logging
import time
import typing

from rpcgen.runtime.discovery.zookeeper import layout
from rpcgen.runtime.registry import Instance, Snapshot, Watch

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.session import Child, Session, Stat

_log = logging.getLogger("rpcgen")


class ServiceList:
    """What stands under one parent.

    Args:
        url: Of the registry, for messages.
        parent: The node whose children are the entries.
        wake: Makes the registry's thread look at it soon; called from any thread.
    """

    def __init__(self, url: str, parent: str, wake: collections.abc.Callable[[], None]) -> None:
        self._url = url
        self._parent = parent
        self._wake = wake
        self._known: dict[str, Instance] = {}
        """By the names of their nodes, in the order in which those were made."""
        self._skipped: set[str] = set()
        """The names of nodes that are no entries."""
        self._addresses: collections.Counter[str] = collections.Counter()
        """How many of the known have an address: mostly one."""
        self._stat: Stat | None = None
        self._is_stale = True
        self._is_live = False
        self.watches: tuple[Watch, ...] = ()
        """Replaced, never changed, by whoever holds the registry's lock."""
        self._told: tuple[Watch, ...] = ()
        self.due = 0.0
        """When the registry's thread must look at it, on the monotonic clock."""
        self.problem = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the list of {self._parent}"

    @property
    def is_over(self) -> bool:
        """Whether nobody watches it any more."""
        return not self.watches

    def void(self) -> None:
        """There is a new connection: nothing that was watched is watched any more."""
        self._is_stale = True
        self.due = 0.0

    def doubt(self) -> None:
        """The session is over; the list is as good as it was."""

    def lost(self, problem: str) -> None:
        """Tells that the list may be old, and why."""
        self._is_live = False
        self._told = ()
        for watch in self.watches:
            watch.lost(problem)

    def reconcile(self, session: Session) -> None:
        """Reads what is new and tells the watches. On the registry's thread.

        Raises:
            Away: The connection broke; to be called again when there is one.
            Refused: It may not be read; to be called again later.
        """
        if not self._is_stale:
            now = session.stat(self._parent)
            self._is_stale = now != self._stat
        changed = False
        if self._is_stale:
            self._is_stale = False
            try:
                changed = self._read(session)
            except BaseException:
                self._is_stale = True
                raise
        self._tell(changed)

    def _tell(self, changed: bool) -> None:
        watches = self.watches
        anew = changed or not self._is_live
        self._is_live = True
        waiting = [watch for watch in watches if anew or watch not in self._told]
        if waiting:
            instances = tuple(self._known.values())
            for watch in waiting:
                if len(self._addresses) == len(instances):
                    watch.publish(Snapshot(instances, live=True, at=time.monotonic()))
                else:
                    watch.found(instances)
        self._told = watches

    def _changed(self, _: object) -> None:
        """On kazoo's thread."""
        self._is_stale = True
        self.due = 0.0
        self._wake()

    def _read(self, session: Session) -> bool:
        listed = session.children(self._parent, self._changed)
        if listed is None:
            # Readers make nothing: they wait for the first server to do it.
            if session.stat(self._parent, self._changed) is not None:
                self._changed(None)
            self._stat = None
            changed = bool(self._known)
            self._forget(list(self._known))
            return changed
        names, stat = listed
        if self._stat is not None and stat.born != self._stat.born:
            # Made anew, it counts from 0 again: old names can stand for new entries.
            self._forget(list(self._known))
            self._skipped.clear()
        current = set(names)
        gone = [name for name in self._known if name not in current]
        self._skipped &= current
        strange = (name for name in names if name not in self._known and name not in self._skipped)
        new = layout.entries(strange)
        read = [(child.name, self._decode(child)) for child in session.read(self._parent, new)]
        # Nothing is known of what was not read to the end.
        self._forget(gone)
        for name, instance in read:
            if instance is None:
                self._skipped.add(name)
            else:
                self._known[name] = instance
                self._addresses[instance.address] += 1
        self._stat = stat
        return bool(gone or read)

    def _forget(self, names: collections.abc.Iterable[str]) -> None:
        for name in names:
            address = self._known.pop(name).address
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    def _decode(self, child: Child) -> Instance | None:
        try:
            if child.stat is None:
                raise ValueError("it may not be read")
            return Instance.decode(child.data)
        except (ValueError, RecursionError) as error:
            _log.warning("%s: %s/%s is skipped: %s", self._url, self._parent, child.name, error)
            return None
