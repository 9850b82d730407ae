"""What framed connections of a channel have in common: a session, bytes for it, and the first words.

A channel that compares versions waits a little for the server's HELLO before the first call; otherwise that
goes out together with this end's HELLO.
"""

from __future__ import annotations

import collections
import contextlib
import socket
import typing
from time import monotonic

from rpcgen.runtime.contracts import PATIENCE
from rpcgen.runtime.errors import (
    CallError,
    ConnectionLost,
    DeadlineExceeded,
    RpcError,
    Unavailable,
)
from rpcgen.runtime.sync.client.line import Line, refused_by_tls
from rpcgen.runtime.wire import events as wire, outcomes
from rpcgen.runtime.wire.client import SPEECH_HINT, ClientSession
from rpcgen.runtime.wire.hello import FINGERPRINT, missing

if typing.TYPE_CHECKING:
    from rpcgen.runtime.contracts import Contracts
    from rpcgen.runtime.sync.client.line import Socket
    from rpcgen.runtime.wire.events import Event
    from rpcgen.runtime.wire.hello import Hello, Terms

HANDSHAKE = 3.0
"""Seconds in which a server must have said HELLO."""

LAST_WORDS = 1.0
"""Seconds that a server has to read ``oneway`` calls before their connection is closed."""

ONCE = (64 * 1024,)
"""Bytes of one receive."""


class FramedLine(Line):
    """What framed connections have in common: a session, and bytes for it.

    Args:
        sock: Connected and blocking.
        terms: Of the channel.
    """

    __slots__ = ("_arrived", "_contracts", "_hello_by", "_space", "_unheard", "leaves", "session")

    def __init__(self, sock: Socket, terms: Terms) -> None:
        super().__init__(sock)
        self.session = ClientSession(terms)
        self.leaves = False
        """No more calls can be sent here."""
        self._hello_by = 0.0
        self._contracts: Contracts | None = None
        self._arrived: collections.deque[bytes | int] = collections.deque()
        """What was received and not taken: bytes, or how many there are in ``_space``."""
        self._space: memoryview | None = None
        """Where the session wants the next bytes."""
        self._unheard = False
        """A ``oneway`` call was sent, and nothing has come since that shows that the server has read it."""

    def _receive(self, end: float | None) -> None:
        """Receives once; ``_take`` goes on.

        Raises:
            DeadlineExceeded: The time was up.
            ConnectionLost: The connection broke, or the server takes too long to speak.
            Unavailable: The server refuses what it was shown in the TLS handshake.
        """
        while not self._arrived:
            until, late = self._until(end)
            wait = 0.0
            if until is not None:
                wait = until - monotonic()
                if wait <= 0:
                    raise late[0](late[1])
            self._receive_within(wait)
            try:
                # In one step: a signal's handler that raises afterwards finds what has come in its place.
                if self._space is None:
                    self._arrived.extend(map(self.sock.recv, ONCE))
                else:
                    self._arrived.extend(map(self.sock.recv_into, (self._space,)))
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._broken(error) from error

    def _until(self, end: float | None) -> tuple[float | None, tuple[type[CallError], str]]:
        """Gives by when something must come, and what it means if nothing does."""
        session = self.session
        since = session.incomplete_since
        until, late = end, LATE
        if session.peer is None:
            if until is None or self._hello_by < until:
                until, late = self._hello_by, _SILENT
        elif since is not None:
            latest = since + session.terms.limits.receive_time
            if until is None or latest < until:
                slow = f"a reply took longer than {session.terms.limits.receive_time:g} s to come"
                until, late = latest, (ConnectionLost, slow)
        return until, late

    def _broken(self, error: OSError) -> CallError:
        refusal = refused_by_tls(self.sock, error) if self.session.peer is None else None
        if refusal is not None:
            return Unavailable(f"the TLS handshake failed: {refusal}")
        reason = error.strerror or error
        if self.session.peer is None:
            return ConnectionLost(f"the connection broke before the server's HELLO: {reason}; {SPEECH_HINT}")
        where = "broke inside the reply" if self.session.incomplete_since is not None else "broke"
        return ConnectionLost(f"the connection {where}: {reason}")

    def _take(self) -> list[Event]:
        """Gives what has happened by what was received."""
        session = self.session
        data, now = self._arrived.popleft(), monotonic()
        self._space = None
        if not data:
            events = session.receive_end()
        elif isinstance(data, int):
            events = session.filled(data, now)
        else:
            events = session.receive(data, now)
        self._space = session.space()
        return events

    def _has_come(self) -> bool:
        """Takes what may have come to an idle connection; says whether it can be used."""
        while not self.leaves and self.is_readable():
            try:
                self._arrived.append(self.sock.recv(ONCE[0], socket.MSG_DONTWAIT))
            except BlockingIOError:
                break  # of TLS, not of ours
            except OSError:
                return False
            self._note(self._take())
        return not self.leaves

    def _note(self, events: list[Event]) -> None:
        """Heeds events that are about no call."""
        for event in events:
            if event[0] == wire.HELLO:
                self._heard(event[1])
        if any(event[0] == wire.GOAWAY or event[0] == wire.ENDED for event in events):
            self.leaves = True

    def _push_now(self) -> bool:
        """Sends what there is to send, if there is room for all of it."""
        try:
            for piece in self.session.data_to_send():
                if self.sock.send(piece, socket.MSG_DONTWAIT) != len(piece):
                    return False
        except OSError:
            return False
        return True

    def _wait_for_pong(self) -> None:
        """Waits until the server has read what was sent, for a moment: nothing that it has not read is sure to come."""
        end = monotonic() + LAST_WORDS
        self._hello_by = end
        try:
            while self.session.peer is None:
                self._receive(end)
                self._note(self._take())
            self.session.ping()
            if not self._push_now():
                return
            while not self.session.is_closed:
                self._receive(end)
                if any(event[0] == wire.PONG for event in self._take()):
                    return
        except (RpcError, OSError):
            pass

    def close(self) -> None:
        if self._unheard and self._fd >= 0 and not self.session.is_closed:
            self._wait_for_pong()
        self._unheard = False
        self.abandon()

    def greet(self, contracts: Contracts, end: float | None) -> None:
        self._contracts = contracts
        if not PATIENCE:
            return
        until = monotonic() + PATIENCE
        until = until if end is None else min(until, end)
        data = b""
        try:
            for piece in self.session.data_to_send():
                self._send_all(piece, None)
            while (size := missing(data)) is not None and size > 0:
                wait = until - monotonic()
                if wait <= 0:
                    break
                self._receive_within(wait)
                with contextlib.suppress(BlockingIOError):
                    more = self.sock.recv(size)
                    data += more
                    if not more:
                        break
        except OSError:
            pass
        if data:
            self._arrived.append(data)
            if missing(data) == 0:
                self._note(self._take())
                self._push_now()

    def _heard(self, hello: Hello) -> None:
        """Takes what the server says of itself."""
        if self._contracts is not None:
            self.fingerprint = hello.properties.get(FINGERPRINT, "")
            self.contract = self._contracts.of(self.fingerprint)


LATE: tuple[type[CallError], str] = (DeadlineExceeded, f"no reply within the call's time; {outcomes.MAYBE}")
_SILENT: tuple[type[CallError], str] = (
    ConnectionLost,
    f"no HELLO within {HANDSHAKE:g} s: {SPEECH_HINT}",
)
