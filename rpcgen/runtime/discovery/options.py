"""The options of a channel to many servers, as a type for ``**options``."""

from __future__ import annotations

import typing

from rpcgen.runtime.sync.options import ChannelOptions

if typing.TYPE_CHECKING:
    import os

    from rpcgen.runtime.discovery.balancers import Balancer


class DistributedOptions(ChannelOptions, total=False):
    """Options of ``rpc.DistributedChannel`` and ``rpc.connect``; the channel says what they mean."""

    service: str | None
    balancer: Balancer | None
    zone: str | None
    tries: int
    start_wait: float
    cache: str | os.PathLike[str] | None
