"""The options of channels and servers, as types for their ``**options``."""

from __future__ import annotations

import typing

from rpcgen.runtime.announce import AnnounceOptions
from rpcgen.runtime.wire.limits import Limits

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.contracts import Mode
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.tls import TLS


class CallerOptions(typing.TypedDict, total=False):
    """Options of every channel, blocking or asyncio; each says what they mean."""

    timeout: float | None
    limits: Limits
    protocol: typing.Literal["framed", "plain"]
    credentials: str
    tls: TLS | ssl.SSLContext | bool | None
    interceptors: collections.abc.Sequence[Interceptor]
    compress: collections.abc.Sequence[str]
    contract: Mode


class ChannelOptions(CallerOptions, total=False):
    """Options of ``rpc.Channel`` and ``rpc.connect``; the channel says what they mean."""

    max_connections: int | None
    multiplex: bool


class ServerOptions(AnnounceOptions, total=False):
    """Options of every server; ``rpc.Server`` says what they mean."""

    limits: Limits
    backlog: int
    drain: float | None
    grace: float
    name: str
    authenticate: collections.abc.Callable[[str], str] | None
    plain: bool | None
    tls: TLS | ssl.SSLContext | None
    interceptors: collections.abc.Sequence[Interceptor]
    compress: collections.abc.Sequence[str]


class ThreadServerOptions(ServerOptions, total=False):
    """Options of ``rpc.ThreadServer``, which says what they mean."""

    max_workers: int
    max_calls: int


class ProcessServerOptions(ThreadServerOptions, total=False):
    """Options of ``rpc.ProcessServer``, which says what they mean."""

    processes: int | None
    workers: typing.Literal["threads", "asyncio"]
    inline: bool
    connection_calls: int
