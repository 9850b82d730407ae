"""A connection of an asyncio server: what framed and plain ones have in common.

Back pressure is one rule: while the client does not take replies, or too many of its calls run, nothing more
is received and no call is started. So what is kept for a connection is bounded by what one receive brings,
the calls that run, and the transport's own high-water mark.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import socket
import typing
from time import monotonic

from rpcgen.runtime.aio.filling import receive_less
from rpcgen.runtime.contexts import Context, current_call
from rpcgen.runtime.options import current_deadline
from rpcgen.runtime.sync.server.accepting import peer_of

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.aio.server.serving import Serving

_log = logging.getLogger("rpcgen")


class Connection(asyncio.Protocol):
    """A client's connection, from when it is accepted, or has shown its kind, until it is closed.

    Args:
        serving: Of its server.
    """

    transport: asyncio.Transport
    peer = "a client"
    """The client's address."""
    identity = ""
    """Who the client is."""
    certificate: collections.abc.Mapping[str, typing.Any] | None = None
    context: Context
    """Of all calls that are answered where they come; they have neither metadata nor a deadline."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.since = monotonic()
        """When it was last used."""
        self.stuck_since: float | None = None
        """Since when the client does not take replies."""
        self.ready = 0
        """Bytes of replies that threads have made and that are not here yet."""
        self._held: list[asyncio.Future[None]] = []
        """Tasks that begin when it does again."""
        self._is_paused = False
        self._resumed = 0.0
        """Since when it receives again: the client cannot help what was before that."""
        self._is_parted = False
        """This end is closed; what comes is for nobody."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = typing.cast("asyncio.Transport", transport)
        receive_less(transport)
        self.peer = _peer(transport)
        self.certificate = transport.get_extra_info("peercert") or None
        self.introduce("")

    def introduce(self, identity: str) -> None:
        """Takes note of who the client is."""
        self.identity = identity
        self.context = self.make_context(None, None)

    def make_context(
        self, metadata: collections.abc.Mapping[str, bytes] | None, deadline: float | None
    ) -> Context:
        """Makes the context of a call."""
        return Context(self.peer, metadata, deadline, self.identity, self.certificate)

    def give_context(self) -> Context:
        """Gives the context of those calls to one that goes on beyond this turn of the loop."""
        given = self.context
        self.context = self.make_context(None, None)
        return given

    def drain(self) -> None:
        """The server is leaving: what runs ends, then the connection."""
        raise NotImplementedError

    def break_off(self) -> None:
        """Closes it at once."""
        self.transport.abort()

    def dismiss(self, problem: str) -> None:
        """Closes it, after what can still be said.

        Args:
            problem: What the client did wrong; empty if it was idle for too long.
        """
        self.break_off()

    def overdue(self, now: float) -> str | None:
        """Gives why the connection's time is up; empty if it was merely idle, None if it goes on."""
        limits = self.serving.limits
        if self.stuck_since is not None and now - self.stuck_since > limits.receive_time:
            return f"it took over {limits.receive_time:g} s to take a reply"
        begun = self.begun()
        if (
            begun is not None
            and not self._is_paused
            and now - max(begun, self._resumed) > limits.receive_time
        ):
            return f"it took over {limits.receive_time:g} s to send a call"
        patience = limits.receive_time if self._is_parted else limits.idle_time
        if not self.is_busy and now - self.since > patience:
            return ""
        return None

    def begun(self) -> float | None:
        """Gives when the first byte came of a message that is half received."""
        return None

    @property
    def is_busy(self) -> bool:
        """Whether calls run or wait."""
        return False

    def pause_writing(self) -> None:
        self.stuck_since = monotonic()
        self.pause()

    def resume_writing(self) -> None:
        self._let_on()
        self.serving.loop.call_soon(self.go_on)

    async def taking(self) -> None:
        """Waits until the client takes its replies, or is gone."""
        while self.stuck_since is not None:
            held = self.serving.loop.create_future()
            self._held.append(held)
            try:
                await held
            finally:
                # One after the other: the reply of the first may be as much as the client takes.
                if self.stuck_since is None:
                    self._let_on()

    def _let_on(self) -> None:
        """The client takes its replies, or is gone: lets the first task begin that waits for that."""
        self.stuck_since = None
        while self._held:
            held = self._held.pop(0)
            if not held.done():
                held.set_result(None)
                break

    def go_on(self) -> None:
        """Starts calls that wait, and receives more, where that is possible now."""

    def go_on_soon(self) -> None:
        """Sends what this turn of the loop makes, and goes on, at the turn's end."""

    def pause(self) -> None:
        """Receives no more."""
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def receive_again(self) -> None:
        """Receives from now on."""
        if self._is_paused and not self.transport.is_closing():
            self._is_paused = False
            self._resumed = monotonic()
            self.transport.resume_reading()

    def enter(self) -> None:
        """Makes this connection what handlers see that are called right here."""
        # The loop runs a connection's callbacks in a context of their own, or of whoever made the server.
        if current_call.get() is not self.context:
            current_call.set(self.context)
            current_deadline.set(None)

    def part(self, linger: float) -> None:
        """Ends this half; closes the whole when the client has ended its own, or the time is up.

        Closing at once would reset what the client has not read, if it has sent something meanwhile.

        Args:
            linger: Seconds.
        """
        if self._is_parted or self.transport.is_closing():
            return
        self._is_parted = True
        self.since = monotonic()
        self.receive_again()
        if self.transport.can_write_eof():
            try:
                self.transport.write_eof()
            except OSError:  # the client has gone meanwhile
                self.transport.abort()
            else:
                self.serving.loop.call_later(linger, self.transport.close)
        else:
            self.transport.close()


def _peer(transport: asyncio.BaseTransport) -> str:
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return "a Unix socket"
    where = transport.get_extra_info("peername")
    return peer_of(where) if where else "a client that has gone"
