"""The registry as a server: asyncio around the registrar. One loop, hence one writer.

    NEW ──bind──▶ BOUND ──serve, start──▶ SERVING ──close──▶ CLOSED

Time in which the process did not run (SIGSTOP, a suspended machine) does not count: the renewals
that came meanwhile wait in sockets, and nothing may expire before they are read.
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import enum
import ipaddress
import os
import queue
import resource
import signal
import socket
import threading
import time
import typing

from rpcgen.runtime.address import Address
from rpcgen.runtime.closing import Closing
from rpcgen.runtime.discovery.embedded.connections import Connection, Connections
from rpcgen.runtime.discovery.embedded.journal import Journal
from rpcgen.runtime.discovery.embedded.protocol import DEFAULT_PORT
from rpcgen.runtime.discovery.embedded.registrar import Registrar
from rpcgen.runtime.sync.server.listen import address_of, listen

TICK = 0.25
"""Seconds between two looks at what has expired or waits too long."""
STALL = 1.0
"""Seconds between two looks that are taken for a process that was stopped."""
_SPARE_DESCRIPTORS = 64
_BACKLOG = 4096
"""After a restart everybody comes at once."""


class RunningClock:
    """Seconds in which this process ran. Must be read at least every ``STALL`` seconds.

    Args:
        clock: The one that goes on while the process is stopped.
    """

    def __init__(self, clock: collections.abc.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._stopped = 0.0

    def __call__(self) -> float:
        now = self._clock()
        if now - self._last > STALL:
            self._stopped += now - self._last
        self._last = now
        return now - self._stopped


class _State(enum.Enum):
    NEW = "is not bound"
    BOUND = "is bound"
    SERVING = "serves already"
    CLOSED = "is closed"


class RegistryServer(Closing):
    """The embedded registry's server; ``rpcgen registry`` runs one.

    ``with RegistryServer(port=0) as registry: …`` serves in a thread of its own, and
    ``registry.url`` is what clients are given.

    Args:
        host: A name or an address to listen at, ``""`` for all.
        port: 0 takes a free one.
        data: A folder that keeps the entries through a restart; None: they are in memory only.
        token: Which clients must show; None: none need to.
        max_connections: Further ones are refused. None: as many as the process may have files.

    Raises:
        ValueError: Host and port name no address.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        data: str | os.PathLike[str] | None = None,
        token: str | None = None,
        max_connections: int | None = None,
    ) -> None:
        self._wanted = Address.of(host, port)
        self._data = data
        self._token = token or None
        self._max_connections = max_connections
        self._lock = threading.Lock()
        self._state = _State.NEW
        self._listener: socket.socket | None = None
        self._registrar: Registrar | None = None
        self._address: Address | None = None
        self._clock = RunningClock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> Address:
        """Where it listens, with the port that it really has.

        Raises:
            RuntimeError: It is not bound yet.
        """
        if self._address is None:
            raise RuntimeError("the registry is not bound yet: call bind(), start() or serve() first")
        return self._address

    @property
    def port(self) -> int:
        """The port of ``address``."""
        return self.address.port

    @property
    def url(self) -> str:
        """What clients on this machine are given, without the token; see ``address`` for its errors."""
        return registry_url(self.address)

    def bind(self) -> Address:
        """Begins to listen and reads the folder; requests are answered from ``serve`` or ``start`` on.

        Raises:
            OSError: The address is in use or not this machine's, or the folder cannot be written to.
            FolderInUse: Another registry has the folder.
            RuntimeError: The registry is closed.
        """
        with self._lock:
            if self._state is _State.CLOSED:
                raise RuntimeError("the registry is closed: make another")
            if self._state is _State.NEW:
                listener = listen(self._wanted, _BACKLOG)
                journal: Journal | None = None
                try:
                    if self._data is not None:
                        journal = Journal(self._data)
                    self._registrar = Registrar(self._token, journal, self._clock())
                except BaseException:
                    listener.close()
                    if journal is not None:
                        journal.close()
                    raise
                self._listener = listener
                self._address = address_of(listener)
                self._state = _State.BOUND
        return self.address

    def serve(self, ready: collections.abc.Callable[[], None] | None = None) -> None:
        """Serves until ``close`` or, in the main thread, until SIGINT or SIGTERM.

        Args:
            ready: Called once requests are answered.

        Raises:
            OSError, FolderInUse: As ``bind``.
            RuntimeError: The registry serves already or is closed.
        """
        self._begin()
        self._run(ready)

    def start(self) -> typing.Self:
        """Serves in a thread of its own and returns when requests are answered. Raises as ``serve``."""
        self._begin()
        begun: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def run() -> None:
            try:
                self._run(lambda: begun.put(None))
            except BaseException as error:
                begun.put(error)

        self._thread = threading.Thread(target=run, name="rpcgen-registry-server", daemon=True)
        self._thread.start()
        failure = begun.get()
        if failure is not None:
            raise failure
        return self

    def close(self) -> None:
        """Closes every connection and stops; what is registered stays in the folder. Again is harmless."""
        with self._lock:
            state, loop, end = self._state, self._loop, self._end
            self._state = _State.CLOSED
            if state is _State.BOUND:
                self._release()
            elif loop is not None and end is not None:
                loop.call_soon_threadsafe(end.set)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> typing.Self:
        return self.start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._address or self._wanted}, {self._state.name.lower()}>"

    def _begin(self) -> None:
        self.bind()
        with self._lock:
            if self._state is not _State.BOUND:
                raise RuntimeError(f"the registry {self._state.value}")
            self._state = _State.SERVING

    def _run(self, ready: collections.abc.Callable[[], None] | None) -> None:
        try:
            asyncio.run(self._serve(ready))
        finally:
            with self._lock:
                self._state = _State.CLOSED
                self._loop = None
                self._release()

    def _release(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._registrar is not None:
            self._registrar.close()

    async def _serve(self, ready: collections.abc.Callable[[], None] | None) -> None:
        assert self._listener is not None
        assert self._registrar is not None
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._loop, self._end = loop, end
            if self._state is _State.CLOSED:
                end.set()
        connections = Connections(self._registrar, self._clock, self._most_connections())
        server = await loop.create_server(
            lambda: Connection(connections), sock=self._listener, backlog=_BACKLOG
        )
        with _ending_on_signals(loop, end):
            if ready is not None:
                ready()
            try:
                while not end.is_set():
                    connections.tick()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(end.wait(), TICK)
            finally:
                server.close()
                connections.close()
                # Transports close their sockets in the turns after.
                while connections.open:
                    await asyncio.sleep(0)

    def _most_connections(self) -> int:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = max(1, files - _SPARE_DESCRIPTORS)
        return most if self._max_connections is None else min(most, self._max_connections)


@contextlib.contextmanager
def _ending_on_signals(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> collections.abc.Iterator[None]:
    """Sets the event on SIGINT and SIGTERM, in the main thread; elsewhere signals are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        loop.add_signal_handler(number, end.set)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def registry_url(address: Address) -> str:
    """Gives the URL of a registry that listens at the address: for all, this machine's name."""
    host = address.host
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            host = socket.gethostname()
    return f"registry://[{host}]:{address.port}" if ":" in host else f"registry://{host}:{address.port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
