"""A new connection to an address, without blocking the event loop."""

from __future__ import annotations

import asyncio
import socket
import typing

from rpcgen.runtime.errors import Unavailable
from rpcgen.runtime.sync.dial import CONNECT_TIME, literal, reason

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.address import Address
    from rpcgen.runtime.sync.dial import Target

    Made = typing.TypeVar("Made", bound=asyncio.BaseProtocol)


async def dial(address: Address, make: collections.abc.Callable[[], Made]) -> Made:
    """Connects to the first address of the host that answers.

    Args:
        address: Whose host may have several addresses, of both families.
        make: Makes the protocol of the connection.

    Raises:
        Unavailable: No address could be connected to; the cause is the last one's error.
    """
    failure: OSError | None = None
    for family, where in await _targets(address):
        try:
            return await _connect(family, where, make)
        except OSError as error:
            failure = error
    raise Unavailable(f"cannot connect: {reason(failure)}") from failure


async def _connect(family: int, where: typing.Any, make: collections.abc.Callable[[], Made]) -> Made:
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(CONNECT_TIME):
            await loop.sock_connect(sock, where)
        # With nothing listening, a port of the ephemeral range can be connected to from itself.
        if family != socket.AF_UNIX and sock.getsockname() == sock.getpeername():
            raise ConnectionRefusedError("Connection refused")
        if family == socket.AF_UNIX:
            return (await loop.create_unix_connection(make, sock=sock))[1]
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return (await loop.create_connection(make, sock=sock))[1]
    except BaseException:
        sock.close()
        raise


async def _targets(address: Address) -> list[Target]:
    if address.path:
        return [(socket.AF_UNIX, address.path)]
    if targets := literal(address):
        return targets
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, socket.gaierror) else error
        raise Unavailable(f"cannot find the host {address.host!r}: {why}") from error
    return [(family, where) for family, _, _, _, where in found]
