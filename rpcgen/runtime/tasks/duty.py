"""What a master, a worker and a queue have in common: a session's thread that does one thing, again and again.

The thread is that of registries: it connects, finds out why it cannot, and calls ``reconcile`` on
each new connection, when it is woken, and when a time has come.
"""

from __future__ import annotations

import os
import threading
import time
import typing
import weakref

from rpcgen.runtime.closing import Closing
from rpcgen.runtime.discovery.zookeeper import settings
from rpcgen.runtime.discovery.zookeeper.worker import Worker as SessionThread
from rpcgen.runtime.registry import DEFAULT_URL, ENVIRONMENT
from rpcgen.runtime.tasks.layout import Layout

if typing.TYPE_CHECKING:
    from rpcgen.runtime.discovery.zookeeper.session import Session

_stations: weakref.WeakSet[Station] = weakref.WeakSet()
_abandoned: list[SessionThread] = []
"""Those of this process's parents: collecting them would close what is not ours."""


class Duty:
    """What is done with a session, on its thread.

    Args:
        name: What messages call it.
    """

    problem = ""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_over = False
        self.thread: SessionThread | None = None
        self._due = 0.0
        self._is_woken = True

    @property
    def due(self) -> float:
        """When it must be looked at, on the monotonic clock."""
        return 0.0 if self._is_woken else self._due

    @due.setter
    def due(self, due: float) -> None:
        self._due = due

    def wake(self, _: object = None) -> None:
        """Makes the thread look at it soon. From any thread; must not wait."""
        self._is_woken = True
        thread = self.thread
        if thread is not None:
            thread.wake()

    def void(self) -> None:
        """There is a new connection: nothing that was watched is watched any more."""
        self._is_woken = True

    def doubt(self) -> None:
        """The session is over, or has been away for so long that it may be."""

    def lost(self, problem: str) -> None:
        """ZooKeeper is out of reach, or refuses something."""

    def reconcile(self, session: Session) -> None:
        """Does what is due."""
        self._is_woken = False
        try:
            wait = self.turn(session)
        except BaseException:
            self._due = 0.0
            raise
        self._due = time.monotonic() + wait

    def turn(self, session: Session) -> float:
        """Does what is due; gives the seconds until something will be.

        Raises:
            Away: The connection broke; it is called again when there is one.
            Refused: ZooKeeper will not have it; it is called again later.
        """
        raise NotImplementedError


class Station(Closing):
    """A place in ZooKeeper from which tasks are queued, assigned or run. Fork-safe: a child begins anew, or not at all.

    Args:
        url: ``zk://host:port,…/root?option=value``. None: what ``RPCGEN_REGISTRY`` says, else
            ``zk://127.0.0.1:2181/rpc``.

    Raises:
        ValueError: It is none, or an option is unknown or out of its range.
        ImportError: The package kazoo is missing.
    """

    def __init__(self, url: str | None) -> None:
        if url is None:
            url = os.environ.get(ENVIRONMENT) or DEFAULT_URL
        self._settings = settings.read(url, {})
        self._context = self._settings.context()
        self.url = self._settings.url
        """Without options and secrets."""
        self._layout = Layout(self._settings.root)
        self._lock = threading.Lock()
        self._thread: SessionThread | None = None
        self._is_closed = False
        self._closed = threading.Event()
        _stations.add(self)

    @property
    def problem(self) -> str:
        """Why ZooKeeper cannot be worked with now, as far as is known."""
        thread = self._thread
        return "" if thread is None else thread.problem

    @property
    def session(self) -> tuple[int, bytes] | None:
        """The session's number and password, as kazoo's ``client_id``; None without a connection."""
        thread = self._thread
        return None if thread is None else thread.session.identity

    def _working(self, duty: Duty) -> SessionThread:
        """Gives the thread that does the duty; begins it if need be. With the lock held."""
        if self._is_closed:
            raise RuntimeError(f"this {type(self).__name__} of {self.url} is closed: make another")
        if self._thread is None:
            thread = self._thread = duty.thread = SessionThread(self._settings, self._context)
            thread.keep(duty)
        return self._thread

    def _end(self) -> None:
        """Ends the thread and the session; must not be called with the lock held."""
        with self._lock:
            self._is_closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def _fork(self) -> None:
        """In a forked child: what the parent has is left alone."""
        if self._thread is not None:
            self._thread.session.abandon()
            _abandoned.append(self._thread)
        self._thread = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"


def _forked() -> None:
    for station in list(_stations):
        station._fork()


os.register_at_fork(after_in_child=_forked)
