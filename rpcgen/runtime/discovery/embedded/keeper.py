"""The client's thread and its connection, in one process.

Callers change the session under the lock, wake the thread and wait, if they must, for the
session's word; the thread alone connects, sends, receives and publishes, without the lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import select
import socket
import threading
import time

from rpcgen.runtime.address import Address
from rpcgen.runtime.backoff import backoff
from rpcgen.runtime.discovery.embedded.protocol import Lines
from rpcgen.runtime.discovery.embedded.session import Enrolment, Publish, Session, Stand
from rpcgen.runtime.errors import CallError
from rpcgen.runtime.registry import Changed, Watch
from rpcgen.runtime.sync.client.dial import dial

_log = logging.getLogger("rpcgen")

FIRST_PAUSE = 0.05
"""Seconds before the second try to connect."""

CONNECT_TIME = 3.0
"""Seconds that connecting may take."""
CLOSE_TIME = 2.0
"""Seconds that the registry is waited for when everything is closed."""
MAX_ANSWER = 1 << 30
"""Bytes of a line from the registry: its list may be long."""


class Keeper:
    """The thread of a registry's client, what it keeps there, and its connection.

    Args:
        address: The registry's.
        url: For messages.
        timeout: Seconds after which an entry expires.
        token: The registry's own.
    """

    def __init__(self, address: Address, url: str, timeout: float, token: str | None) -> None:
        self._address = address
        self._url = url
        self._pid = os.getpid()
        self.changed = threading.Condition()
        """Guards the session; notified when where an entry stands may have changed."""
        self.session = Session(timeout, token, min(5.0, max(1.0, timeout / 2)))
        self._is_hurried = False
        """Whether someone waits for the registry: then the next try to connect is made at once."""
        self._closed = False
        self._reach: bool | None = None
        """Whether the registry answers; None: that is not known yet."""
        self._sock: socket.socket | None = None
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        # A daemon: a host name's server that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="rpcgen-registry", daemon=True)
        self._thread.start()

    @property
    def is_ours(self) -> bool:
        """Whether this process made it, rather than the one that it was forked from."""
        return self._pid == os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether the thread that asks is the registry's own, which cannot wait for itself."""
        return threading.current_thread() is self._thread

    def register(self, enrolment: Enrolment) -> None:
        """Keeps an entry in the registry from now on."""
        with self.changed:
            self.session.enrol(enrolment)
        self.wake()

    def watch(self, key: str, on_change: Changed | None) -> Watch:
        """Publishes the list of a key from now on."""

        def leave() -> None:
            if self.is_ours:
                with self.changed:
                    self.session.unwatch(key, watch)

        watch = Watch(on_change, leave)
        with self.changed:
            self.session.watch(key, watch)
        self.wake()
        return watch

    def withdraw(self, enrolments: list[Enrolment], timeout: float) -> None:
        """Withdraws entries and waits for the registry's word, for so many seconds at most."""
        with self.changed:
            for enrolment in enrolments:
                self.session.withdraw(enrolment)
            self._is_hurried = True
            self.wake()
            if not self.is_here:
                self.changed.wait_for(lambda: all(kept.stand is Stand.GONE for kept in enrolments), timeout)
                for enrolment in enrolments:
                    self.session.forget(enrolment)

    def wake(self) -> None:
        """Has the thread look at the session."""
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it needs to know nothing
            self._waker.send(b"\0")

    def close(self) -> None:
        """Withdraws all, ends the watches and the thread."""
        if not self.is_ours:
            self.release()
            return
        with self.changed:
            enrolments, watches = self.session.enrolments, self.session.watches
        if enrolments:
            self.withdraw(enrolments, CLOSE_TIME)
        self._closed = True
        self.wake()
        for watch in watches:
            watch.close()
        if not self.is_here:
            self._thread.join(CONNECT_TIME + 1.0)

    def release(self) -> None:
        """Closes the descriptors."""
        for sock in (self._sock, self._woken, self._waker):
            if sock is not None:
                sock.close()

    def _run(self) -> None:
        try:
            failures = 0
            while not self._closed:
                was_connected = False
                problem = ""
                try:
                    with dial(self._address, time.monotonic() + CONNECT_TIME) as self._sock:
                        was_connected = True
                        self._converse(self._sock)
                except CallError as error:
                    problem = error.problem
                except (OSError, ValueError) as error:
                    problem = str(error) or type(error).__name__
                except Exception as error:
                    _log.exception("the registry's client failed")
                    problem = repr(error)
                if self._closed:
                    return
                with self.changed:
                    if self._reach is not False:
                        _log.warning("the registry %s is away: %s", self._url, problem)
                    if self._reach:
                        failures = 0
                    self._reach = False
                    told = self.session.lost(problem, was_connected=was_connected)
                    self.changed.notify_all()
                _publish(told)
                failures += 1
                self._rest(time.monotonic() + backoff(failures, random.random, FIRST_PAUSE))
        finally:
            self.release()

    def _rest(self, end: float) -> None:
        """Waits before the next try, as long as nobody is in a hurry; tells new watches how it stands."""
        while (wait := end - time.monotonic()) > 0 and not self._closed:
            with self.changed:
                told = self.session.greet()
                hurry, self._is_hurried = self._is_hurried, False
            _publish(told)
            if hurry:
                return
            self._wait(None, wait, False)

    def _converse(self, sock: socket.socket) -> None:
        """Uses a connection until it is lost, which some error says.

        Raises:
            OSError, ValueError: Why it is of no use any more.
        """
        sock.setblocking(False)
        lines = Lines(MAX_ANSWER)
        unsent = bytearray()
        with self.changed:
            self.session.connected(time.monotonic())
        while not self._closed:
            with self.changed:
                new, wake, told = self.session.due(time.monotonic())
                self._is_hurried = False
            _publish(told)
            unsent += b"".join(new)
            if unsent:
                with contextlib.suppress(BlockingIOError):
                    del unsent[: sock.send(unsent)]
            if not self._wait(sock, wake - time.monotonic(), bool(unsent)):
                continue
            try:
                data = sock.recv(1 << 18)
            except BlockingIOError:
                continue
            if not data:
                raise ConnectionResetError("it closed the connection")
            lines.feed(data)
            whole = list(iter(lines.next, None))
            with self.changed:
                told = self.session.received(whole, time.monotonic())
                self.changed.notify_all()
            _publish(told)
            if whole and not self._reach:
                if self._reach is False:
                    _log.info("the registry %s is there again", self._url)
                self._reach = True

    def _wait(self, sock: socket.socket | None, seconds: float, can_send: bool) -> bool:
        """Waits until it is woken or the socket is ready; says whether something can be received."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if sock is not None:
            poll.register(sock, select.POLLIN | (select.POLLOUT if can_send else 0))
        ready = dict(poll.poll(max(0.0, seconds) * 1000 + 1))
        if self._woken.fileno() in ready:
            self._woken.recv(4096)
        return sock is not None and bool(ready.get(sock.fileno(), 0) & ~select.POLLOUT)


def _publish(told: list[Publish]) -> None:
    for tell in told:
        tell()
