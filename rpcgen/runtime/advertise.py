"""Which address clients are told to reach a server at.

What the program says, else where the server listens; where that is all of a machine's
addresses, the one that leads to the registry, for clients come by the same way.
"""

from __future__ import annotations

import socket

from rpcgen.runtime.address import Address

_WILDCARDS = {"", "0.0.0.0", "::"}
"""What a socket is bound to that listens at all of a machine's addresses, and no client can call."""


def advertised(text: str) -> tuple[str, int | None]:
    """Reads what ``advertise=`` says: a host, or a host and a port.

    Args:
        text: ``host``, ``host:port``, ``tcp://host:port``, ``[::1]:port`` or ``unix:///path``.

    Returns:
        Host, and port or None; of a Unix socket its URL, and None.

    Raises:
        TypeError, ValueError: It is none of these, or no client could call it.
    """
    if not isinstance(text, str):
        raise TypeError(f"advertise is a text, not {text!r}")
    if text.startswith("unix://"):
        return str(Address.parse(text)), None
    rest = text.removeprefix("tcp://")
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        colon, port = port[:1], port[1:]
        if not bracket or colon not in ("", ":"):
            host = ""
    elif rest.count(":") == 1:
        host, colon, port = rest.partition(":")
    else:
        host, colon, port = rest, "", ""
    if host in _WILDCARDS or any(mark in host + port for mark in "/@[]?# \t\n"):
        raise ValueError(
            f"advertise={text!r} names no host that a client can call: give host, host:port or unix:///path"
        )
    if colon and (not port.isdecimal() or not 1 <= int(port) <= 65535):
        raise ValueError(f"advertise={text!r}: {port!r} is no port; one is a number from 1 to 65535")
    return host, int(port) if colon else None


def reachable(bound: Address, told: tuple[str, int | None] | None, registry: str) -> Address:
    """Gives the address that clients are told: never one that stands for all of a machine's.

    Args:
        bound: Where the server listens.
        told: What ``advertised`` gave; None where nothing was said.
        registry: Its URL. The interface that leads there is the one that clients come by,
            and its name resolution may take as long as the system's.

    Raises:
        ValueError: The server listens at a Unix socket, and a host without a port was told.
    """
    if told is not None:
        host, port = told
        if host.startswith("unix://"):
            return Address.parse(host)
        if port is None and bound.path:
            raise ValueError(f"advertise={host!r} lacks a port: {bound} has none of its own")
        return Address(host, bound.port if port is None else port)
    if bound.path or bound.host not in _WILDCARDS:
        return bound
    families = (socket.AF_INET,) if bound.host == "0.0.0.0" else (socket.AF_INET6, socket.AF_INET)
    for family in families:
        for host in _hosts(registry):
            found = _source(family, host)
            if found is not None:
                return Address(found, bound.port)
    return Address(socket.gethostname(), bound.port)


def _hosts(url: str) -> list[str]:
    """Gives the hosts in the URL of a registry."""
    places = url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
    hosts = []
    for place in places.split(","):
        host = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
        if host:
            hosts.append(host)
    return hosts


def _source(family: socket.AddressFamily, host: str) -> str | None:
    """Gives the address of this machine that packets to a host come from; none is sent."""
    try:
        where = socket.getaddrinfo(host, 9, family, socket.SOCK_DGRAM)[0][4]
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(where)
            found: str = sock.getsockname()[0]
    except (OSError, UnicodeError):
        return None
    # One with a scope (fe80::1%eth0) means something on this machine alone.
    return None if found in _WILDCARDS or "%" in found or found.startswith("fe80:") else found
