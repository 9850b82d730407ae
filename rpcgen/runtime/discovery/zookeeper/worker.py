"""The thread of a registry: the only one that works with ZooKeeper.

It never acts on what an event says, but on what it then sees: each thing that is kept (an
entry, a list) is looked at when it is due, that is after an event, on each new connection,
and at intervals because an event can be missed.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
import typing

from rpcgen.runtime.discovery.zookeeper.probe import Health
from rpcgen.runtime.discovery.zookeeper.session import Away, Refused, Session, State

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.discovery.zookeeper.settings import Settings

_log = logging.getLogger("rpcgen")

LOST_AFTER = 1.0
"""Seconds without a connection before anybody is told: it mostly comes back sooner."""

PROBE = 1.0
"""Seconds between questions why there is no connection."""

PATIENCE = 15.0
"""Seconds that closing may take: only a watcher that waits, or a resolver of names, takes as long."""

_RETRY = 3.0
"""Seconds before something that ZooKeeper refused is tried again."""


class Kept(typing.Protocol):
    """What the thread keeps as it should be: an entry, a list."""

    due: float
    problem: str

    @property
    def name(self) -> str: ...
    @property
    def is_over(self) -> bool: ...
    def void(self) -> None: ...
    def doubt(self) -> None: ...
    def lost(self, problem: str) -> None: ...
    def reconcile(self, session: Session) -> None: ...


Job: typing.TypeAlias = "collections.abc.Callable[[Session], bool]"
"""Done once there is a connection; says whether it is finished, else it is done again."""


class Worker:
    """A session and all that is kept by it.

    Args:
        settings: What to connect to.
        context: For TLS.
    """

    def __init__(self, settings: Settings, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._url = settings.url
        self.session = Session(settings, context, self.wake)
        self._woken = threading.Event()
        self._is_closing = False
        self._lock = threading.Lock()
        self._kept: list[Kept] = []
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._connections = 0
        self._next_probe = 0.0
        self._has_complained = False
        self._patience = LOST_AFTER
        """Seconds that a server that serves may take to take us on; grows, as it may be busy."""
        self.problem = ""
        """Why there is no connection, as far as is known."""
        self._thread = threading.Thread(target=self._run, name="rpcgen-zookeeper", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Makes the thread look at what is due. From any thread."""
        self._woken.set()

    def keep(self, thing: Kept) -> None:
        """Keeps it from now on, until it is over."""
        with self._lock:
            self._kept.append(thing)
        self.wake()

    def do(self, job: Job) -> None:
        """Does it as soon as there is a connection."""
        self._jobs.put(job)
        self.wake()

    def close(self) -> None:
        """Ends the session and the thread; called on that thread, it ends soon."""
        self._is_closing = True
        self.session.interrupt()
        self.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                _log.warning(
                    "%s: its thread is still busy after %g s, and is left alone", self._url, PATIENCE
                )

    def _run(self) -> None:
        wait: float | None = 0.0
        try:
            while not self._is_closing:
                self._woken.wait(wait)
                self._woken.clear()
                try:
                    wait = self._step()
                except Away:
                    wait = 0.05
                except Exception:
                    _log.exception("%s: trying again in 5 s", self._url)
                    wait = 5.0
        finally:
            self.session.close()

    def _step(self) -> float:
        """Does what is due; gives the seconds until something will be."""
        now = time.monotonic()
        if self.session.state is State.IDLE:
            self._next_probe = now + LOST_AFTER
            self.session.open()
        things = self._things()
        if self.session.state is not State.CONNECTED:
            return self._bear(now, things)
        if self._connections != self.session.connections:
            self._connections = self.session.connections
            self._greet(things)
        for thing in things:
            if thing.due <= now:
                self._tend(thing, now)
        for _ in range(self._jobs.qsize()):
            job = self._jobs.get()
            if not job(self.session):
                self._jobs.put(job)
        return max(0.0, min((thing.due for thing in things), default=now + 60) - time.monotonic())

    def _things(self) -> list[Kept]:
        with self._lock:
            self._kept = [thing for thing in self._kept if not thing.is_over]
            return list(self._kept)

    def _greet(self, things: list[Kept]) -> None:
        session = self.session
        if self._has_complained:
            _log.info("%s: connected again", self._url)
        elif self._connections == 1 and session.timeout != self._settings.timeout:
            text = "%s: ZooKeeper grants a session of %g s, not the %g that were asked for"
            _log.info(text, self._url, session.timeout, self._settings.timeout)
        self._has_complained = False
        self._patience = LOST_AFTER
        self.problem = ""
        for thing in things:
            thing.void()

    def _tend(self, thing: Kept, now: float) -> None:
        # Set first: an event that comes meanwhile makes it due again.
        thing.due = now + self._settings.check * random.uniform(0.8, 1.2)
        try:
            thing.reconcile(self.session)
            thing.problem = ""
        except Away:
            thing.due = 0.0
            raise
        except Refused as refused:
            problem = str(refused)
            if thing.problem != problem:
                _log.warning("%s: %s: %s; trying again", self._url, thing.name, problem)
            thing.problem = problem
            thing.lost(problem)
            thing.due = now + _RETRY * random.uniform(0.8, 1.2)

    def _bear(self, now: float, things: list[Kept]) -> float:
        """Waits for a connection: says so, finds out why, and makes a new client where that helps."""
        session = self.session
        away = session.away(now)
        if session.state is State.EXPIRED or away > session.timeout:
            for thing in things:
                thing.doubt()
        if away < LOST_AFTER:
            return LOST_AFTER - away
        if now >= self._next_probe:
            self._next_probe = now + PROBE
            self._diagnose(now, away)
        if self.problem:
            for thing in things:
                thing.lost(self.problem)
        return PROBE / 2

    def _diagnose(self, now: float, away: float) -> None:
        session = self.session
        answers = session.ask_servers()
        if session.state is State.CONNECTED or not answers:
            return
        self.problem = "out of reach: " + "; ".join(map(str, answers))
        if not self._has_complained:
            self._has_complained = True
            _log.warning("%s: %s; entries and lists are kept", self._url, self.problem)
        found = {answer.health for answer in answers} - {Health.UNREACHABLE}
        serving = found & {Health.SERVING, Health.OLDER}
        if serving and session.hang_up(self._patience):
            self._patience *= 2
        # kazoo offers the old session for ever to servers that will never take it.
        if (
            (serving and serving == {Health.OLDER})
            or (serving and now - session.opened > session.timeout and away > session.timeout)
            or (session.is_dead() and now - session.opened > PROBE)
        ):
            _log.info("%s: beginning a new session", self._url)
            session.open()
