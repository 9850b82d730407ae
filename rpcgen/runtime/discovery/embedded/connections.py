"""The registry's connections: asyncio transports that feed lines to the registrar and send what it says.

    OPEN ──(answers are not read)──▶ FULL ──(read again)──▶ OPEN
    OPEN ──(too long a line, too many connections, the client ends)──▶ LEAVING ──▶ CLOSED

A connection in FULL is not read from, so that nobody can make answers pile up; in LEAVING what
comes is thrown away, for a socket closed with bytes unread would take back the last answer.
"""

from __future__ import annotations

import asyncio
import collections.abc
import enum
import logging
import typing

from rpcgen.runtime.discovery.embedded.protocol import MAX_LINE, Lines, Oversized, refused
from rpcgen.runtime.discovery.embedded.registrar import Peer, Registrar
from rpcgen.runtime.transport import tune

_log = logging.getLogger("rpcgen")

LINE_TIME = 30.0
"""Seconds from the first byte of a line to its end, and from connecting to the registry's token."""
READ_TIME = 60.0
"""Seconds in which a client must read some of what it was sent."""
LINGER = 2.0
"""Seconds in which a client can read why it is let go."""
MAX_BEHIND = 4 << 20
"""Bytes of changes that wait for a watcher that does not read."""
_LINES_A_TURN = 64
_BYTES_A_TURN = 262144


class _State(enum.Enum):
    OPEN = enum.auto()
    FULL = enum.auto()
    LEAVING = enum.auto()
    CLOSED = enum.auto()


class Connections:
    """What the connections of a server share.

    Args:
        registrar: Answers.
        clock: Seconds.
        most: Connections at once.
    """

    def __init__(self, registrar: Registrar, clock: collections.abc.Callable[[], float], most: int) -> None:
        self.registrar = registrar
        self.clock = clock
        self.most = most
        self.open: set[Connection] = set()
        self.waiting: dict[Connection, float] = {}
        """Whose time runs, and until when: for the end of a line, for reading, for leaving."""
        self._flushing = False
        self._refused = 0

    def tick(self) -> None:
        """Ends what is due."""
        now = self.clock()
        self.registrar.tick(now)
        for connection in [late for late, end in self.waiting.items() if end <= now]:
            connection.out_of_time()
        if self._refused:
            _log.warning("refused %d connections: there are %d, the most", self._refused, self.most)
            self._refused = 0
        self.flush_soon()

    def refuse(self) -> bytes:
        """Counts a connection that is one too many; gives what it is told."""
        self._refused += 1
        return refused(f"the registry is full: it serves {self.most:,} connections")

    def flush_soon(self) -> None:
        """Tells watchers of changes once this turn of the loop is through, with all that it changes."""
        if not self._flushing and self.registrar.has_changes:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        for line, peers in self.registrar.flush(self.clock()):
            for peer in peers:
                peer.tell(line)

    def close(self) -> None:
        """Closes all; what a client does not take at once is lost."""
        for connection in list(self.open):
            connection.close()


