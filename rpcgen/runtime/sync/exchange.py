"""One connection of a channel: sends a call, reads its reply, one after the other.

Normally that is one send and one receive. Time is kept by the kernel (SO_RCVTIMEO), set
anew only when it changes. What goes wrong is raised as this project's errors, told apart
by the one thing that matters: can the call have run?
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
import typing

from rpcgen.runtime.errors import ConnectionLost, DeadlineExceeded, ProtocolError, Unavailable
from rpcgen.runtime.sync.dial import set_timeout
from rpcgen.runtime.sync.turns import ROOM as FIRST_READ, WOULD_BLOCK, exchange
from rpcgen.runtime.wire.plain import UNDECIDED

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.plain import MethodCodec
    from rpcgen.runtime.wire.scan import AnyReplyScan

RETURNED = 1
FAULT = 0
"""Kinds of replies: their first bytes."""

_SURE_TO_FIT = 4096
"""A message of so many bytes finds room in an idle socket's buffer, whose least size is 4.6 KiB."""

_LENIENCY = 0.01
"""Seconds that a deadline may pass unnoticed while bytes come, to spare a system call a receive."""

_MAYBE = "the call may have run"


class Connection:
    """A connection that is either idle in its channel's pool or used by one call.

    Args:
        sock: Connected and blocking.
    """

    __slots__ = ("_fd", "_poll", "_receive_wait", "_send_wait", "fresh", "kind", "sock", "used")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._fd = sock.fileno()
        self.used = 0.0
        """When its last call began."""
        self.fresh = True
        """No call has been answered on it."""
        self.kind = RETURNED
        """The first byte of the last reply."""
        self._receive_wait = 0.0
        self._send_wait = 0.0
        self._poll: select.poll | None = None

    def quiet(self) -> bool:
        """Says whether an idle connection can be used: open, and nothing unread on it."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.sock, select.POLLIN)
        return not self._poll.poll(0)

    def exchange(
        self, message: bytes, codec: MethodCodec, limits: Limits, end: float | None, wait: float
    ) -> typing.Any:
        """Sends a call and decodes its reply. After any error the caller closes the connection.

        Args:
            message: The call.
            codec: Of its method.
            limits: For the reply.
            end: The deadline on the clock of ``time.monotonic``, or None.
            wait: Seconds until then, or 0.

        Returns:
            The result if ``kind`` is RETURNED afterwards, else the exception or fault to raise.

        Raises:
            Unavailable: The connection broke before the last byte was handed to it: the call
                cannot have run.
            ConnectionLost: It broke later.
            DeadlineExceeded: The time was up.
            ProtocolError: What came is not a reply.
        """
        if wait != self._receive_wait:
            set_timeout(self.sock, socket.SO_RCVTIMEO, wait)
            self._receive_wait = wait
        if len(message) <= _SURE_TO_FIT:
            found = exchange(self._fd, message)
        else:
            found = self._exchange_long(message, end)
        data = found if found.__class__ is bytes and found else self._unusual(found, message, codec, limits)
        self.kind = data[0]
        value = codec.quick_reply(data, limits)
        if value is UNDECIDED:
            return codec.decode_reply(self._whole(data, codec.reply_scan(limits), limits, end), limits)
        return value

    def _exchange_long(self, message: bytes, end: float | None) -> bytes | tuple[int, int]:
        """Does what ``exchange`` does for a message that may not find room at once."""
        sent = 0
        try:
            for done in self._sending(message, end):
                sent = done
            if sent != len(message):
                return sent, 0
            if end is not None:
                self._wait_until(end)
            return self.sock.recv(FIRST_READ)
        except OSError as error:
            return sent, error.errno or errno.EIO

    def _unusual(
        self, found: bytes | tuple[int, int], message: bytes, codec: MethodCodec, limits: Limits
    ) -> bytes:
        """Raises what an exchange without a reply means; or gives what the server said before the end."""
        if not isinstance(found, tuple):
            raise ConnectionLost(f"the server closed the connection without a reply; {_MAYBE}")
        sent, number = found
        error = OSError(number, os.strerror(number))
        if sent == len(message):
            if number in WOULD_BLOCK:
                raise DeadlineExceeded(f"no reply within the call's time; {_MAYBE}")
            raise ConnectionLost(f"the connection broke: {error.strerror}; {_MAYBE}") from error
        if number == 0 or number in WOULD_BLOCK:
            raise DeadlineExceeded("the time was up before the call was sent; it has not run")
        data = self._last_words(codec, limits)
        if data is None:
            raise Unavailable(
                f"the connection broke while the call was being sent: {error.strerror}"
            ) from error
        return data

    def _sending(self, message: bytes, end: float | None) -> collections.abc.Iterator[int]:
        """Gives the number of bytes sent after each step: in the end fewer than all if the time is up."""
        view, sent = memoryview(message), 0
        while sent < len(message):
            wait = 0.0
            if end is not None:
                wait = end - time.monotonic()
                if wait <= 0:
                    break
            if wait != self._send_wait:
                set_timeout(self.sock, socket.SO_SNDTIMEO, wait)
                self._send_wait = wait
            try:
                sent += self.sock.send(view[sent:])
            except BlockingIOError:
                continue
            yield sent

    def _wait_until(self, end: float) -> None:
        """Leaves the reply the time that a long call has not used up."""
        # At the end itself it takes one look: 0 would wait for ever.
        wait = max(0.000_001, end - time.monotonic())
        set_timeout(self.sock, socket.SO_RCVTIMEO, wait)
        self._receive_wait = wait

    def _whole(self, data: bytes, scan: AnyReplyScan, limits: Limits, end: float | None) -> bytearray:
        """Receives until the reply that begins with ``data`` is whole."""
        done = scan.advance(data)
        if done and scan.end != len(data):
            more = len(data) - scan.end
            raise ProtocolError(f"{more} bytes came after the reply: are both ends compiled from one IDL?")
        latest = time.monotonic() + limits.receive_time
        buffer, filled = bytearray(data), len(data)
        while not done:
            if len(buffer) * 2 < scan.needs:
                buffer, begin = bytearray(scan.needs), buffer
                buffer[:filled] = begin
            elif len(buffer) < scan.needs:
                buffer += bytes(scan.needs - len(buffer))
            while filled < scan.needs:
                wait = (latest if end is None else min(end, latest)) - time.monotonic()
                received = 0
                if wait > 0:
                    if not 0 <= self._receive_wait - wait < _LENIENCY:
                        set_timeout(self.sock, socket.SO_RCVTIMEO, wait)
                        self._receive_wait = wait
                    try:
                        with memoryview(buffer) as view:
                            received = self.sock.recv_into(view[filled:])
                    except BlockingIOError:
                        continue
                    except OSError as error:
                        reason = error.strerror or error
                        raise ConnectionLost(
                            f"the connection broke inside the reply: {reason}; {_MAYBE}"
                        ) from error
                    if not received:
                        raise ConnectionLost(f"the server closed the connection inside its reply; {_MAYBE}")
                    filled += received
                elif end is not None and end <= latest:
                    raise DeadlineExceeded(f"the reply was not whole within the call's time; {_MAYBE}")
                else:
                    raise ConnectionLost(
                        f"a reply took longer than {limits.receive_time:g} s to come; {_MAYBE}"
                    )
            done = scan.advance(buffer)
        return buffer

    def _last_words(self, codec: MethodCodec, limits: Limits) -> bytes | None:
        """Gives the fault of a server that refused and closed: it says more than a broken pipe."""
        try:
            data = self.sock.recv(FIRST_READ, socket.MSG_DONTWAIT)
            scan = codec.reply_scan(limits)
            return data if scan.advance(data) and data[0] == FAULT and scan.end == len(data) else None
        except (OSError, ProtocolError):
            return None

    def break_off(self) -> None:
        """Makes a call that another thread has on it fail now."""
        with contextlib.suppress(OSError):  # it is closed already
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes it; again is harmless."""
        self._fd = -1  # the number may be another file's from now on
        self.sock.close()
