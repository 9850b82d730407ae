"""An asyncio channel to all servers of a registry: each call goes to one, and to another if that one fails.

This is the asyncio shell of ``distribution``, which decides. Several event loops in several threads may
share it; each has connections of its own.
"""

from __future__ import annotations

import typing
from time import monotonic

from rpcgen.runtime.closing import AsyncClosing
from rpcgen.runtime.discovery.distribution import Distribution
from rpcgen.runtime.discovery.tries import Wait
from rpcgen.runtime.errors import RpcError
from rpcgen.runtime.options import receiving

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.distribution import Metadata, Protocol
    from rpcgen.runtime.discovery.options import AsyncDistributedOptions
    from rpcgen.runtime.discovery.service import Service
    from rpcgen.runtime.discovery.tries import Steps
    from rpcgen.runtime.registry import Registry


class AsyncDistributedChannel(Distribution, AsyncClosing):
    """Calls the servers that a registry lists, from asyncio: ``AsyncClientStub(AsyncDistributedChannel())``.

    It decides as ``rpc.DistributedChannel`` does, and has one connection to each server, for all calls.
    Nothing is connected before the first call. Event loops in several threads may share it: each has
    connections to itself. Close it in a loop that it was used in. After a fork, the child begins anew.

    Args:
        registry, service, balancer, zone, timeout, tries, start_wait, cache: As ``rpc.DistributedChannel``'s.
        limits, credentials, tls, compress, keepalive: Of the channels to the servers: see ``rpc.AsyncChannel``.
        protocol: ``"framed"`` or ``"plain"`` to all servers; by default to each as its entry says.
        interceptors: What is done around each call, all its tries together; see ``rpc.Interceptor``.

    Raises:
        ValueError: The URL names no registry, or an option is out of its range.
        ImportError: The registry needs a package that is not installed.
        OSError: A certificate cannot be read.
    """

    def __init__(
        self,
        registry: Registry | str | None = None,
        service: str | None = None,
        **options: typing.Unpack[AsyncDistributedOptions],
    ) -> None:
        super().__init__(registry, service, **options)

    def _kind(self) -> collections.abc.Callable[..., typing.Any]:
        from rpcgen.runtime.discovery.async_server import AsyncServerChannel

        return AsyncServerChannel

    def call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None = None,
        tries: int | None = None,
        metadata: Metadata | None = None,
    ) -> collections.abc.Coroutine[typing.Any, typing.Any, typing.Any]:
        """Calls a method; what stubs do. A task that is cancelled meanwhile tells the server so.

        Args, Returns, Raises:
            As ``rpc.DistributedChannel.call``. A ``oneway`` call of framed messages waits for nothing: it is
            on its way.
        """
        # It gives the coroutine itself: one more around it would cost every call.
        if not self._interceptors:
            return self._call(protocol, args, timeout, tries, metadata)
        return self._call_through(protocol, args, timeout, tries, metadata)

    async def _call_through(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None,
        tries: int | None,
        metadata: Metadata | None,
    ) -> typing.Any:
        from rpcgen.runtime.interceptors import through_async

        call = self._seen_by_interceptors(protocol, args, timeout, metadata)

        def proceed() -> collections.abc.Awaitable[typing.Any]:
            return self._call(protocol, call.args, call.remaining(), tries, call.metadata or None)

        with receiving(call.reply_metadata):
            return await through_async(self._interceptors, call, proceed)

    async def _call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None,
        tries: int | None,
        metadata: Metadata | None,
    ) -> typing.Any:
        begin = monotonic()
        usual = self._pick(protocol, args, begin)
        if usual is None:
            careful = self._careful(protocol, args, timeout, tries, begin, [])
            return await _do(careful, protocol, args, metadata)
        service, endpoint, channel = usual
        running = endpoint.running
        running.append(None)
        own = self._timeout if timeout is None and protocol.timeout is None else timeout
        try:
            result = await channel.call(protocol, args, own, None, metadata)
        except RpcError as error:
            failed = self._judge(service, endpoint, error, begin)
            if failed is None:
                raise
        else:
            if endpoint.failures:
                service.succeeded(endpoint)
            return result
        finally:
            running.pop()
        return await _do(
            self._careful(protocol, args, timeout, tries, begin, failed), protocol, args, metadata
        )

    async def close(self) -> None:
        """Closes every connection; calls that run fail with ``Cancelled``. Again is harmless.

        Connections of this loop are closed when this returns; other loops' soon afterwards. A registry that
        was opened from a URL is closed as well.
        """
        import asyncio

        services, registry = self._end()
        await asyncio.gather(*(channel.close() for service in services for channel in service.channels()))
        if services or registry is not None:
            # What feeds a list may be waited for.
            await asyncio.to_thread(_leave_registry, services, registry)

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}asyncio channel to the servers of {self.registry_url}>"


def _leave_registry(services: list[Service], registry: Registry | None) -> None:
    for service in services:
        service.unwatch()
    if registry is not None:
        registry.close()


async def _do(
    steps: Steps, protocol: Protocol, args: tuple[object, ...], metadata: Metadata | None
) -> typing.Any:
    """Takes the steps of a call; gives what it returned."""
    answer: typing.Any = None
    failure: BaseException | None = None
    try:
        while True:
            step = steps.send(answer) if failure is None else steps.throw(failure)
            failure = None
            try:
                if isinstance(step, Wait):
                    answer = await step.latch.wait_async(step.seconds)
                else:
                    answer = await step.channel.call(protocol, args, step.timeout, None, metadata)
            except BaseException as error:
                failure = error
    except StopIteration as done:
        return done.value
    finally:
        del failure  # it knows this frame by its traceback
