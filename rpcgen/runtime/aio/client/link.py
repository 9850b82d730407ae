"""What a channel has in one event loop: the connection that takes calls, and those that calls still end on.

Everything here happens in that loop. Connecting is a task of its own, so that many calls wait for one
connection, and none of them, when it is cancelled, takes it away from the others.
"""

from __future__ import annotations

import asyncio
import typing
from time import monotonic

from rpcgen.runtime.aio.client.connection import ClientConnection
from rpcgen.runtime.errors import DeadlineExceeded, Unavailable
from rpcgen.runtime.wire.outcomes import again

if typing.TYPE_CHECKING:
    from rpcgen.runtime.aio.client.dial import Dial
    from rpcgen.runtime.aio.client.versions import AsyncVersions

_LEFT = Unavailable("the server took leave at once; the call was not sent")
CLOSED = "the channel is closed; the call was not sent"


class Link:
    """Connects when it is asked to.

    Args:
        loop: Whose it is.
        dial: Makes connections.
        versions: Of the channel.
        keepalive: See ``ClientConnection``.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, dial: Dial, versions: AsyncVersions, keepalive: float | None
    ) -> None:
        self._loop = loop
        self._dial = dial
        self._versions = versions
        self._keepalive = keepalive
        self.connection: ClientConnection | None = None
        """That takes calls."""
        self._connections: set[ClientConnection] = set()
        """All that are not closed."""
        self._connecting: asyncio.Task[Unavailable | None] | None = None
        self._made: ClientConnection | None = None
        """The last one."""
        self._ending: asyncio.Task[None] | None = None
        self._closed = False

    async def ready(self, end: float | None) -> ClientConnection:
        """Gives a connection that takes calls, and whose server takes what is sent.

        Args:
            end: The call's deadline on the clock of ``time.monotonic``.

        Raises:
            Unavailable: There is none to be had.
            DeadlineExceeded: The time was up first.
        """
        while True:
            connection = self.connection
            if connection is None:
                await self._connect(end)
                if self.connection is None:
                    raise again((self._made and self._made.ending) or _LEFT)
            elif connection.is_stuck:
                try:
                    async with asyncio.timeout(None if end is None else end - monotonic()):
                        await connection.writable()
                except TimeoutError:
                    raise DeadlineExceeded(
                        "the server did not take what was sent before; this call was not sent"
                    ) from None
            else:
                return connection

    async def _connect(self, end: float | None) -> None:
        if self._closed:
            raise Unavailable(CLOSED)
        task = self._connecting
        if task is None:
            task = self._connecting = self._loop.create_task(self._make())
        done, _ = await asyncio.wait({task}, timeout=None if end is None else max(0.0, end - monotonic()))
        if not done:
            raise DeadlineExceeded("the time was up before a connection was made; the call was not sent")
        if task.cancelled():
            raise Unavailable("the channel was closed while connecting; the call was not sent")
        failure = task.result()
        if failure is not None:
            raise Unavailable(failure.problem) from failure.__cause__

    async def _make(self) -> Unavailable | None:
        """Makes the connection, and lets the server say who it is; gives why it could not."""
        try:
            connection = await self._dial(self._new)
            self._connections.add(connection)
            connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
            await self._versions.greet(connection)
        except Unavailable as error:
            return error
        finally:
            self._connecting = None
        self._made = connection
        if self._closed:
            connection.retire()
        elif not connection.session.is_closed:
            self.connection = connection
        return None

    def connections(self) -> list[ClientConnection]:
        """Gives all that are not closed."""
        return list(self._connections)

    def _new(self) -> ClientConnection:
        return ClientConnection(self._versions.terms, self.leave, self._keepalive)

    def leave(self, connection: ClientConnection) -> None:
        """Gives no more calls to a connection."""
        if self.connection is connection:
            self.connection = None

    def retire(self) -> None:
        """Lets connections go when their calls have ended."""
        self._closed = True
        self.connection = None
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in list(self._connections):
            connection.retire()

    def end(self) -> None:
        """Does what ``close`` does, without waiting for it."""
        self._ending = self._loop.create_task(self.close())

    def leave_to_parent(self) -> None:
        """In a forked child: closes this process's copies of what the parent goes on using."""
        for connection in self._connections:
            connection.leave_to_parent()

    async def close(self) -> None:
        """Ends every call and every connection; returns when all are closed."""
        self._closed = True
        self.connection = None
        connecting = self._connecting
        if connecting is not None:
            connecting.cancel()
            await asyncio.wait({connecting})
        if self._connections:
            closing = [
                asyncio.ensure_future(made.close("the channel was closed")) for made in self._connections
            ]
            await asyncio.wait(closing)
