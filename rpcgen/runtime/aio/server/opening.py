"""A connection that has not said anything: its first byte tells whether it is framed or plain."""

from __future__ import annotations

import typing

from rpcgen.runtime.aio.server.connection import Connection
from rpcgen.runtime.aio.server.framed import FramedConnection
from rpcgen.runtime.aio.server.plain import PlainConnection
from rpcgen.runtime.aio.server.serving import QUIET, Phase
from rpcgen.runtime.wire.frames import FIRST_BYTE

if typing.TYPE_CHECKING:
    import asyncio

    from rpcgen.runtime.aio.server.serving import Serving


class Opening(Connection):
    """Becomes a framed or plain connection with its first byte."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(serving)
        self._has_room = True
        self._next: FramedConnection | PlainConnection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._has_room = self.serving.joined(self)
        if self.serving.phase is not Phase.SERVING:
            self.drain()

    def data_received(self, data: bytes) -> None:
        if self._is_parted:
            return
        is_framed = data[0] == FIRST_BYTE
        made = FramedConnection(self.serving) if is_framed else PlainConnection(self.serving)
        self._next = made
        self.serving.replaced(self, made)
        self.transport.set_protocol(made)
        made.connection_made(self.transport)
        if not self._has_room:
            made.refuse(f"over {self.serving.limits.connections} connections; the call has not run", data)
        elif self.serving.phase is not Phase.SERVING:
            made.refuse("the server is closing; the call has not run", data)
        elif isinstance(made, PlainConnection) and not self.serving.takes_plain:
            made.turn_away()
        else:
            made.data_received(data)

    def overdue(self, now: float) -> str | None:
        # Who says nothing at all is no client yet: it may stay no longer than a message may take.
        patience = min(self.serving.limits.receive_time, self.serving.limits.idle_time)
        return "" if now - self.since > patience else None

    def connection_lost(self, exc: Exception | None) -> None:
        self.serving.left(self)

    def drain(self) -> None:
        self.serving.loop.call_later(QUIET, self._part_if_silent)

    def _part_if_silent(self) -> None:
        if self._next is None:
            self.part(QUIET)

    def dismiss(self, problem: str) -> None:
        self.part(QUIET)
