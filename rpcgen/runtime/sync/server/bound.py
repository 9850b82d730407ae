"""What servers of every kind are before they serve: the options that all have, and a socket that listens.

    NEW ──bind──▶ BOUND ──serve, start──▶ SERVING ──shutdown, signal──▶ CLOSED

Which moves there are is the same for all; how they serve and stop is each server's own.
"""

from __future__ import annotations

import enum
import typing

from rpcgen.runtime.address import Address
from rpcgen.runtime.contracts import fingerprint_of
from rpcgen.runtime.records import Record
from rpcgen.runtime.sync.server.announcing import ANNOUNCED, announced_by, check_stubs, draining, introduction
from rpcgen.runtime.transport import server_transport
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS

if typing.TYPE_CHECKING:
    import collections.abc
    import socket

    from rpcgen.runtime.announce import Announcement
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.stubs import ServerStub
    from rpcgen.runtime.sync.processes.sharing import Share
    from rpcgen.runtime.transport import ServerTransport
    from rpcgen.runtime.wire.limits import Limits

_TRANSPORT = ("authenticate", "plain", "tls", "compress")


class State(enum.Enum):
    """Of a server; in words for what cannot be done then."""

    NEW = "is not bound"
    BOUND = "is bound"
    SERVING = "serves already"
    CLOSED = "is closed"


class Settings(Record):
    """What every server makes of its options."""

    limits: Limits
    backlog: int
    grace: float
    name: str
    transport: ServerTransport
    interceptors: tuple[Interceptor, ...]
    announcement: Announcement | None
    drain: float


def settings(
    server: str, stubs: collections.abc.Sequence[ServerStub], options: dict[str, typing.Any], *, calls: int
) -> Settings:
    """Reads the options that every server has.

    Args:
        server: Its class, for messages.
        stubs: What it serves.
        options: Those that are not its class's own; they are taken out.
        calls: At once on a framed connection, beyond which its session refuses them.

    Raises:
        TypeError: There are no stubs, something else stands where one should, or an option is unknown.
        ValueError: An option is out of its range, or the registry's URL is wrong.
        OSError: A certificate cannot be read; the message names it.
        ImportError: The registry's package is not installed.
    """
    check_stubs(stubs)
    limits = options.pop("limits", DEFAULT_LIMITS)
    transport = {name: options.pop(name) for name in _TRANSPORT if name in options}
    announced = {name: options.pop(name) for name in ANNOUNCED if name in options}
    backlog, grace = options.pop("backlog", 1024), options.pop("grace", 10.0)
    name, interceptors = options.pop("name", "rpcgen"), tuple(options.pop("interceptors", ()))
    drain = options.pop("drain", None)
    if options:
        raise TypeError(f"{server} has no option {', '.join(options)}")
    made = server_transport(limits, calls=calls, fingerprint=fingerprint_of(stubs), **transport)
    announcement = announced_by(stubs, announced, takes_plain=made.takes_plain)
    return Settings(
        limits, backlog, grace, name, made, interceptors, announcement, draining(drain, announcement)
    )


class Bound:
    """A server, as far as it listens and does not serve yet.

    Args:
        host: Where.
        port: Where.
        stubs: What it will serve.
        backlog: Connections that the system keeps until they are accepted.
    """

    _settings: Settings

    def __init__(
        self, host: str, port: int | None, stubs: collections.abc.Sequence[ServerStub], backlog: int
    ) -> None:
        import threading

        self._wanted = Address.of(host, port)
        self._stubs = stubs
        self._backlog = backlog
        self._lock = threading.Lock()
        self._state = State.NEW
        self._listener: socket.socket | None = None
        self._file_id: tuple[int, int] | None = None
        self._share: Share | None = None
        self._address: Address | None = None

    @property
    def address(self) -> Address:
        """Where it listens, with the port that it really has. Known once it is bound.

        Raises:
            RuntimeError: It is not bound yet.
        """
        if self._address is None:
            raise RuntimeError("the server is not bound yet: call bind(), start() or serve() first")
        return self._address

    @property
    def port(self) -> int:
        """The port of ``address``; 0 for a Unix socket."""
        return self.address.port

    def bind(self) -> Address:
        """Begins to listen; calls are answered from ``start`` or ``serve`` on. Again is harmless.

        Raises:
            OSError: The address is in use or not this machine's; the message names it.
            RuntimeError: The server is closed.
        """
        from rpcgen.runtime.sync.server.listen import address_of, file_id, listen

        with self._lock:
            if self._state is State.CLOSED:
                raise RuntimeError("the server is closed: make another")
            if self._state is State.NEW:
                self._listener = listen(self._wanted, self._backlog)
                self._address = address_of(self._listener)
                self._file_id = file_id(self._address.path) if self._address.path else None
                self._state = State.BOUND
        return self.address

    # For a server of several processes, which is bound in one of them and serves in the others

    @property
    def takes_plain(self) -> bool:
        """Whether clients are served that speak plain messages."""
        return self._settings.transport.takes_plain

    def intro(self) -> str:
        """Gives how the log begins to say what is served, and where."""
        return introduction(self._stubs, self.address)

    def inherit(self, share: Share) -> None:
        """Makes it, in a process that was forked once it was bound, one of several that accept from its socket.

        The file of a Unix socket stays that of the process that bound it.
        """
        self._share = share
        self._file_id = None

    def release(self) -> None:
        """Closes the socket here, while other processes accept from it."""
        if self._listener is not None:
            self._listener.close()

    def unbind(self) -> None:
        """Listens no more, and removes the file of a Unix socket. It is closed from now on."""
        from rpcgen.runtime.sync.server.listen import remove_file

        with self._lock:
            self._state = State.CLOSED
            if self._listener is not None:
                self._listener.close()
            if self._address is not None:
                remove_file(self._address.path, self._file_id)
                self._file_id = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._address or self._wanted}, {self._state.name.lower()}>"
