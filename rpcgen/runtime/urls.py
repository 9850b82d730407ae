"""From a URL to a channel."""

from __future__ import annotations

import typing

from rpcgen.runtime.address import Address

if typing.TYPE_CHECKING:
    from rpcgen.runtime.discovery.distributed import DistributedChannel
    from rpcgen.runtime.discovery.options import DistributedOptions
    from rpcgen.runtime.sync.channel import Channel

_REGISTRIES = ("zk", "registry", "static")
_LATER = ("http", "https")

_OF_ONE = {"timeout", "max_connections", "limits"}
"""Options of a channel to one server."""


def connect(url: str, **options: typing.Unpack[DistributedOptions]) -> Channel | DistributedChannel:
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
    """
    scheme, separator, _ = url.partition("://")
    if scheme in _LATER and separator:
        raise ValueError(
            f"{scheme}:// is not part of this version of rpcgen: use tcp://, unix://, zk://, registry:// "
            "or static://"
        )
    if scheme in _REGISTRIES and separator:
        from rpcgen.runtime.discovery.distributed import DistributedChannel

        return DistributedChannel(url, **typing.cast("typing.Any", options))

    address = Address.parse(url)
    others = options.keys() - _OF_ONE
    if others:
        raise TypeError(
            f"{url} is one server, whose channel has no option {', '.join(sorted(others))}: "
            "those are for zk://, registry:// and static://"
        )

    from rpcgen.runtime.sync.channel import Channel

    of_one = typing.cast("typing.Any", options)
    if address.path:
        return Channel(str(address), **of_one)
    return Channel(address.host, address.port, **of_one)
