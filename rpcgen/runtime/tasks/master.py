"""A master as a program sees it: it stands for election, and leads when it is elected.

Electing is one write: the master's node and a new version of the epoch. Each later write of the
master checks that version, so that one which was stopped and resumes writes nothing.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import typing

from rpcgen.runtime.discovery.zookeeper.asked import Commit, Create, Exists, Get, Put
from rpcgen.runtime.tasks.duty import Duty, Station
from rpcgen.runtime.tasks.envelopes import KEEP
from rpcgen.runtime.tasks.leading import CHECK, Deposed, Leading
from rpcgen.runtime.tasks.picture import MOST_ENDED, Picture
from rpcgen.runtime.tasks.records import Stage

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.asked import Node, Outcome
    from rpcgen.runtime.discovery.zookeeper.session import Session, Stat
    from rpcgen.runtime.tasks.layout import Layout

_log = logging.getLogger("rpcgen")

STEP_DOWN = 2 / 3
"""Of a session's length without a connection, after which a master leads no more: another may by then."""


class Mastering(Duty):
    """Stands for election, and leads.

    Args:
        url: For messages.
        layout: Where things stand.
        picture: Makes an empty picture.
        clock: Gives seconds since 1970.
    """

    def __init__(
        self,
        url: str,
        layout: Layout,
        picture: collections.abc.Callable[[], Picture],
        clock: collections.abc.Callable[[], float] = time.time,
    ) -> None:
        super().__init__(f"the master of {url}")
        self._url = url
        self._layout = layout
        self._picture = picture
        self._clock = clock
        self._data = json.dumps(
            {"host": socket.gethostname(), "pid": os.getpid(), "started": time.time()}
        ).encode()
        self._is_unsure = True
        """Whether it leads is to be seen in ZooKeeper."""
        self._is_built = False
        self.leading: Leading | None = None
        self.leads = threading.Event()

    def void(self) -> None:
        super().void()
        # What was under way is neither done nor undone: everything is read again.
        self.leading, self._is_unsure, self._is_built = None, True, False

    def doubt(self) -> None:
        self._step_down("its session may be over")

    def lost(self, problem: str) -> None:
        thread = self.thread
        if thread is not None and is_long_away(thread.session):
            self._step_down(problem)

    def turn(self, session: Session) -> float:
        if self._is_unsure:
            self._is_unsure = False
            try:
                self._stand(session)
            except BaseException:
                self._is_unsure = True
                raise
        if self.leading is None:
            return CHECK
        try:
            return self.leading.turn(session)
        except Deposed as deposed:
            self._step_down(str(deposed))
            self._is_unsure = True
            return 0.0
        except BaseException:
            self.leading, self._is_unsure = None, True
            raise

    def _stand(self, session: Session) -> None:
        """Sees who leads, and stands for election where nobody does."""
        layout = self._layout
        if not self._is_built:
            for path in layout.parents:
                session.make(path)
            self._is_built = True
        epoch: Node | None
        master: Stat | None
        # The epoch first: while the master is ours, nobody sets it.
        epoch, master = session.gather([Get(layout.epoch), Exists(layout.master, self._master_changed)])
        if epoch is None or epoch.stat is None:
            self._is_built = False
            self._master_changed(None)
            return
        version = epoch.stat.version
        if master is None:
            create = Create(layout.master, self._data, ephemeral=True)
            elect = Commit((create, Put(layout.epoch, self._data, version)))
            outcome: Outcome
            outcome, master = session.gather([elect, Exists(layout.master, self._master_changed)])
            if not outcome.is_done:
                self._master_changed(None)
                return
            version += 1
        if master is None or master.owner != session.id:
            if self.leading is not None or self.leads.is_set():
                self._step_down("another one leads")
            return
        if self.leading is None:
            self.leading = Leading(layout, version, self._picture(), self.wake, self._clock)
            if not self.leads.is_set():
                _log.info("%s: this master leads, with epoch %d", self._url, version)
            self.leads.set()

    def _master_changed(self, _: object) -> None:
        """On any thread."""
        self._is_unsure = True
        self.wake()

    def _step_down(self, why: str) -> None:
        self.leading = None
        if self.leads.is_set():
            self.leads.clear()
            _log.warning("%s: this master leads no more: %s", self._url, why)


def is_long_away(session: Session) -> bool:
    """Says whether so much of the session has gone by without a connection that another master may lead."""
    return session.away(time.monotonic()) >= STEP_DOWN * session.timeout


class Master(Station):
    """Assigns queued tasks to workers. Several may stand for it: one leads, the others take over.

    It works in the background from ``start`` (or ``with``) to ``close``. Where ZooKeeper is out of reach it
    waits; past two thirds of its session it leads no more, until it has seen that nobody else does.

    Args:
        url: ``zk://host:port,…/root?option=value``; the options are those of ``rpc.ZooKeeperRegistry``. None:
            what ``RPCGEN_REGISTRY`` says, else ``zk://127.0.0.1:2181/rpc``.
        keep_foreign: Seconds that tasks without a header of ours stay after their end.
        most_ended: Ended tasks that stay; beyond it the oldest go before their time.

    Raises:
        ValueError: The URL or an option is none.
        ImportError: The package kazoo is missing.
    """

    def __init__(
        self, url: str | None = None, *, keep_foreign: float = KEEP, most_ended: int = MOST_ENDED
    ) -> None:
        if not keep_foreign >= 0 or not most_ended >= 0:
            raise ValueError("keep_foreign is seconds, most_ended a number of tasks: neither is below 0")
        super().__init__(url)
        self._duty = Mastering(
            self.url, self._layout, lambda: Picture(keep_foreign=keep_foreign, most_ended=most_ended)
        )

    def start(self) -> None:
        """Begins, in the background. Again is harmless.

        Raises:
            RuntimeError: It is closed.
        """
        with self._lock:
            self._working(self._duty)

    def serve(self) -> None:
        """Starts, and returns when it is closed."""
        self.start()
        self._closed.wait()

    @property
    def is_leader(self) -> bool:
        """Whether this one leads, as far as it may believe so."""
        thread = self._thread
        return thread is not None and self._duty.leads.is_set() and not is_long_away(thread.session)

    def wait(self, timeout: float | None) -> bool:
        """Waits until this one leads, for so many seconds (None: for ever); says whether it does."""
        self._duty.leads.wait(timeout)
        return self.is_leader

    def counts(self) -> dict[str, int]:
        """Gives how many tasks wait, run and have ended, as the leader sees it; nothing where another leads."""
        leading = self._duty.leading
        if leading is None or not self.is_leader:
            return {}
        counts = leading.picture.counts
        return {
            "waiting": counts[Stage.UNREAD] + counts[Stage.WAITING],
            "running": counts[Stage.RUNNING] + counts[Stage.DOUBTED],
            "ended": counts[Stage.ENDED],
            "left": counts[Stage.LEFT],
        }

    def close(self) -> None:
        """Ends leading: another one is elected at once. Again is harmless."""
        self._end()
        self._duty.leads.clear()
        self._closed.set()

    def _fork(self) -> None:
        super()._fork()
        self._is_closed = True
        self._duty.leads.clear()
        self._closed.set()

    def __enter__(self) -> typing.Self:
        self.start()
        return self
