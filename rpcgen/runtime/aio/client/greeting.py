"""Takes the server's HELLO before the first call is sent, and nothing else: that is for the call to meet."""

from __future__ import annotations

import asyncio
import typing

from rpcgen.runtime.wire.hello import missing

if typing.TYPE_CHECKING:
    from rpcgen.runtime.aio.client.connection import ClientConnection


class Greeting(asyncio.Protocol):
    """Stands in for a connection until HELLO has come; then what came with it waits for the first call.

    Args:
        connection: That shall stand there again afterwards.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._data = b""
        self._done = self._loop.create_future()
        self._has_left = False

    async def wait(self, seconds: float) -> None:
        """Waits until the server has said HELLO or something else, so many seconds at most."""
        try:
            await asyncio.wait([self._done], timeout=seconds)
        finally:
            if self._data and self._done.done() and not self._has_left:
                self._connection.send = self._send  # type: ignore[method-assign, assignment]
                self._loop.call_later(seconds, self._leave)
            else:
                self._leave()

    def _send(self, *call: typing.Any) -> typing.Any:
        """Sends the first call; what has come before it may be its answer."""
        vars(self._connection).pop("send", None)
        self._loop.call_soon(self._leave)
        return self._connection.send(*call)

    def _leave(self) -> None:
        if self._has_left:
            return
        self._has_left = True
        connection, data = self._connection, self._data
        vars(connection).pop("send", None)
        connection.transport.set_protocol(connection)
        if data:
            connection.data_received(data)

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)
        if not self._data:
            self._leave()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._done.done():
            return
        size = missing(self._data)
        if size is None:
            self._finish()
        elif size <= 0:
            end = len(self._data) + size
            hello, self._data = self._data[:end], self._data[end:]
            self._connection.data_received(hello)
            self._finish()

    def eof_received(self) -> bool | None:
        self._finish()
        self._leave()
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish()
        self._leave()
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()
