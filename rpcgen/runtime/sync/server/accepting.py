"""Accepting from a listening socket, whichever kind of loop tells that there is something to accept.

A loop calls ``accept`` when the socket is readable, and looks at ``resume`` afterwards: until then it
leaves the socket alone, because another process shall have the next connection, or there is no room.
"""

from __future__ import annotations

import errno
import logging
import socket
import time
import typing

from rpcgen.runtime.sync.processes.sharing import MOMENT

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.processes.sharing import Share

_log = logging.getLogger("rpcgen")

_A_TURN = 64
"""Connections that are accepted before those that are there have their turn."""

_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_PAUSE = 0.25
"""Seconds without accepting once descriptors or memory have run out."""

_SILENCE = 60.0
"""Seconds in which the log does not repeat that there is no room."""


def peer_of(where: typing.Any) -> str:
    """Gives where a client is, for people, from what ``accept`` says of it."""
    if not isinstance(where, tuple) or not where:
        return "a Unix socket"
    return f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"


class Acceptor:
    """Takes the connections that wait at a socket.

    Args:
        listener: Does not block.
        share: In accepting, with other processes; None: there are no others.
    """

    def __init__(self, listener: socket.socket, share: Share | None = None) -> None:
        self.listener = listener
        self._share = share
        self.resume = 0.0
        """On the clock of ``time.monotonic``; in the past: accept whenever there is something."""
        self._say_again = 0.0

    def count(self, connections: int) -> None:
        """Tells other processes how many connections there are here."""
        if self._share is not None:
            self._share.count(connections)

    def accept(self, connections: int, most: int = _A_TURN) -> list[tuple[socket.socket, typing.Any]]:
        """Gives some of the connections that wait, with where they come from.

        Args:
            connections: That are there already.
            most: To be given.
        """
        if self._share is None:
            return self._take(most, connections)
        if self._share.leaves(connections):
            self.resume = time.monotonic() + MOMENT
            return []
        return self._take(1, connections)

    def accept_last(self, most: int) -> list[tuple[socket.socket, typing.Any]]:
        """Gives all connections that wait, before the socket is closed: whoever waits may have sent a call."""
        return self._take(most, 0)

    def say_full(self, what: str, connections: int) -> None:
        """Says in the log that there is no room, once a minute."""
        now = time.monotonic()
        if now >= self._say_again:
            self._say_again = now + _SILENCE
            _log.error("%s (%d are open; said once a minute)", what, connections)

    def _take(self, most: int, connections: int) -> list[tuple[socket.socket, typing.Any]]:
        taken: list[tuple[socket.socket, typing.Any]] = []
        for _ in range(most):
            try:
                taken.append(self.listener.accept())
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self.say_full(f"cannot accept connections: {error.strerror}", connections + len(taken))
                    self.resume = time.monotonic() + _PAUSE
                    break
                # That client is gone again.
        return taken
