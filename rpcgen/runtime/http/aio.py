"""A channel over HTTP, for asyncio: httpcore, the engine of httpx, on streams of our own.

Connections belong to event loops, so a channel has its own for each loop that calls. What a call's time and
the end of a channel mean is as with blocking channels: see ``channel``. httpcore loses connections where a
task is cancelled inside of it: each exchange is a task of its own, which ends by losing its connection instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import typing
from time import monotonic

from rpcgen.runtime.aio.client.versions import ask_once
from rpcgen.runtime.closing import AsyncClosing
from rpcgen.runtime.contracts import SIGNATURES, Describe
from rpcgen.runtime.errors import (
    CallError,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    RemoteFault,
    Unavailable,
)
from rpcgen.runtime.http.answer import Answer
from rpcgen.runtime.http.client import CLOSED, NO_TURN, HttpCaller, Turn, translated
from rpcgen.runtime.options import end_of_call, receiving
from rpcgen.runtime.sync.client.versions import refuse

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.contracts import Contract
    from rpcgen.runtime.http.async_network import AsyncNetwork
    from rpcgen.runtime.http.client import Metadata, Protocol


class AsyncHttpChannel(HttpCaller, AsyncClosing):
    """Calls one server over HTTP, from asyncio: ``AsyncClientStub(rpc.connect_async("http://host:port/prefix"))``.

    Nothing is connected before the first call; each running call has a connection to itself, which is kept
    for the next one. Where several event loops run in several threads, they may share a channel. Close it in
    a loop that it was used in. After a fork, the child makes connections of its own, in a loop of its own.

    Args:
        url: ``http://host:port/prefix`` or ``https://…``: what the application is mounted at.
        timeout, max_connections, limits, credentials, tls, interceptors, compress, contract: As ``HttpCaller`` has
            them; interceptors may be asynchronous.

    Raises:
        ValueError, ImportError, OSError: As there.
    """

    def _start(self) -> None:
        self._process = os.getpid()
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        """What each loop has here."""

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
            EncodeError, ContractMismatch, RemoteException, RemoteFault, Unavailable, ConnectionLost, DeadlineExceeded, Cancelled,
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
            message = protocol.codec().encode_call(args, self._limits)
            end = end_of_call(protocol, timeout, self._timeout, monotonic())
            if protocol not in self._met:
                self._meet(protocol)
            contract = self._contract
            if contract is not None:
                await ask_once(contract, lambda: self._ask(contract), end)
                refuse(contract, protocol, self._target.url)
            return self._result(protocol, await self._reply(protocol, message, end, metadata))
        except CallError as error:
            raise self._told(error, protocol)  # noqa: B904 (it is that error, or has it as its cause)

    async def _reply(
        self, protocol: Protocol, message: bytes, end: float | None, metadata: Metadata | None
    ) -> bytes:
        while True:
            turn = Turn(end, self._limits.receive_time)
            try:
                exchange = functools.partial(self._exchange, message, metadata, turn)
                return await self._pool().run(turn, exchange)
            except (ConnectionLost, Unavailable) as error:
                if self._closed or not turn.may_repeat(error, protocol):
                    raise

    async def _exchange(
        self, message: bytes, metadata: Metadata | None, turn: Turn, network: AsyncNetwork
    ) -> bytes:
        request = self._request(message, metadata, turn)
        with translated(turn):
            connection = network.kept() or await network.made(turn)
            try:
                response = await connection.handle_async_request(request)
                try:
                    answer = Answer(response.status, response.headers, self._limits)
                    async for piece in response.aiter_stream():
                        if not answer.take(piece):
                            break
                finally:
                    await response.aclose()
            finally:
                turn.end_it = None  # the connection may be another call's from now on
                network.give_back(connection)
        self._hear(answer.version)
        return answer.reply()

    async def _ask(self, contract: Contract) -> CallError | None:
        codec = Describe.codec()
        message = codec.encode_call((SIGNATURES,), self._limits)
        try:
            answer = codec.decode_reply(await self._reply(Describe, message, None, None), self._limits)
        except (ProtocolError, RemoteFault):
            answer = None
        except CallError as error:
            return error
        contract.hear(answer)
        return None

    def _pool(self) -> _Pool:
        """Gives the running loop's connections."""
        if self._process != os.getpid():
            self._leave_to_parent()
        if self._closed:
            raise Unavailable(CLOSED)
        loop = asyncio.get_running_loop()
        found = self._pools.get(loop)
        if found is None:
            for other in list(self._pools):
                if other.is_closed():
                    self._pools.pop(other).network.leave_to_parent()  # nobody else can close them any more
            found = self._pools[loop] = self._new_pool()
        return found

    def _new_pool(self) -> _Pool:
        from rpcgen.runtime.http.async_network import AsyncNetwork

        return _Pool(AsyncNetwork(self._target.address, self._tls), self._most)

    def _leave_to_parent(self) -> None:
        """In a forked child: closes this process's copies of what the parent goes on using."""
        self._process = os.getpid()
        self._forget()
        inherited, self._pools = self._pools, {}
        for pool in inherited.values():
            pool.network.leave_to_parent()

    async def close(self) -> None:
        """Closes every connection; calls that run fail with ``Cancelled``. Again is harmless.

        Connections of this loop are closed when this returns; other loops' soon afterwards.
        """
        self._closed = True
        if self._process != os.getpid():
            self._leave_to_parent()
        here = asyncio.get_running_loop()
        for loop, pool in list(self._pools.items()):
            if loop is not here:
                with contextlib.suppress(RuntimeError):  # it is closed
                    loop.call_soon_threadsafe(pool.network.break_off)
        if here in self._pools:
            await self._pools[here].close()

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}asyncio channel to {self._target.url}>"


class _Pool:
    """What a channel has in one event loop.

    Args:
        network: Its connections.
        most: Calls at once; None: no limit.
    """

    def __init__(self, network: AsyncNetwork, most: int | None) -> None:
        self.network = network
        self._turns = None if most is None else asyncio.Semaphore(most)
        self._running: set[asyncio.Task[bytes]] = set()

    async def run(
        self,
        turn: Turn,
        exchange: collections.abc.Callable[
            [AsyncNetwork], collections.abc.Coroutine[typing.Any, typing.Any, bytes]
        ],
    ) -> bytes:
        """Makes an exchange; where the caller's task is cancelled, its connection is closed, and it ends by that."""
        if self._turns is not None:
            await self._take(self._turns, turn)
        task = asyncio.get_running_loop().create_task(exchange(self.network))
        self._running.add(task)
        task.add_done_callback(self._done)
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            turn.give_up()
            raise
        return task.result()

    async def _take(self, turns: asyncio.Semaphore, turn: Turn) -> None:
        if not turns.locked():
            await turns.acquire()
            return
        try:
            async with asyncio.timeout(turn.left() or None):
                await turns.acquire()
        except TimeoutError:
            raise DeadlineExceeded(NO_TURN) from None

    def _done(self, task: asyncio.Task[bytes]) -> None:
        self._running.discard(task)
        if self._turns is not None:
            self._turns.release()
        if not task.cancelled():
            task.exception()  # its caller may be gone, and nobody else is to hear of it

    async def close(self) -> None:
        """Ends every call and every connection; returns when all are closed."""
        await self.network.close()
        if self._running:
            await asyncio.wait(self._running)
