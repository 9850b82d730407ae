"""An asyncio channel to one server of several: connecting takes a part of a call's time only."""

from __future__ import annotations

import time
import typing

from rpcgen.runtime.aio.client.channel import AsyncChannel
from rpcgen.runtime.aio.client.link import Link
from rpcgen.runtime.aio.client.pool import Pool
from rpcgen.runtime.discovery.server import time_to_connect, too_slow
from rpcgen.runtime.errors import DeadlineExceeded

if typing.TYPE_CHECKING:
    import asyncio
    import collections.abc

    from rpcgen.runtime.aio.client.pool import PoolConnection

    Made = typing.TypeVar("Made")


class AsyncServerChannel(AsyncChannel):
    """See the module."""

    def _new_link(self, loop: asyncio.AbstractEventLoop) -> Link | Pool:
        if self._is_plain:
            return _Pool(loop, self._dial, self._limits)
        return _Link(loop, self._dial, self.versions, self._keepalive)


class _Link(Link):
    async def _connect(self, end: float | None) -> None:
        await _in_time(super()._connect, end)


class _Pool(Pool):
    async def _connect(self, end: float | None) -> PoolConnection:
        return await _in_time(super()._connect, end)


async def _in_time(
    connect: collections.abc.Callable[[float | None], collections.abc.Awaitable[Made]], end: float | None
) -> Made:
    now = time.monotonic()
    wait = time_to_connect(end, now)
    try:
        return await connect(now + wait)
    except DeadlineExceeded as error:
        if end is not None and time.monotonic() >= end:
            raise
        raise too_slow(wait) from error
