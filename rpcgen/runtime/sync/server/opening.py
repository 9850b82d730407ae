"""A connection that has not said anything: TLS is agreed on, then its first byte tells what it speaks."""

from __future__ import annotations

import logging
import socket
import time
import typing

from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.sync.client.dial import set_timeout
from rpcgen.runtime.sync.server.connection import QUIET, Connection, Next
from rpcgen.runtime.sync.server.framed_connection import FramedConnection
from rpcgen.runtime.sync.server.plain_connection import PlainConnection
from rpcgen.runtime.transport import PLAIN_REFUSED, tune
from rpcgen.runtime.wire.frames import FIRST_BYTE

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Dispatcher
    from rpcgen.runtime.transport import ServerTransport
    from rpcgen.runtime.wire.limits import Limits

_log = logging.getLogger("rpcgen")


class Opening(Connection):
    """Becomes a framed or plain connection with its first byte.

    Args:
        sock: Accepted and blocking.
        peer: The client's address.
        limits: Of its messages.
        transport: How the server talks to its clients.
        has_room: The server takes it; else it is only to be told why not.

    Raises:
        OSError: It is gone again.
    """

    __slots__ = ("_is_agreed", "_transport", "has_room")

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        limits: Limits,
        transport: ServerTransport,
        *,
        has_room: bool = True,
    ) -> None:
        tune(sock)
        set_timeout(sock, socket.SO_RCVTIMEO, QUIET)
        set_timeout(sock, socket.SO_SNDTIMEO, QUIET)
        self._transport = transport
        self._is_agreed = transport.tls is None
        self.has_room = has_room
        if transport.tls is None:
            super().__init__(sock, peer, limits)
        else:
            from rpcgen.runtime.sync.tls import TlsSocket

            super().__init__(TlsSocket(sock, transport.tls, server_side=True), peer, limits)

    @property
    def needs_thread(self) -> bool:
        """Whether what comes next is TLS's: too much work for the loop's thread."""
        return not isinstance(self.sock, socket.socket)

    def serve(self, dispatcher: Dispatcher, waiting: collections.abc.Callable[[], int]) -> Next:
        """Agrees on TLS, as far as that goes at once. See ``Connection``."""
        if isinstance(self.sock, socket.socket):
            return Next.KIND
        from rpcgen.runtime.sync.tls import said

        try:
            if not self._is_agreed:
                self.sock.handshake(time.monotonic() + QUIET)
                self._is_agreed = True
            self.began = None
            return Next.BYTES if self.peek() is None else Next.KIND
        except BlockingIOError:
            return Next.END if self.is_late("agree on TLS") else Next.BYTES
        except ConnectionError as error:
            _log.debug("lost the connection of %s: %s", self.peer, error)
        except OSError as error:
            self.warn(f"TLS was not agreed on: {said(error)}")
        return Next.END

    def overdue(self) -> str | None:
        if self.began is not None:
            return self.late(time.monotonic(), "agree on TLS")
        # Who says nothing at all is no client yet: it may stay no longer than a message may take.
        patience = min(self.limits.receive_time, self.limits.idle_time)
        return "" if time.monotonic() - self.since > patience else None

    def known(self) -> FramedConnection | PlainConnection | Next:
        """Gives the connection that it is; BYTES before its first byte has come, END if that will not."""
        sock, first = self.sock, self.peek()
        if first is None:
            return Next.BYTES
        if not first:
            return Next.END
        if first[0] == FIRST_BYTE:
            return FramedConnection(sock, self.peer, self._transport.terms)
        return PlainConnection(sock, self.peer, self.limits)

    def objection(self, made: FramedConnection | PlainConnection) -> tuple[str, FaultCode] | None:
        """Gives why the server does not take it; None: it does."""
        if not self.has_room:
            return f"the server has its {self.limits.connections} connections", FaultCode.UNAVAILABLE
        if isinstance(made, PlainConnection) and not self._transport.takes_plain:
            return PLAIN_REFUSED, FaultCode.UNAUTHENTICATED
        return None

    def refuse(self, problem: str, code: FaultCode) -> None:
        """Says nothing: how, is not known yet."""
