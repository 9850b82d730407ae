"""TLS between a blocking socket and what reads and writes it, at either end.

The socket stays as it is everywhere here, with its times kept by the kernel: an ``ssl.SSLSocket``
would go on after each of them, and is not for a reader and a writer at once. An ``ssl.SSLObject``
turns bytes into bytes, under a lock that is never held while anything waits. Load it only for TLS.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
import struct
import threading
import time
import typing

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.frames import Buffer

_ROOM = 64 * 1024
"""Bytes of one receive: some records, of 16 KiB at most each."""

_AT_ONCE = 128 * 1024
"""Bytes that are encrypted in one step, and sent in one if there is room."""

_TIMEVAL = struct.Struct("ll")


class TlsSocket:
    """A connection with TLS. It has the methods of a socket that connections use, and does what they do there.

    One thread may receive while another sends. What does not come or go within SO_RCVTIMEO or
    SO_SNDTIMEO raises BlockingIOError, and may be tried again; other failures are OSError, of which
    ``ssl.SSLError`` is one. An end without TLS's own farewell is an end: who reads knows what is whole.

    Args:
        sock: Connected and blocking; it belongs to this from now on.
        context: The settings.
        server_side: Which end this is.
        name: A client's: the host that the server's certificate must be for.

    Raises:
        ValueError: The settings want the name checked, and there is none.
    """

    __slots__ = (
        "_coming",
        "_ended",
        "_failure",
        "_going",
        "_lock",
        "_owed",
        "_plain",
        "_sock",
        "_tls",
        "_unsent",
        "family",
    )

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool, name: str | None = None
    ) -> None:
        self._sock = sock
        self.family = sock.family
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._coming, self._going, server_side, name)
        self._lock = threading.Lock()
        self._plain = b""
        """Decrypted, and not yet given: all that has come, up to an unfinished record."""
        self._failure: OSError | None = None
        """What comes after that, if it is not the end."""
        self._ended = False
        """Whether nothing more comes."""
        self._unsent = memoryview(b"")
        """Encrypted, of which the socket has not taken more in time."""
        self._owed = 0
        """How many bytes of those given to ``send`` that stands for."""

    def handshake(self, end: float | None) -> None:
        """Agrees with the peer; first of all.

        Args:
            end: By when, on the clock of ``time.monotonic``; None: however long it takes.

        Raises:
            BlockingIOError: The time was up.
            OSError: It failed: ``said`` gives why.
        """
        done = False
        while not done:
            try:
                with self._lock, contextlib.suppress(ssl.SSLWantReadError):
                    self._tls.do_handshake()
                    done = True
            except ssl.SSLError:
                self._tell()
                raise
            self._flush_by(end)
            if done:
                self._decrypt(None)  # what came with the peer's last word
            else:
                self._wait(select.POLLIN, end, "the TLS handshake was not done in time")
                if not self._take(self._sock.recv(_ROOM)):
                    raise ssl.SSLEOFError(
                        ssl.SSL_ERROR_EOF, "the peer ended the connection during the TLS handshake"
                    )

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receives; ``b""`` at the end.

        Args:
            size: Of what is given, at most.
            flags: MSG_DONTWAIT, or none.
        """
        if not self._plain:
            self._receive(flags)
        found, self._plain = self._plain[:size], self._plain[size:]
        return found

    def recv_into(self, buffer: Buffer, size: int = 0, flags: int = 0) -> int:
        """Receives into the buffer; gives how many bytes, 0 at the end."""
        with memoryview(buffer) as view:
            room = min(size or len(view), len(view))
            if not self._plain:
                # Large messages are decrypted where they belong.
                return self._receive(flags, view[:room])
            found = self.recv(room)
            view[: len(found)] = found
            return len(found)

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Sends some of the data, from its beginning; gives how many bytes, which the socket has taken whole.

        Args:
            data: After a BlockingIOError, the same again: some of it may have gone.
            flags: MSG_DONTWAIT, or none.
        """
        if not self._unsent:
            with memoryview(data) as view, self._lock:
                if not view:
                    return 0
                self._owed = self._tls.write(view[:_AT_ONCE])
                self._unsent = memoryview(self._going.read())
        self._flush(flags)
        return self._owed

    def peek(self) -> bytes | None:
        """Gives the first byte of what has come, and leaves it; ``b""`` at the end, None if nothing has come."""
        if not self._plain:
            try:
                self._receive(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
        return self._plain[:1]

    def pending(self) -> int:
        """Gives how many bytes have come and not been given: a selector does not see them."""
        return len(self._plain)

    def certificate(self) -> collections.abc.Mapping[str, typing.Any] | None:
        """Gives the peer's, as ``ssl.SSLSocket.getpeercert`` does; None: it was not asked for one."""
        return self._tls.getpeercert() or None

    def fileno(self) -> int:
        """Gives the socket's descriptor; -1 once closed."""
        return self._sock.fileno()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Sets an option of the socket."""
        self._sock.setsockopt(level, option, value)

    def shutdown(self, how: int) -> None:
        """Ends a direction of the connection, or both; TLS's own farewell goes first where only sending ends."""
        if how == socket.SHUT_WR and not self._unsent:
            with contextlib.suppress(OSError), self._lock:
                self._tls.unwrap()
            self._tell()
        self._sock.shutdown(how)

    def close(self) -> None:
        """Closes the socket, without a word: in a forked child, the connection is the parent's still."""
        self._sock.close()

    def __repr__(self) -> str:
        return f"<TLS over {self._sock!r}>"

    def _receive(self, flags: int, into: memoryview | None = None) -> int:
        """Receives something, or the end; gives how many bytes of it are in the view that was given."""
        end = None
        while self._failure is None:
            if self._ended:
                return 0
            self._take(self._sock.recv(_ROOM, flags))
            count = self._decrypt(into)
            if count or self._plain:
                return count
            # A part of a record has come, and has begun the kernel's time anew.
            if end is None and not self._ended:
                option = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.size)
                seconds, micros = map(int, _TIMEVAL.unpack(option))
                if seconds or micros:
                    end = time.monotonic() + seconds + micros / 1_000_000
            if not flags & socket.MSG_DONTWAIT:
                self._wait(
                    select.POLLIN, None if end == float("inf") else end, "a record is not whole in time"
                )
        raise self._failure

    def _take(self, data: bytes) -> bool:
        """Takes what the socket has received; False at its end."""
        with self._lock:
            if data:
                self._coming.write(data)
            else:
                self._coming.write_eof()
        return bool(data)

    def _decrypt(self, into: memoryview | None) -> int:
        """Decrypts all whole records, into the view first; gives how many bytes are there."""
        filled, rest = 0, []
        with self._lock:
            try:
                # Nothing from a read is TLS's farewell.
                while into is not None and filled < len(into) and not self._ended:
                    count = self._read_into(into[filled:])
                    filled += count
                    self._ended = not count
                while not self._ended:
                    rest.append(self._tls.read(_ROOM))
                    self._ended = not rest[-1]
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLEOFError:
                self._ended = True
            except OSError as error:
                self._failure = error
        self._plain = b"".join(rest)
        if self._failure is not None:
            self._tell()
            if not filled and not self._plain:
                raise self._failure
        return filled

    def _read_into(self, view: memoryview) -> int:
        # As it is, not as its type says: with a buffer it gives a number.
        return typing.cast(int, self._tls.read(len(view), typing.cast(bytearray, view)))

    def _flush(self, flags: int = 0) -> None:
        while self._unsent:
            self._unsent = self._unsent[self._sock.send(self._unsent, flags) :]

    def _flush_by(self, end: float | None) -> None:
        """Sends what there is to send without data, within the time."""
        with self._lock:
            self._unsent = memoryview(bytes(self._unsent) + self._going.read())
        while self._unsent:
            try:
                self._flush(socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait(select.POLLOUT, end, "the TLS handshake could not be sent in time")

    def _tell(self) -> None:
        """Sends the peer TLS's own words, if there is room for them: nothing waits for that."""
        with self._lock:
            words = b"" if self._unsent else self._going.read()
        if words:
            with contextlib.suppress(OSError):
                self._sock.send(words, socket.MSG_DONTWAIT)

    def _wait(self, for_what: int, end: float | None, problem: str) -> None:
        poll = select.poll()
        poll.register(self._sock, for_what)
        while True:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise BlockingIOError(errno.EAGAIN, problem)
            if poll.poll(None if left is None else left * 1000 + 1):
                return


def said(error: OSError) -> str:
    """Gives what TLS, or the system, says went wrong, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        words = error.reason.lower().replace("_", " ")
        where, alert, why = words.partition("alert ")
        return f"the peer refuses: {why}" if alert and where else words
    return error.strerror or str(error)


def refusal(error: OSError) -> str | None:
    """Gives what the peer says when it refuses what it was shown in the handshake; None: the error is another one."""
    is_alert = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
    return said(error) if is_alert else None
