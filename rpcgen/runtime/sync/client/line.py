"""What a channel's connections have in common: a socket whose times are kept by the kernel.

SO_RCVTIMEO and SO_SNDTIMEO are set anew only when they change. Each kind of connection says by itself
what a failure means for its calls.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import time
import typing

from rpcgen.runtime.errors import CallError, RpcError
from rpcgen.runtime.sync import turns
from rpcgen.runtime.sync.client.dial import set_timeout

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.contracts import Contracts
    from rpcgen.runtime.sync.tls import TlsSocket
    from rpcgen.runtime.wire.frames import Buffer
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.plain import MethodCodec
    from rpcgen.runtime.wire.tailed import Message

    Socket: typing.TypeAlias = socket.socket | TlsSocket
    Metadata: typing.TypeAlias = collections.abc.Mapping[str, bytes]

RETURNED = 1
FAULT = 0
"""Kinds of replies: their first bytes."""

NOT_SENT = "the time was up before the call was sent; it has not run"

_STEP = 0.001
"""Seconds: what times are rounded up to, so that calls of one timeout set it once. In C: usual.c, ABOUT."""


class Line(turns.Line):
    """A connection that is either idle in its channel's pool or used by one call.

    Args:
        sock: Connected and blocking.
    """

    __slots__ = ("_poll", "_send_wait", "fingerprint", "is_tls", "sock")

    def __init__(self, sock: Socket) -> None:
        super().__init__()
        self.sock = sock
        self._fd = sock.fileno()
        self.is_tls = not isinstance(sock, socket.socket)
        self.fingerprint = ""
        """Of the server's interface, where the server has said it and somebody wanted to know."""
        self.fresh = True
        self.kind = RETURNED  # or FAULT, or above for an exception
        self._send_wait = 0.0
        self._poll: select.poll | None = None

    def exchange(
        self,
        message: Message,
        codec: MethodCodec,
        limits: Limits,
        end: float | None,
        wait: float,
        metadata: Metadata | None,
        found: typing.Any = None,
    ) -> typing.Any:
        """Sends a call and decodes its reply. After any error ``survives`` is to be asked.

        Args:
            message: The call, as this kind of connection has it encoded.
            codec: Of its method.
            limits: For the reply.
            end: The deadline on the clock of ``time.monotonic``, or None.
            wait: Seconds until then, or 0.
            metadata: That goes with the call.
            found: What a turn in C has come to that has sent it already; None: it is to be sent.

        Returns:
            The result if ``kind`` is RETURNED afterwards, else the exception or fault to raise.

        Raises:
            Unavailable: The call cannot have run; another connection may do better.
            ConnectionLost: The connection broke later.
            DeadlineExceeded: The time was up.
            ProtocolError: What came is not a reply.
        """
        raise NotImplementedError

    def greet(self, contracts: Contracts, end: float | None) -> None:
        """Opens the conversation, and waits a little for what the server says of itself, for ``contract``.

        Whatever else comes, or does not, is left to the first call to meet.

        Args:
            contracts: Versions that are known.
            end: The call's deadline on the clock of ``time.monotonic``.
        """

    def quiet(self) -> bool:
        """Says whether an idle connection can be used: open, and nothing unread on it."""
        raise NotImplementedError

    def survives(self, error: RpcError) -> bool:
        """Says whether the connection can be used after a call that ended in this."""
        return False

    def is_readable(self) -> bool:
        """Says whether there is something to receive, be it the end."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLIN)
        return bool(self._poll.poll(0))

    def _receive_within(self, wait: float) -> None:
        """Sets how many seconds a receive waits; 0: for ever."""
        if wait == self._receive_wait or (wait and 0 <= self._receive_wait - wait <= 2 * _STEP):
            return
        self._receive_wait = math.ceil(wait / _STEP) * _STEP if wait else 0.0
        set_timeout(self.sock, socket.SO_RCVTIMEO, self._receive_wait)

    def _send_all(self, data: Buffer, end: float | None, flags: int = 0) -> int:
        """Sends; gives how many bytes: fewer than all if the time is up.

        Raises:
            OSError: The connection is broken; not all was sent.
        """
        sent, size = 0, len(data)
        with memoryview(data) as view:
            while sent < size:
                wait = 0.0
                if end is not None:
                    wait = end - time.monotonic()
                    if wait <= 0:
                        break
                if wait != self._send_wait:
                    set_timeout(self.sock, socket.SO_SNDTIMEO, wait)
                    self._send_wait = wait
                with contextlib.suppress(BlockingIOError):
                    sent += self.sock.send(view[sent:], flags)
        return sent

    @property
    def is_closed(self) -> bool:
        """Whether this end has closed it."""
        return self._fd < 0

    def break_off(self) -> None:
        """Makes a call that another thread has on it fail now."""
        with contextlib.suppress(OSError):  # it is closed already
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes it; again is harmless."""
        self.abandon()

    def abandon(self) -> None:
        """Closes this process's descriptor, and says nothing: the connection may be the parent's still."""
        self._fd = -1  # the number may be another file's from now on
        self.sock.close()


def refused_by_tls(sock: Socket, error: OSError) -> str | None:
    """Gives what the peer says of a TLS handshake that it refuses once this end was done with it; None: nothing."""
    if isinstance(sock, socket.socket):
        return None
    from rpcgen.runtime.sync.tls import refusal

    return refusal(error)


def raised(made: list[CallError]) -> typing.NoReturn:
    """Raises the one error in the list, and leaves no name for it in a frame that its traceback holds."""
    raise made.pop()
