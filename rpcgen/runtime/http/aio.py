"""A channel over HTTP, for asyncio: httpcore, the engine of httpx, on streams of our own.

Connections belong to event loops, so a channel has its own for each loop that calls. What a call's time and
the end of a channel mean is as with blocking channels: see ``channel``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import typing
from time import monotonic

from rpcgen.runtime.closing import AsyncClosing
from rpcgen.runtime.errors import CallError, Cancelled, ConnectionLost, Unavailable
from rpcgen.runtime.http.answer import Answer
from rpcgen.runtime.http.client import (
    CLOSED,
    CLOSED_MEANWHILE,
    KEPT,
    NEEDED,
    Requests,
    Turn,
    named,
    outcome,
    translated,
)
from rpcgen.runtime.http.target import Target, tls_of
from rpcgen.runtime.options import checked_timeout, end_of_call, receiving
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    import httpcore

    from rpcgen.runtime.http.async_network import AsyncNetwork
    from rpcgen.runtime.http.client import Metadata, Protocol
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.tls import TLS


class AsyncHttpChannel(AsyncClosing):
    """Calls one server over HTTP, from asyncio: ``AsyncClientStub(rpc.connect_async("http://host:port/prefix"))``.

    Nothing is connected before the first call; each running call has a connection to itself, which is kept
    for the next one. Where several event loops run in several threads, they may share a channel. Close it in
    a loop that it was used in. After a fork, the child makes connections of its own, in a loop of its own.

    Args:
        url, timeout, limits, credentials, tls, interceptors, compress: As ``rpc.http.HttpChannel`` has them;
            interceptors may be asynchronous.
        max_connections: Calls at once in one event loop; further ones wait for their turn. None: no limit.

    Raises:
        ValueError, ImportError, OSError: As there.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float | None = None,
        max_connections: int | None = 100,
        limits: Limits = DEFAULT_LIMITS,
        credentials: str = "",
        tls: TLS | ssl.SSLContext | bool | None = None,
        interceptors: collections.abc.Sequence[Interceptor] = (),
        compress: collections.abc.Sequence[str] = (),
    ) -> None:
        self._target = Target.parse(url)
        if max_connections is not None and max_connections < 1:
            raise ValueError(f"max_connections is at least 1, or None; not {max_connections!r}")
        self._requests = Requests(self._target, limits, credentials, compress)
        self._tls = tls_of(self._target, tls)
        self._interceptors = tuple(interceptors)
        self._timeout = checked_timeout(timeout)
        self._max_connections = max_connections
        self._limits = limits
        self._closed = False
        self._process = os.getpid()
        self._pools: dict[asyncio.AbstractEventLoop, tuple[httpcore.AsyncConnectionPool, AsyncNetwork]] = {}
        """What each loop has here."""
        try:
            import httpcore
        except ModuleNotFoundError as error:
            raise ImportError(NEEDED) from error

        self._place = httpcore.URL(
            scheme=b"http",
            host=self._target.address.host.encode(),
            port=self._target.address.port,
            target=self._target.path,
        )

    async def call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None = None,
        tries: int | None = None,
        metadata: Metadata | None = None,
    ) -> typing.Any:
        """Calls a method; what stubs do. A task that is cancelled meanwhile lets the connection go: the server
        tells its handler.

        Args:
            protocol: The method's.
            args: All of them, positionally; ``rpc.DEFAULT`` leaves one out.
            timeout: Seconds, instead of the IDL's and the channel's.
            tries: Means nothing here: one server is tried once.
            metadata: That goes with the call, by name.

        Returns:
            What the method returned.

        Raises:
            EncodeError, RemoteException, RemoteFault, Unavailable, ConnectionLost, DeadlineExceeded, Cancelled,
                ProtocolError: As ``rpc.http.HttpChannel.call``.
        """
        if not self._interceptors:
            return await self._call(protocol, args, timeout, metadata)

        from rpcgen.runtime.interceptors import client_call, through_async

        end = end_of_call(protocol, timeout, self._timeout, monotonic())
        call = client_call(protocol, args, end, metadata, self._target.url)

        def proceed() -> collections.abc.Awaitable[typing.Any]:
            return self._call(protocol, call.args, call.remaining(), call.metadata or None)

        with receiving(call.reply_metadata):
            return await through_async(self._interceptors, call, proceed)

    async def _call(
        self, protocol: Protocol, args: tuple[object, ...], timeout: float | None, metadata: Metadata | None
    ) -> typing.Any:
        try:
            codec = protocol.codec()
            message = codec.encode_call(args, self._limits)
            end = end_of_call(protocol, timeout, self._timeout, monotonic())
            reply = await self._reply(protocol, message, end, metadata)
            result = codec.decode_reply(reply, self._limits)
            if reply[0] == 1:
                return result
        except CallError as error:
            error.method, error.peer = protocol.name, self._target.url
            if self._closed and isinstance(error, ConnectionLost):
                raise Cancelled(CLOSED_MEANWHILE, method=error.method, peer=error.peer) from error
            raise
        # Outside of the handlers, and with no name of this frame for it: the traceback holds the frame.
        raised = outcome(result)
        del result
        named(raised, protocol, self._target.url)
        raise raised.pop()

    async def _reply(
        self, protocol: Protocol, message: bytes, end: float | None, metadata: Metadata | None
    ) -> bytes:
        while True:
            turn = Turn(end, self._limits.receive_time)
            try:
                return await self._exchange(message, metadata, turn)
            except (ConnectionLost, Unavailable) as error:
                if self._closed or not turn.may_repeat(error, protocol):
                    raise

    async def _exchange(self, message: bytes, metadata: Metadata | None, turn: Turn) -> bytes:
        import httpcore

        pool = self._pool()
        headers, body = self._requests.make(message, metadata, turn)
        times = {"pool": turn.left() or None, "connect": turn, "write": turn, "read": turn}
        request = httpcore.Request(
            "POST", self._place, headers=headers, content=body, extensions={"timeout": times}
        )
        with translated(turn):
            response = await pool.handle_async_request(request)
            try:
                answer = Answer(response.status, response.headers, self._limits)
                async for piece in response.aiter_stream():
                    if not answer.take(piece):
                        break
            finally:
                await response.aclose()
        return answer.reply()

    def _pool(self) -> httpcore.AsyncConnectionPool:
        """Gives the running loop's connections."""
        if self._process != os.getpid():
            self._leave_to_parent()
        if self._closed:
            raise Unavailable(CLOSED)
        loop = asyncio.get_running_loop()
        found = self._pools.get(loop)
        if found is None:
            found = self._pools[loop] = self._new_pool()
        return found[0]

    def _new_pool(self) -> tuple[httpcore.AsyncConnectionPool, AsyncNetwork]:
        import httpcore

        from rpcgen.runtime.http.async_network import AsyncNetwork

        for other in list(self._pools):
            if other.is_closed():
                self._pools.pop(other)[1].leave_to_parent()  # nobody else can close them any more
        network = AsyncNetwork(self._target.address, self._tls)
        pool = httpcore.AsyncConnectionPool(
            max_connections=self._max_connections, keepalive_expiry=KEPT, network_backend=network
        )
        return pool, network

    def _leave_to_parent(self) -> None:
        """In a forked child: closes this process's copies of what the parent goes on using."""
        self._process = os.getpid()
        inherited, self._pools = self._pools, {}
        for _, network in inherited.values():
            network.leave_to_parent()

    async def close(self) -> None:
        """Closes every connection; calls that run fail with ``Cancelled``. Again is harmless.

        Connections of this loop are closed when this returns; other loops' soon afterwards.
        """
        self._closed = True
        if self._process != os.getpid():
            self._leave_to_parent()
        here = asyncio.get_running_loop()
        for loop, (_, network) in list(self._pools.items()):
            if loop is not here:
                with contextlib.suppress(RuntimeError):  # it is closed
                    loop.call_soon_threadsafe(network.break_off)
        if here in self._pools:
            await self._pools[here][1].close()

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a channel cannot be pickled: give the other process its URL")

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}asyncio channel to {self._target.url}>"
