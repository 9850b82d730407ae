"""The options of channels and servers, as types for their ``**options``."""

from __future__ import annotations

import typing

from rpcgen.runtime.announce import AnnounceOptions
from rpcgen.runtime.wire.limits import Limits


class ChannelOptions(typing.TypedDict, total=False):
    """Options of ``rpc.Channel`` and ``rpc.connect``; the channel says what they mean."""

    timeout: float | None
    max_connections: int | None
    limits: Limits


class ServerOptions(AnnounceOptions, total=False):
    """Options of every server; ``rpc.Server`` says what they mean."""

    limits: Limits
    backlog: int
    drain: float | None
    grace: float
    name: str


class ThreadServerOptions(ServerOptions, total=False):
    """Options of ``rpc.ThreadServer``, which says what they mean."""

    max_workers: int


class ProcessServerOptions(ThreadServerOptions, total=False):
    """Options of ``rpc.ProcessServer``, which says what they mean."""

    processes: int | None
