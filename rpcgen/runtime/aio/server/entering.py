"""How connections come to an asyncio server: accepted, made ready, with TLS where it has it.

Until TLS is agreed on, a connection is a task here, and nobody else knows of it: those that take
their time hold up nobody, and none takes longer than a message may.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import typing
from time import monotonic

from rpcgen.runtime.sync.server.accepting import Acceptor, peer_of
from rpcgen.runtime.transport import tune

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.sync.processes.sharing import Share

_log = logging.getLogger("rpcgen")

REFUSED = 256
"""Connections beyond the limit that may be there to be told so; more are closed without a word."""

FAREWELL = 1.0
"""Seconds in which the two ends take leave of each other by TLS, and a server that stops waits for newcomers."""


class Entrance:
    """Accepts connections in the running loop, from ``open`` to ``close``.

    Args:
        listener: Does not block.
        share: In accepting, with other processes.
        make: Makes the protocol of a connection.
        there: Gives how many connections are there already.
        most: Connections at once.
        tls: None: without.
        patience: Seconds that agreeing on TLS may take.
    """

    def __init__(
        self,
        listener: socket.socket,
        share: Share | None,
        make: collections.abc.Callable[[], asyncio.Protocol],
        there: collections.abc.Callable[[], int],
        *,
        most: int,
        tls: ssl.SSLContext | None,
        patience: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._acceptor = Acceptor(listener, share)
        self._make = make
        self._there = there
        self._most = most
        self._tls = tls
        self._limits = {"ssl_handshake_timeout": patience, "ssl_shutdown_timeout": FAREWELL} if tls else {}
        self._entering: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_open = False

    def open(self) -> None:
        """Accepts from now on."""
        self._is_open = True
        self.count()
        self._loop.add_reader(self._acceptor.listener.fileno(), self._accept)

    def count(self) -> None:
        """Tells other processes how many connections there are here."""
        self._acceptor.count(self._number())

    def close(self) -> None:
        """Takes who waits already, then accepts no more. Again is harmless."""
        if not self._is_open:
            return
        self._is_open = False
        if self._pause is None:
            self._loop.remove_reader(self._acceptor.listener.fileno())
        else:
            self._pause.cancel()
        for sock, where in self._acceptor.accept_last(self._most):
            self._take(sock, where)
        self._acceptor.listener.close()

    async def settle(self) -> None:
        """Waits, after ``close``, until everybody who was accepted is there or has given up."""
        if self._entering:
            _, late = await asyncio.wait(self._entering, timeout=FAREWELL)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _number(self) -> int:
        return self._there() + len(self._entering)

    def _accept(self) -> None:
        for sock, where in self._acceptor.accept(self._number()):
            self._take(sock, where)
        wait = self._acceptor.resume - monotonic()
        if wait > 0:
            self._loop.remove_reader(self._acceptor.listener.fileno())
            self._pause = self._loop.call_later(wait, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._acceptor.listener.fileno(), self._accept)

    def _take(self, sock: socket.socket, where: typing.Any) -> None:
        if self._number() >= self._most + REFUSED:
            self._acceptor.say_full(
                "closed a connection: the limit of connections is far exceeded", self._number()
            )
            sock.close()
            return
        try:
            sock.setblocking(False)
            tune(sock)
        except OSError:  # that client is gone again
            sock.close()
            return
        task = self._loop.create_task(self._enter(sock, where))
        self._entering.add(task)
        task.add_done_callback(self._entered)

    async def _enter(self, sock: socket.socket, where: typing.Any) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, sock, ssl=self._tls, **self._limits)
        except OSError as error:
            # Whoever only looks whether the port is open is not worth a warning.
            level = logging.DEBUG if isinstance(error, ConnectionResetError) else logging.WARNING
            _log.log(level, "closed the connection of %s: TLS was not agreed on: %s", peer_of(where), error)

    def _entered(self, task: asyncio.Task[None]) -> None:
        self._entering.discard(task)
        self.count()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection was not taken in: this is a fault of rpcgen", exc_info=error)
