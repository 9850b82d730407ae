"""What makes a channel's connections: an address, TLS, and the messages that are spoken."""

from __future__ import annotations

import functools
import typing

from rpcgen.runtime.sync.client.dial import dial, secured
from rpcgen.runtime.transport import is_plain

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.address import Address
    from rpcgen.runtime.sync.client.line import Line, Socket
    from rpcgen.runtime.tls import TLS
    from rpcgen.runtime.wire.limits import Limits


class Connector:
    """Makes connections of one kind to one address.

    Args:
        address: The server's.
        limits: Of messages.
        protocol: ``"framed"`` or ``"plain"``.
        credentials: For HELLO.
        tls: As the channel's.
        compress: Names of algorithms.
        multiplex: A connection is for many calls at once.

    Raises:
        ValueError: An option is out of its range, or not for plain messages.
        OSError: A certificate cannot be read.
    """

    __slots__ = ("_address", "_line", "_new_line", "_tls", "is_framed", "is_multiplexed")

    def __init__(
        self,
        address: Address,
        *,
        limits: Limits,
        protocol: str,
        credentials: str,
        tls: TLS | ssl.SSLContext | bool | None,
        compress: collections.abc.Sequence[str],
        multiplex: bool,
    ) -> None:
        self.is_framed = not is_plain(
            protocol, credentials=credentials, compress=compress, multiplex=multiplex
        )
        self.is_multiplexed = multiplex
        self._address = address
        self._tls: tuple[ssl.SSLContext, str | None] | None = None
        if tls:
            from rpcgen.runtime.tls import client_context

            self._tls = client_context(tls)
        self._new_line = functools.partial(
            _kind_of_line, self.is_framed, limits, credentials, compress, multiplex
        )
        self._line = self._new_line("")

    def introduce(self, fingerprint: str) -> None:
        """Has connections that are made from now on say which interface the client has."""
        self._line = self._new_line(fingerprint)

    def connect(self, end: float | None) -> Line:
        """Gives a new connection.

        Args:
            end: By when, on the clock of ``time.monotonic``.

        Raises:
            Unavailable, DeadlineExceeded: There is none; the call was not sent.
        """
        sock = dial(self._address, end)
        if self._tls is None:
            return self._line(sock)
        # A socket of this machine has no name that a certificate could be for.
        name = self._tls[1] or ("localhost" if self._address.path else self._address.host)
        return self._line(secured(sock, self._tls[0], name, end))


def _kind_of_line(
    is_framed: bool,
    limits: Limits,
    credentials: str,
    compress: collections.abc.Sequence[str],
    multiplex: bool,
    fingerprint: str,
) -> collections.abc.Callable[[Socket], Line]:
    """Gives what makes a connection of a socket, and loads no more than that needs."""
    if not is_framed:
        from rpcgen.runtime.sync.client.exchange import PlainConnection

        return lambda sock: PlainConnection(sock, limits)

    from rpcgen.runtime.transport import client_terms

    terms = client_terms(limits, credentials, compress, fingerprint)
    if multiplex:
        from rpcgen.runtime.sync.client.shared import SharedConnection

        return lambda sock: SharedConnection(sock, terms)

    from rpcgen.runtime.sync.client.framed import FramedConnection

    return lambda sock: FramedConnection(sock, terms)
