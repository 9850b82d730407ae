"""From a URL to a channel."""

from __future__ import annotations

import typing

from rpcgen.runtime.address import Address

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.channel import Channel
    from rpcgen.runtime.sync.options import ChannelOptions

_LATER = ("zk", "registry", "static", "http", "https")


def connect(url: str, **options: typing.Unpack[ChannelOptions]) -> Channel:
    """Gives a channel to the server at a URL. Nothing is sent until the first call.

    Args:
        url: ``tcp://host:port``, ``tcp://[::1]:port`` or ``unix:///path``.
        **options: Those of ``rpc.Channel``.

    Raises:
        ValueError: The URL is none of these.
    """
    scheme = url.partition("://")[0]
    if scheme in _LATER and "://" in url:
        raise ValueError(
            f"{scheme}:// is not part of this version of rpcgen: use tcp://host:port or unix:///path"
        )
    address = Address.parse(url)

    from rpcgen.runtime.sync.channel import Channel

    if address.path:
        return Channel(str(address), **options)
    return Channel(address.host, address.port, **options)
