"""A connection of a channel in plain messages: sends a call, reads its reply, one after the other.

Normally that is one send and one receive. What goes wrong is raised as this project's errors, told
apart by the one thing that matters: can the call have run?
"""

from __future__ import annotations

import errno
import os
import socket
import time
import typing

from rpcgen.runtime.errors import ConnectionLost, DeadlineExceeded, ProtocolError, Unavailable
from rpcgen.runtime.sync.client.line import FAULT, NOT_SENT, Line, refused_by_tls
from rpcgen.runtime.sync.turns import LONGEST_CALL, ROOM as FIRST_READ, WOULD_BLOCK, exchange
from rpcgen.runtime.wire.outcomes import MAYBE
from rpcgen.runtime.wire.plain import UNDECIDED
from rpcgen.runtime.wire.spares import room

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.client.line import Metadata, Socket
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.plain import MethodCodec
    from rpcgen.runtime.wire.scan import AnyReplyScan
    from rpcgen.runtime.wire.tailed import Message

_TLS_ALERT = 0x15
"""The first byte of what a server with TLS answers to one that speaks without."""


class PlainConnection(Line):
    """See ``Line``."""

    __slots__ = ()

    def __init__(self, sock: Socket, limits: Limits) -> None:
        super().__init__(sock)
        self._usual = -1 if self.is_tls else LONGEST_CALL
        self._longest = limits.message

    def quiet(self) -> bool:
        if not self.is_tls:
            return not self.is_readable()
        try:
            # What is readable may be TLS's own.
            self.sock.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

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
        if found is None:
            if wait != self._receive_wait:
                self._receive_within(wait)
            if len(message) <= self._usual:
                found = exchange(self._fd, message, wait, codec.tail, self._longest)
            else:
                found = self._exchange_long(message, end)
        data = (
            self._unusual(found, message, codec, limits) if not found or found.__class__ is tuple else found
        )
        self.kind = data[0]
        value = codec.quick_reply(data, limits)
        if value is UNDECIDED:
            return codec.decode_reply(self._whole(data, codec.reply_scan(limits), limits, end), limits)
        return value

    def _exchange_long(self, message: Message, end: float | None) -> bytes | tuple[int, int]:
        """Does what ``exchange`` does for a message that may not find room at once, or over TLS."""
        sent = 0
        try:
            sent = self._send_all(message, end)
            if sent != len(message):
                return sent, 0
            if end is not None:
                # A long call may have used up time; at the end itself one look is taken: 0 would wait for ever.
                self._receive_within(max(0.000_001, end - time.monotonic()))
            return self.sock.recv(FIRST_READ)
        except OSError as error:
            refusal = refused_by_tls(self.sock, error) if self.fresh else None
            if refusal is not None:
                raise Unavailable(f"the TLS handshake failed: {refusal}") from error
            return sent, error.errno or errno.EIO

    def _unusual(
        self, found: Message | tuple[int, int], message: Message, codec: MethodCodec, limits: Limits
    ) -> bytes:
        """Raises what an exchange without a reply means; or gives what the server said before the end."""
        if not isinstance(found, tuple):
            raise ConnectionLost(f"the server closed the connection without a reply; {MAYBE}")
        sent, number = found
        error = OSError(number, os.strerror(number))
        if sent == len(message):
            if number in WOULD_BLOCK:
                raise DeadlineExceeded(f"no reply within the call's time; {MAYBE}")
            raise ConnectionLost(f"the connection broke: {error.strerror}; {MAYBE}") from error
        if number == 0 or number in WOULD_BLOCK:
            raise DeadlineExceeded(NOT_SENT)
        data = self._last_words(codec, limits)
        if data is None:
            raise Unavailable(
                f"the connection broke while the call was being sent: {error.strerror}"
            ) from error
        return data

    def _whole(self, data: Message, scan: AnyReplyScan, limits: Limits, end: float | None) -> memoryview:
        """Receives until the reply that begins with ``data`` is whole."""
        data = bytes(data)
        if data[0] == _TLS_ALERT and data[1:2] == b"\3" and not self.is_tls:
            raise ProtocolError("the server's first bytes are an alert of TLS, which it speaks: say tls=…")
        done = scan.advance(data)
        if done and scan.end != len(data):
            more = len(data) - scan.end
            raise ProtocolError(f"{more} bytes came after the reply: are both ends compiled from one IDL?")
        latest = time.monotonic() + limits.receive_time
        buffer, filled = memoryview(data), len(data)
        while not done:
            if len(buffer) < scan.needs:
                # Twice as much at least: what is copied along is never quadratic.
                larger = room(max(scan.needs, 2 * filled))
                larger[:filled] = buffer[:filled]
                buffer = larger
            while filled < scan.needs:
                wait = (latest if end is None else min(end, latest)) - time.monotonic()
                received = 0
                if wait > 0:
                    self._receive_within(wait)
                    try:
                        received = self.sock.recv_into(buffer[filled : scan.needs])
                    except BlockingIOError:
                        continue
                    except OSError as error:
                        reason = error.strerror or error
                        raise ConnectionLost(
                            f"the connection broke inside the reply: {reason}; {MAYBE}"
                        ) from error
                    if not received:
                        raise ConnectionLost(f"the server closed the connection inside its reply; {MAYBE}")
                    filled += received
                elif end is not None and end <= latest:
                    raise DeadlineExceeded(f"the reply was not whole within the call's time; {MAYBE}")
                else:
                    raise ConnectionLost(
                        f"a reply took longer than {limits.receive_time:g} s to come; {MAYBE}"
                    )
            done = scan.advance(buffer[:filled])
        return buffer[:filled]

    def _last_words(self, codec: MethodCodec, limits: Limits) -> bytes | None:
        """Gives the fault of a server that refused and closed: it says more than a broken pipe."""
        try:
            data = self.sock.recv(FIRST_READ, socket.MSG_DONTWAIT)
            scan = codec.reply_scan(limits)
            return data if scan.advance(data) and data[0] == FAULT and scan.end == len(data) else None
        except (OSError, ProtocolError):
            return None