class Connection(asyncio.Protocol):
    """One client.

    Args:
        connections: The others.
    """

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._registrar = connections.registrar
        self._peer = Peer(self._tell)
        self._lines = Lines(MAX_LINE)
        self._state = _State.OPEN
        self._unread = 0
        """Bytes that waited for the client when it was last looked at; in FULL."""
        self._behind = 0
        """Bytes of changes since the client has not read; in FULL."""
        self._is_busy = False
        """Whether lines that are here already wait for the next turn."""
        self._has_ended = False
        """Whether the client will send no more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = typing.cast(asyncio.Transport, transport)
        tune(self._transport.get_extra_info("socket"))
        self._all.open.add(self)
        if len(self._all.open) > self._all.most:
            self._leave(self._all.refuse(), LINGER)
        elif self._registrar.is_guarded:
            self._all.waiting[self] = self._all.clock() + LINE_TIME

    def connection_lost(self, error: Exception | None) -> None:
        self._state = _State.CLOSED
        self._all.open.discard(self)
        self._all.waiting.pop(self, None)
        self._registrar.leave(self._peer)

    def data_received(self, data: bytes) -> None:
        if self._state is not _State.LEAVING:
            self._lines.feed(data)
            if not self._is_busy:
                self._work()

    def eof_received(self) -> bool:
        """Answers what has come, a last line without its end too, and closes."""
        self._has_ended = True
        if self._state is _State.LEAVING:
            return False
        if self._lines.has_part:
            self._lines.feed(b"\n")
        if not self._is_busy:
            self._work()
        return self._is_busy or self._state is _State.FULL

    def _work(self) -> None:
        """Answers the lines that are here, so many a turn that others have theirs."""
        self._is_busy = False
        answers: list[bytes] = []
        size = 0
        now = self._all.clock()
        try:
            while self._state is _State.OPEN:
                if len(answers) >= _LINES_A_TURN or size >= _BYTES_A_TURN:
                    self._is_busy = True
                    break
                line = self._lines.next()
                if line is None:
                    break
                answers.append(self._registrar.answer(line, self._peer, now))
                size += len(answers[-1])
        except Oversized:
            answers.append(refused(f"the line is longer than {MAX_LINE} bytes; the connection is closed"))
            self._leave(b"".join(answers), LINGER)
        else:
            if answers:
                self._transport.write(answers[0] if len(answers) == 1 else b"".join(answers))
            self._go_on(now, bool(answers))
        self._all.flush_soon()

    def _go_on(self, now: float, has_answered: bool) -> None:
        """Settles what the connection waits for now."""
        if self._state is not _State.OPEN:
            return
        is_admitted = self._peer.is_admitted or not self._registrar.is_guarded
        if self._is_busy:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._again)
        elif self._has_ended:
            self._leave(b"", READ_TIME)
        elif not is_admitted or (self._lines.has_part and not has_answered):
            self._all.waiting.setdefault(self, now + LINE_TIME)
        elif self._lines.has_part:
            self._all.waiting[self] = now + LINE_TIME
        else:
            self._all.waiting.pop(self, None)

    def _again(self) -> None:
        if self._state is _State.OPEN:
            self._work()
            if not self._is_busy and self._state is _State.OPEN:
                self._transport.resume_reading()

    def pause_writing(self) -> None:
        """The client does not read what it was sent: it is not listened to until it does."""
        if self._state is _State.OPEN:
            self._state = _State.FULL
            self._behind = 0
            self._unread = self._transport.get_write_buffer_size()
            self._all.waiting[self] = self._all.clock() + READ_TIME
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._state is _State.FULL:
            self._state = _State.OPEN
            del self._all.waiting[self]
            self._again()

    def _tell(self, line: bytes) -> None:
        """Sends a change, unless too much waits for a client that does not read: then lets it go."""
        if self._state is _State.FULL:
            self._behind += len(line)
            if self._behind > MAX_BEHIND:
                self._drop(f"{MAX_BEHIND:,} bytes of changes wait for it")
                return
        if self._state in (_State.OPEN, _State.FULL):
            self._transport.write(line)

    def out_of_time(self) -> None:
        """What the connection waited for did not come."""
        if self._state is _State.OPEN:
            late = "the line's end" if self._lines.has_part else "auth, this registry's token,"
            farewell = refused(f"{late} did not come within {LINE_TIME:g} s; the connection is closed")
            self._leave(farewell, LINGER)
        elif self._state is _State.LEAVING:
            self._transport.abort()
        elif (unread := self._transport.get_write_buffer_size() - self._behind) < self._unread:
            self._unread, self._all.waiting[self] = unread, self._all.clock() + READ_TIME
        else:
            self._drop(f"it read nothing in {READ_TIME:g} s")

    def _drop(self, why: str) -> None:
        _log.warning("closed the connection of %s, which reads too slowly: %s", self._name(), why)
        self._state = _State.LEAVING
        self._registrar.leave(self._peer)
        self._transport.abort()

    def _leave(self, farewell: bytes, wait: float) -> None:
        self._state = _State.LEAVING
        self._registrar.leave(self._peer)
        self._all.waiting[self] = self._all.clock() + wait
        if farewell:
            self._transport.write(farewell)
        if self._has_ended:
            self._transport.close()
        else:
            self._transport.write_eof()
            self._transport.resume_reading()

    def close(self) -> None:
        """Closes now."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    def _name(self) -> str:
        name = self._transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unknown"
