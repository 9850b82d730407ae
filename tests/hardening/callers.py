"""Channels of every kind behind one face: a call that gives its result, or its error."""

from __future__ import annotations

import asyncio
import typing

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.aio import AsyncClientStub

Way: typing.TypeAlias = typing.Literal["framed", "plain"]


class Caller(typing.Protocol):
    """A channel that is closed at the end of ``with``."""

    def divide(self, timeout: float | None = None) -> object:
        """Gives 200 / 100, or what has gone wrong."""

    def echo(self, data: bytes, timeout: float | None = None) -> object: ...
    def __enter__(self) -> typing.Self: ...
    def __exit__(self, *error: object) -> None: ...


class Blocking:
    """A blocking channel."""

    def __init__(self, port: int, way: Way, **options: typing.Any) -> None:
        self._channel = rpc.Channel("127.0.0.1", port, **options | {"protocol": way})
        self._stub = services.ClientStub(self._channel)

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.close()

    def divide(self, timeout: float | None = None) -> object:
        try:
            return rpc.with_options(self._stub, timeout=timeout).divide(200, 100)
        except rpc.RpcError as error:
            return error

    def echo(self, data: bytes, timeout: float | None = None) -> object:
        try:
            return rpc.with_options(self._stub, timeout=timeout).echo(data)
        except rpc.RpcError as error:
            return error


class Asyncio:
    """An asyncio channel in a loop of its own."""

    def __init__(self, port: int, way: Way, **options: typing.Any) -> None:
        self._runner = asyncio.Runner()
        self._channel = rpc.AsyncChannel("127.0.0.1", port, **options | {"protocol": way})
        self._stub = AsyncClientStub(self._channel)

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._run(self._channel.close())
        finally:
            self._runner.close()

    def divide(self, timeout: float | None = None) -> object:
        return self._run(rpc.with_options(self._stub, timeout=timeout).divide(200, 100))

    def echo(self, data: bytes, timeout: float | None = None) -> object:
        return self._run(rpc.with_options(self._stub, timeout=timeout).echo(data))

    def _run(self, coroutine: typing.Coroutine[object, object, object]) -> object:
        try:
            return self._runner.run(coroutine)
        except rpc.RpcError as error:
            return error


KINDS: dict[str, tuple[typing.Callable[..., Caller], Way, dict[str, object]]] = {
    "blocking plain": (Blocking, "plain", {}),
    "blocking framed": (Blocking, "framed", {}),
    "blocking multiplexed": (Blocking, "framed", {"multiplex": True}),
    "asyncio framed": (Asyncio, "framed", {}),
    "asyncio plain": (Asyncio, "plain", {}),
}
