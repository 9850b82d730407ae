"""From a URL to a channel."""

from __future__ import annotations

import typing

from rpcgen.runtime.address import Address

if typing.TYPE_CHECKING:
    from rpcgen.runtime.aio.client.channel import AsyncChannel
    from rpcgen.runtime.discovery.async_distributed import AsyncDistributedChannel
    from rpcgen.runtime.discovery.distributed import DistributedChannel
    from rpcgen.runtime.discovery.options import AsyncConnectOptions, ConnectOptions
    from rpcgen.runtime.sync.client.channel import Channel

_REGISTRIES = ("zk", "registry", "static")
_LATER = ("http", "https")

_OF_MANY = {"service", "balancer", "zone", "tries", "start_wait", "cache"}
"""Options of a channel to many servers alone."""


def connect(url: str, **options: typing.Unpack[ConnectOptions]) -> Channel | DistributedChannel:
    """Gives a channel to the server at a URL, or to those that a registry lists. Nothing is sent yet.

    Args:
        url: ``tcp://host:port``, ``tcp://[::1]:port`` or ``unix:///path``: a server;
            ``zk://host:port,…/root``, ``registry://host:port`` or
            ``static://host:port,host:port``: a registry.
        **options: Those of ``rpc.Channel`` or, for a registry, of ``rpc.DistributedChannel``.

    Raises:
        ValueError: The URL is none of these, or an option is out of its range.
        TypeError: A channel to one server has no such option.
        ImportError: The registry needs a package that is not installed.
        OSError: A certificate cannot be read.
    """
    given: typing.Any = options
    if _is_registry(url):
        from rpcgen.runtime.discovery.distributed import DistributedChannel

        return DistributedChannel(url, **given)

    from rpcgen.runtime.sync.client.channel import Channel

    return Channel(*_server(url, given), **given)


def connect_async(
    url: str, **options: typing.Unpack[AsyncConnectOptions]
) -> AsyncChannel | AsyncDistributedChannel:
    """Gives a channel for asyncio to the server at a URL, or to those that a registry lists, as ``connect``.

    It may be made outside of an event loop; nothing is to be awaited.

    Args:
        url: As ``connect``'s.
        **options: Those of ``rpc.AsyncChannel`` or, for a registry, of ``rpc.AsyncDistributedChannel``.

    Raises:
        ValueError, TypeError, ImportError, OSError: As ``connect``.
    """
    given: typing.Any = options
    if _is_registry(url):
        from rpcgen.runtime.discovery.async_distributed import AsyncDistributedChannel

        return AsyncDistributedChannel(url, **given)

    from rpcgen.runtime.aio.client.channel import AsyncChannel

    return AsyncChannel(*_server(url, given), **given)


def _is_registry(url: str) -> bool:
    """Says whether a URL names a registry, and not one server.

    Raises:
        ValueError: It is of a later version of this project.
    """
    scheme, separator, _ = url.partition("://")
    if scheme in _LATER and separator:
        raise ValueError(
            f"{scheme}:// is not part of this version of rpcgen: use tcp://, unix://, zk://, registry:// "
            "or static://"
        )
    return scheme in _REGISTRIES and bool(separator)


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
