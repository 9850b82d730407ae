"""What channels and servers of every kind make of the options that say how bytes travel, and who may send them."""

from __future__ import annotations

import typing

from rpcgen.runtime.records import Record

if typing.TYPE_CHECKING:
    import collections.abc
    import socket
    import ssl

    from rpcgen.runtime.tls import TLS
    from rpcgen.runtime.wire.hello import Hello, Terms
    from rpcgen.runtime.wire.limits import Limits

PLAIN_REFUSED = "this server requires credentials, which plain messages do not carry: speak framed messages"
"""What a plain client is told, with UNAUTHENTICATED, where it is not let in."""

KEPT_ALIVE = (20, 5, 4)
"""Seconds of silence before the system asks whether the peer is there, between asking again, and how often."""


class ServerTransport(Record):
    """How a server talks to its clients."""

    terms: Terms
    """Of framed connections."""
    tls: ssl.SSLContext | None
    """None: without TLS."""
    takes_plain: bool
    """Whether plain clients are served."""


def server_transport(
    limits: Limits,
    *,
    calls: int,
    authenticate: collections.abc.Callable[[str], str] | None = None,
    plain: bool | None = None,
    tls: TLS | ssl.SSLContext | None = None,
    compress: collections.abc.Sequence[str] = (),
    fingerprint: str = "",
) -> ServerTransport:
    """Gives how a server talks to its clients.

    Args:
        limits: Of messages.
        calls: At once on a connection, beyond which its session refuses them.
        authenticate: Gives who the client with these credentials is, or raises PermissionError.
        plain: Whether plain clients are served; None: unless credentials are required.
        tls: Certificates.
        compress: Names of algorithms, the best one first.
        fingerprint: Of the interfaces that it serves.

    Raises:
        ValueError: An algorithm is not installed, or TLS has no certificate.
        OSError, TypeError: As ``tls.server_context``.
    """
    from rpcgen.runtime.tls import server_context
    from rpcgen.runtime.wire.hello import FINGERPRINT, Terms

    check: collections.abc.Callable[[Hello], str] | None = None
    if authenticate is not None:
        asked = authenticate

        def check(hello: Hello) -> str:
            return asked(hello.credentials)

    properties = {FINGERPRINT: fingerprint} if fingerprint else None
    terms = Terms(limits, calls=calls, compress=compress, check=check, properties=properties)
    takes_plain = authenticate is None if plain is None else plain
    return ServerTransport(terms, server_context(tls), takes_plain)


def client_terms(
    limits: Limits,
    credentials: str = "",
    compress: collections.abc.Sequence[str] = (),
    fingerprint: str = "",
) -> Terms:
    """Gives how a channel speaks framed messages.

    Args:
        limits: Of messages.
        credentials: For HELLO.
        compress: Names of algorithms, the best one first.
        fingerprint: Of the client's interface, for HELLO.

    Raises:
        ValueError: An algorithm is not installed, or the credentials are too long.
    """
    from rpcgen.runtime.wire.hello import FINGERPRINT, Terms, default_terms
    from rpcgen.runtime.wire.limits import DEFAULT_LIMITS

    if limits is DEFAULT_LIMITS and not (credentials or compress or fingerprint):
        return default_terms()
    properties = {FINGERPRINT: fingerprint} if fingerprint else None
    return Terms(limits, credentials=credentials, compress=compress, properties=properties)


def is_plain(protocol: str, **framed_alone: object) -> bool:
    """Says whether a channel speaks plain messages.

    Args:
        protocol: What the program said.
        **framed_alone: Options that plain messages cannot serve, as the program gave them.

    Raises:
        ValueError: There is no such protocol, or it cannot serve an option.
    """
    if protocol not in ("framed", "plain"):
        raise ValueError(f'protocol is "framed" or "plain", not {protocol!r}')
    given = [name for name, value in framed_alone.items() if value and protocol == "plain"]
    if given:
        raise ValueError(f'{", ".join(given)}: only framed messages know of it, and protocol is "plain"')
    return protocol == "plain"


def tune(sock: socket.socket) -> None:
    """Makes a TCP connection send at once, and the system find out that the host at its other end has gone.

    It finds out within 40 s, and answers for a process that is busy, too. Where the system knows no such
    settings it decides itself. Sockets of other families stay as they are.

    Raises:
        OSError: The connection is gone already.
    """
    import socket

    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
    for name, value in zip(names, KEPT_ALIVE, strict=True):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
