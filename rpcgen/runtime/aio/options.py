"""The options of asyncio channels and servers, as types for their ``**options``."""

from __future__ import annotations

from rpcgen.runtime.sync.options import CallerOptions, ThreadServerOptions


class AsyncChannelOptions(CallerOptions, total=False):
    """Options of ``rpc.AsyncChannel``, which says what they mean."""

    keepalive: float | None


class AsyncServerOptions(ThreadServerOptions, total=False):
    """Options of ``rpc.AsyncServer``, which says what they mean."""

    inline: bool
    connection_calls: int
