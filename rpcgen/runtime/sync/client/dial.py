"""A new connection to an address: every address of its host is tried, within the time given."""

from __future__ import annotations

import math
import socket
import struct
import time
import typing

from rpcgen.runtime.errors import DeadlineExceeded, Unavailable
from rpcgen.runtime.transport import tune

if typing.TYPE_CHECKING:
    import ssl

    from rpcgen.runtime.address import Address
    from rpcgen.runtime.sync.tls import TlsSocket

    Target: typing.TypeAlias = "tuple[socket.AddressFamily, typing.Any]"

CONNECT_TIME = 10.0
"""Seconds that one address is given to answer, if the call's deadline leaves so much."""

_HINT = "is the server running?"


def dial(address: Address, end: float | None) -> socket.socket:
    """Connects.

    Args:
        address: Whose host may have several addresses, of both families.
        end: The call's deadline on the clock of ``time.monotonic``.

    Returns:
        A blocking socket.

    Raises:
        Unavailable: No address could be connected to; the cause is the last one's error.
        DeadlineExceeded: The time was up first.
    """
    targets = [(socket.AF_UNIX, address.path)] if address.path else _resolve(address, end)
    failure: OSError | None = None
    for index, (family, where) in enumerate(targets):
        wait = CONNECT_TIME
        if end is not None:
            # An address that swallows everything must leave time for those after it.
            wait = min(wait, (end - time.monotonic()) / (len(targets) - index))
            if wait <= 0:
                break
        try:
            return _connect(family, where, wait)
        except OSError as error:
            failure = error
    if end is not None and time.monotonic() >= end:
        raise DeadlineExceeded(
            "the time was up before a connection was made; the call was not sent"
        ) from failure
    raise Unavailable(f"cannot connect: {reason(failure)}") from failure


def secured(sock: socket.socket, tls: ssl.SSLContext, name: str | None, end: float | None) -> TlsSocket:
    """Agrees on TLS with a server that has been connected to.

    Args:
        sock: Closed where that fails.
        tls: The settings.
        name: That its certificate must be for.
        end: The call's deadline on the clock of ``time.monotonic``.

    Raises:
        Unavailable: It failed: no call was sent.
        DeadlineExceeded: The time was up first.
    """
    from rpcgen.runtime.sync.tls import TlsSocket, said

    latest = time.monotonic() + CONNECT_TIME
    try:
        made = TlsSocket(sock, tls, server_side=False, name=name)
        made.handshake(latest if end is None else min(end, latest))
        return made
    except BlockingIOError as error:
        sock.close()
        if end is not None and end <= latest:
            raise DeadlineExceeded(
                "the time was up during the TLS handshake; the call was not sent"
            ) from error
        raise Unavailable(
            f"the TLS handshake was not done within {CONNECT_TIME:g} s: does the server speak TLS?"
        ) from error
    except OSError as error:
        sock.close()
        raise Unavailable(f"the TLS handshake failed: {said(error)}") from error
    except BaseException:
        sock.close()
        raise


def _connect(family: int, where: typing.Any, wait: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(wait)
        sock.connect(where)
        sock.settimeout(None)
        connected(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def connected(sock: socket.socket) -> None:
    """Makes a socket ready for calls that has just been connected.

    Raises:
        ConnectionRefusedError: It is connected to itself.
        OSError: It is gone already.
    """
    # With nothing listening, a port of the ephemeral range can be connected to from itself.
    if sock.family != socket.AF_UNIX and sock.getsockname() == sock.getpeername():
        raise ConnectionRefusedError("Connection refused")
    tune(sock)


def reason(error: OSError | None) -> str:
    """Gives why no address could be connected to; None: there was none."""
    if isinstance(error, ConnectionRefusedError):
        return f"the connection was refused; {_HINT}"
    if isinstance(error, FileNotFoundError):
        return f"there is no such socket; {_HINT}"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_TIME:g} s; {_HINT}"
    return f"{error.strerror or error}" if error is not None else "its host has no address"


def literal(address: Address) -> list[Target]:
    """Gives what to connect to where the host is an address: looking it up would load the idna codec."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address.host)
        except OSError:
            continue
        return [(family, (address.host, address.port))]
    return []


def _resolve(address: Address, end: float | None) -> list[Target]:
    """Gives what to connect to."""
    if found := literal(address):
        return found
    try:
        found = _look_up(address) if end is None else _look_up_within(address, end)
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, socket.gaierror) else error
        raise Unavailable(f"cannot find the host {address.host!r}: {why}") from error
    return found


def _look_up(address: Address) -> list[Target]:
    found = socket.getaddrinfo(address.lookup, address.port, type=socket.SOCK_STREAM)
    return [(family, where) for family, _, _, _, where in found]


def _look_up_within(address: Address, end: float) -> list[Target]:
    """Looks up in a thread of its own, since nothing ends a getaddrinfo that waits for its server."""
    import threading

    done: list[list[Target] | OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            done.append(_look_up(address))
        except (OSError, UnicodeError) as error:
            done.append(error)

    thread = threading.Thread(target=look_up, name="rpcgen-resolve", daemon=True)
    thread.start()
    thread.join(max(0.0, end - time.monotonic()))
    if not done:
        raise DeadlineExceeded(f"the time was up while looking up {address.host!r}; the call was not sent")
    found = done[0]
    if isinstance(found, Exception):
        raise found
    return found


_TIMEVAL = struct.Struct("ll")


def set_timeout(sock: socket.socket | TlsSocket, option: int, seconds: float) -> None:
    """Sets SO_RCVTIMEO or SO_SNDTIMEO; 0 waits for ever.

    ``settimeout`` would put a poll before each receive. A call that times out raises BlockingIOError.
    """
    # Rounded up: 0 microseconds would be no timeout at all.
    sock.setsockopt(
        socket.SOL_SOCKET, option, _TIMEVAL.pack(*divmod(math.ceil(seconds * 1_000_000), 1_000_000))
    )
