"""Servers in this process and the registry that lists them, for tests of channels to many."""

from __future__ import annotations

import contextlib
import typing

from rpcgen import runtime as rpc
from rpcgen.runtime.discovery.service import Service
from rpcgen.runtime.registry import Instance
from tests.support import services
from tests.support.registries import MemoryRegistry
from tests.support.shells import Many, open_connections


class WaitAgainProtocol(services.WaitProtocol):
    """@idempotent int wait(1: int number)"""

    idempotent = True


class EchoAgainProtocol(services.EchoProtocol):
    """@idempotent bytes echo(1: bytes data)"""

    idempotent = True


def counting() -> services.Handlers:
    """Handlers whose ``run("count")`` adds a line."""
    handlers = services.Handlers()

    def count() -> int:
        handlers.lines.append("count")
        return len(handlers.lines)

    handlers.actions["count"] = count
    return handlers


class Fleet:
    """Servers, each with handlers of its own, and a registry in memory that lists them all.

    Args:
        count: Of servers.
        many: Makes the channels to them.
    """

    def __init__(self, count: int, many: Many = rpc.DistributedChannel) -> None:
        self._many = many
        self.registry = MemoryRegistry()
        self.handlers = [counting() for _ in range(count)]
        self.servers = [services.ThreadServer("127.0.0.1", 0, handlers) for handlers in self.handlers]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> typing.Self:
        for server in self.servers:
            self._stack.enter_context(server)
        self.list(*range(len(self.servers)))
        return self

    def __exit__(self, *error: object) -> None:
        for handlers in self.handlers:
            handlers.go_on.set()
        self._stack.close()
        self.registry.close()

    def instance(self, number: int, **said: typing.Any) -> Instance:
        return Instance("127.0.0.1", self.servers[number].port, **said)

    def list(self, *numbers: int) -> None:
        """Makes the registry list these servers alone."""
        self.registry.set("", *map(self.instance, numbers))

    def channel(self, **options: typing.Any) -> typing.Any:
        return self._many(self.registry, **options)

    def stop(self, number: int) -> None:
        """Ends a server with all its connections."""
        self.servers[number].shutdown(0)

    def calls(self, number: int) -> int:
        """How many calls of ``run("count")`` have come to a server."""
        return len(self.handlers[number].lines)


def service(channel: typing.Any, name: str = "") -> Service:
    """Gives what the channel, of any kind, knows of a service."""
    found: Service = channel._services[name]
    return found


def connections(channel: typing.Any) -> int:
    """How many connections a channel has open, to all servers that it knows."""
    return sum(
        open_connections(endpoint.channel)
        for service in channel._services.values()
        for endpoint in (*service.router.endpoints, *service._leaving)
        if endpoint.channel is not None
    )
