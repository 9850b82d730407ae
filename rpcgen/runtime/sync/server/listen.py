"""Sockets that listen."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

from rpcgen.runtime.address import Address


def listen(address: Address, backlog: int) -> socket.socket:
    """Binds and listens. The file of a Unix socket whose server is gone is replaced.

    Returns:
        A socket that does not block.

    Raises:
        OSError: The message names the address; ``EADDRINUSE`` if another server has it.
    """
    sock: socket.socket | None = None
    try:
        if address.path:
            _remove_stale(address.path)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(address.path)
        else:
            family, kind, protocol, _, where = socket.getaddrinfo(
                address.lookup or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            # asyncio, and with it uvicorn, sends at once only where the protocol is said to be TCP.
            sock = socket.socket(family, kind, protocol)
            # A server that starts again must not wait for the connections of its last life.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(where)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise OSError(error.errno, f"cannot listen at {address}: {error.strerror or error}") from error
    return sock


def address_of(sock: socket.socket) -> Address:
    """Gives the address that a bound socket really has: a port of 0 has become one."""
    name = sock.getsockname()
    return Address("", 0, name) if sock.family == socket.AF_UNIX else Address(name[0], name[1])


def file_id(path: str) -> tuple[int, int] | None:
    """Tells a file from another that takes its place; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove_file(path: str, identity: tuple[int, int] | None) -> None:
    """Removes the file of a closed Unix socket, unless another server has put its own there."""
    if identity is not None and file_id(path) == identity:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(errno.EEXIST, "a file that is no socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass  # it is there but busy
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
