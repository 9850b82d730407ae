"""A new connection to an address, without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import typing

from rpcgen.runtime.errors import Unavailable
from rpcgen.runtime.sync.client.dial import CONNECT_TIME, connected, literal, reason

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.address import Address
    from rpcgen.runtime.sync.client.dial import Target


class Dialled(asyncio.BaseProtocol):
    """What a channel's connections have in common."""

    sock: socket.socket
    """Its transport's; for ``leave_to_parent`` alone."""

    def leave_to_parent(self) -> None:
        """In a forked child: closes the copy of what the parent goes on using, and touches nothing else of it."""
        # The transport would tell the parent's event loop, which knows the connection by its number.
        if self.sock.fileno() >= 0:
            os.close(self.sock.detach())


Made = typing.TypeVar("Made", bound=Dialled)


class Dial:
    """Makes connections to an address.

    Args:
        address: Whose host may have several addresses, of both families.
        tls: Settings, and the name to expect if it is not the host; None: without TLS.
    """

    def __init__(self, address: Address, tls: tuple[ssl.SSLContext, str | None] | None = None) -> None:
        self._address = address
        self._options: dict[str, typing.Any] = {}
        if tls is not None:
            # A socket of this machine has no name that a certificate could be for.
            name = tls[1] or ("localhost" if address.path else address.host)
            self._options = {"ssl": tls[0], "server_hostname": name}

    async def __call__(self, make: collections.abc.Callable[[], Made]) -> Made:
        """Connects to the first address of the host that answers.

        Args:
            make: Makes the protocol of the connection.

        Raises:
            Unavailable: No address could be connected to; the cause is the last one's error.
        """
        failure: OSError | None = None
        problem = ""
        for family, where in await _targets(self._address):
            try:
                sock = await _connected(family, where)
            except OSError as error:
                failure, problem = error, f"cannot connect: {reason(error)}"
                continue
            try:
                return await self._opened(sock, make)
            except OSError as error:
                failure, problem = error, f"the TLS handshake failed: {_said(error)}"
        raise Unavailable(problem or f"cannot connect: {reason(None)}") from failure

    async def _opened(self, sock: socket.socket, make: collections.abc.Callable[[], Made]) -> Made:
        loop = asyncio.get_running_loop()
        is_local = sock.family == socket.AF_UNIX
        create = loop.create_unix_connection if is_local else loop.create_connection
        try:
            async with asyncio.timeout(CONNECT_TIME):
                _, made = await create(make, sock=sock, **self._options)
        except BaseException:
            sock.close()
            raise
        made.sock = sock
        return made


async def _connected(family: int, where: typing.Any) -> socket.socket:
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(CONNECT_TIME):
            await loop.sock_connect(sock, where)
        connected(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _said(error: OSError) -> str:
    from rpcgen.runtime.sync.tls import said

    if isinstance(error, TimeoutError):
        return f"it was not done within {CONNECT_TIME:g} s"
    return said(error)


async def _targets(address: Address) -> list[Target]:
    if address.path:
        return [(socket.AF_UNIX, address.path)]
    if targets := literal(address):
        return targets
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.lookup, address.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, socket.gaierror) else error
        raise Unavailable(f"cannot find the host {address.host!r}: {why}") from error
    return [(family, where) for family, _, _, _, where in found]
