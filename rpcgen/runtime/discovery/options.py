"""The options of channels to many servers, as types for their ``**options``."""

from __future__ import annotations

import typing

from rpcgen.runtime.aio.options import AsyncChannelOptions
from rpcgen.runtime.sync.options import CallerOptions, ChannelOptions

if typing.TYPE_CHECKING:
    import os

    from rpcgen.runtime.discovery.balancers import Balancer


class DistributionOptions(CallerOptions, total=False):
    """Options of both; ``rpc.DistributedChannel`` says what they mean."""

    balancer: Balancer | None
    zone: str | None
    tries: int
    start_wait: float
    cache: str | os.PathLike[str] | None


class DistributedOptions(ChannelOptions, DistributionOptions, total=False):
    """Options of ``rpc.DistributedChannel``, beside the registry and the service."""


class AsyncDistributedOptions(AsyncChannelOptions, DistributionOptions, total=False):
    """Options of ``rpc.AsyncDistributedChannel``, beside the registry and the service."""


class ConnectOptions(DistributedOptions, total=False):
    """Options of ``rpc.connect``."""

    service: str | None


class AsyncConnectOptions(AsyncDistributedOptions, total=False):
    """Options of ``rpc.connect_async``."""

    service: str | None
    max_connections: int | None
    """Over HTTP alone."""
