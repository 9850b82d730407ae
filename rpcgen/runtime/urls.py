"""From a URL to a channel."""

from __future__ import annotations

import typing

from rpcgen.runtime.address import Address

if typing.TYPE_CHECKING:
    from rpcgen.runtime.aio.client.channel import AsyncChannel
    from rpcgen.runtime.discovery.async_distributed import AsyncDistributedChannel
    from rpcgen.runtime.discovery.distributed import DistributedChannel
    from rpcgen.runtime.discovery.options import AsyncConnectOptions, ConnectOptions
    from rpcgen.runtime.http.aio import AsyncHttpChannel
    from rpcgen.runtime.http.channel import HttpChannel
    from rpcgen.runtime.sync.client.channel import Channel

_REGISTRIES = ("zk", "registry", "static")
_HTTP = ("http", "https")

_OF_MANY = {"service", "balancer", "zone", "tries", "start_wait", "cache"}
"""Options of a channel to many servers alone."""

_OF_CONNECTIONS = {"protocol", "multiplex", "keepalive"}
"""Options of channels that speak rpcgen's own messages over a connection alone."""


def connect(url: str, **options: typing.Unpack[ConnectOptions]) -> Channel | DistributedChannel | HttpChannel:
    """Gives a channel to the server at a URL, or to those that a registry lists. Nothing is sent yet.

    Args:
        url: ``tcp://host:port``, ``tcp://[::1]:port`` or ``unix:///path``: a server;
            ``zk://host:port,…/root``, ``registry://host:port`` or
            ``static://host:port,host:port``: a registry; ``http://host:port/prefix`` or
            ``https://…``: an application of ``rpc.http.asgi``.
        **options: Those of ``rpc.Channel``, for a registry of ``rpc.DistributedChannel``, over HTTP of
            ``rpc.http.HttpChannel``.

    Raises:
        ValueError: The URL is none of these, or an option is out of its range.
        TypeError: A channel to one server, or one over HTTP, has no such option.
        ImportError: The registry, or HTTP, needs a package that is not installed.
        OSError: A certificate cannot be read.
    """
    given: typing.Any = options
    if _is_registry(url):
        from rpcgen.runtime.discovery.distributed import DistributedChannel

        return DistributedChannel(url, **given)
    if _is_http(url, given):
        from rpcgen.runtime.http.channel import HttpChannel

        return HttpChannel(url, **given)

    from rpcgen.runtime.sync.client.channel import Channel

    return Channel(*_server(url, given), **given)


def connect_async(
    url: str, **options: typing.Unpack[AsyncConnectOptions]
) -> AsyncChannel | AsyncDistributedChannel | AsyncHttpChannel:
    """Gives a channel for asyncio to the server at a URL, or to those that a registry lists, as ``connect``.

    It may be made outside of an event loop; nothing is to be awaited.

    Args:
        url: As ``connect``'s.
        **options: Those of ``rpc.AsyncChannel``, for a registry of ``rpc.AsyncDistributedChannel``, over HTTP
            of ``rpc.http.AsyncHttpChannel``.

    Raises:
        ValueError, TypeError, ImportError, OSError: As ``connect``.
    """
    given: typing.Any = options
    if _is_registry(url):
        from rpcgen.runtime.discovery.async_distributed import AsyncDistributedChannel

        return AsyncDistributedChannel(url, **given)
    if _is_http(url, given):
        from rpcgen.runtime.http.aio import AsyncHttpChannel

        return AsyncHttpChannel(url, **given)

    from rpcgen.runtime.aio.client.channel import AsyncChannel

    return AsyncChannel(*_server(url, given), **given)


def _is_registry(url: str) -> bool:
    """Says whether a URL names a registry, and not one server."""
    return _has_scheme(url, _REGISTRIES)


def _is_http(url: str, options: dict[str, object]) -> bool:
    """Says whether a URL names a server of HTTP.

    Raises:
        TypeError: It does, and the options are others'.
    """
    if not _has_scheme(url, _HTTP):
        return False
    others = options.keys() & (_OF_MANY | _OF_CONNECTIONS)
    if others:
        raise TypeError(
            f"{url} is one server of HTTP, whose channel has no option {', '.join(sorted(others))}"
        )
    return True


def _has_scheme(url: str, schemes: tuple[str, ...]) -> bool:
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme.lower() in schemes


def _server(url: str, options: dict[str, object]) -> tuple[str, int | None]:
    """Gives host and port of the one server that a URL names.

    Raises:
        ValueError: It names none.
        TypeError: The options are those of many.
    """
    address = Address.parse(url)
    others = options.keys() & _OF_MANY
    if others:
        raise TypeError(
            f"{url} is one server, whose channel has no option {', '.join(sorted(others))}: "
            "those are for zk://, registry:// and static://"
        )
    return (str(address), None) if address.path else (address.host, address.port)
