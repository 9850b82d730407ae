"""``static://``: a list of servers that stands in the URL or the program, the same for every service."""

from __future__ import annotations

import typing

from rpcgen.runtime.address import Address
from rpcgen.runtime.registry import Changed, Contents, Entry, Instance, Registration, Registry, Watch

if typing.TYPE_CHECKING:
    import collections.abc

_FORM = "static://host:port,[::1]:port,unix:///path"


class StaticRegistry(Registry):
    """Servers that never change. They are failed over, ejected and let back as any others.

    Args:
        servers: ``host:port``, ``[::1]:port``, ``unix:///path``, or instances, which have
            weights and zones.

    Raises:
        ValueError: There are none, one names no address, or one is there twice.
    """

    def __init__(self, servers: collections.abc.Iterable[str | Instance]) -> None:
        self._instances = tuple(
            server if isinstance(server, Instance) else _instance(server) for server in servers
        )
        if not self._instances:
            raise ValueError(f"a list without servers: say which, {_FORM}")
        addresses = [instance.address for instance in self._instances]
        twice = [address for address in addresses if addresses.count(address) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is in the list twice")
        self.url = "static://" + ",".join(address.removeprefix("tcp://") for address in addresses)
        self._closed = False

    def path(self, service: str) -> str:
        return "the list itself"

    def register(self, service: str, instance: Instance) -> Registration:
        raise ValueError(
            f"{self.url} is a list that does not change: servers register at zk:// or registry://; "
            "give registry='' to register nowhere"
        )

    def watch(self, service: str, on_change: Changed | None = None) -> Watch:
        if self._closed:
            raise RuntimeError(f"the registry {self.url} is closed")
        watch = Watch(on_change, lambda: None)
        watch.found(self._instances)
        return watch

    def contents(self, timeout: float = 10.0) -> Contents:
        entries = [Entry("", one.address, one.encode(), one, owner="the list") for one in self._instances]
        return Contents(tuple(entries))

    def close(self) -> None:
        self._closed = True


def open_url(url: str, options: dict[str, typing.Any]) -> StaticRegistry:
    """Gives the registry of a ``static://`` URL.

    Raises:
        ValueError: It names no servers, or there are options: it has none.
    """
    rest, question, query = url.removeprefix("static://").partition("?")
    if question or options:
        given = query or ", ".join(options)
        raise ValueError(f"{url!r}: static:// has no options, {given} was given; it is {_FORM}")
    try:
        return StaticRegistry(part for part in rest.split(",") if part)
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}") from None


def _instance(text: str) -> Instance:
    try:
        address = Address.parse(text if text.startswith("unix://") else f"tcp://{text}")
        if not address.path and address.port == 0:
            raise ValueError("0 is no port")
    except ValueError:
        raise ValueError(f"{text!r} names no server: one is host:port, [::1]:port or unix:///path") from None
    return Instance(str(address) if address.path else address.host, address.port)
