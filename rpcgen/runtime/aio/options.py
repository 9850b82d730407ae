"""The options of asyncio channels and servers, as types for their ``**options``."""

from __future__ import annotations

from rpcgen.runtime.announce import AnnounceOptions
from rpcgen.runtime.wire.limits import Limits


class AsyncServerOptions(AnnounceOptions, total=False):
    """Options of ``rpc.AsyncServer``, which says what they mean."""

    limits: Limits
    backlog: int
    drain: float | None
    grace: float
    name: str
    inline: bool
    max_workers: int
    connection_calls: int
    max_calls: int
