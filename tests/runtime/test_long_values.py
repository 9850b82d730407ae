"""Long values there and back, whole, through every kind of server and channel, in both directions at once."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import os
import pathlib
import threading
import typing

import pytest

import rpcgen
from rpcgen import runtime as rpc
from tests.support.aio import runs
from tests.support.certificates import authority
from tests.support.leaks import no_leaks

__all__ = ["no_leaks"]

INTERFACE = """\
struct File { 1: string name, 2: bytes data }
union Content { 1: bytes raw, 2: string text }
bytes put(1: string key, 2: bytes data)
bytes? maybe(1: bytes? data)
bytes both(1: bytes first, 2: bytes second, 3: int times = 1)
File file(1: File file)
Content content(1: Content content)
string text(1: string text)
list<bytes> all(1: list<bytes> all)
"""

SIZES = (65_535, 65_536, 70_000, 1 << 20, 3_000_000)

CLIENTS: dict[str, dict[str, typing.Any]] = {
    "framed": {},
    "multiplexed": {"multiplex": True},
    "plain": {"protocol": "plain"},
    "compressed": {"compress": ("gzip",)},
}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> typing.Any:
    path: pathlib.Path = tmp_path_factory.mktemp("long") / "long.idl"
    path.write_text(INTERFACE)
    return rpcgen.load(path)


class Handlers:
    """Give back what they get."""

    def put(self, key: str, data: bytes) -> bytes:
        return data

    def maybe(self, data: bytes | None) -> bytes | None:
        return data

    def both(self, first: bytes, second: bytes, times: int) -> bytes:
        return first + second * times

    def file(self, file: object) -> object:
        return file

    def content(self, content: object) -> object:
        return content

    def text(self, text: str) -> str:
        return text

    def all(self, all: list[bytes]) -> list[bytes]:
        return all


class Coroutines:
    """The same, as coroutine functions."""

    def __getattr__(self, name: str) -> typing.Any:
        function = getattr(Handlers(), name)

        async def handler(*args: object) -> object:
            await asyncio.sleep(0)
            return function(*args)

        return handler


def calls(module: typing.Any, size: int) -> list[tuple[str, tuple[typing.Any, ...], object]]:
    """Gives methods, arguments and what comes back."""
    data = os.urandom(size)
    file = module.File("name", data)
    text = data.decode("latin-1")
    return [
        ("put", ("key", data), data),
        ("maybe", (data,), data),
        ("maybe", (None,), None),
        ("both", (data, b"end"), data + b"end"),
        ("both", (b"begin", data, 2), b"begin" + data + data),
        ("file", (file,), file),
        ("content", (module.Content.Raw(data),), module.Content.Raw(data)),
        ("content", (module.Content.Text(text),), module.Content.Text(text)),
        ("text", (text,), text),
        ("text", ("a" * size,), "a" * size),
        ("all", ([data],), [data]),
        ("all", ([data, b"", data],), [data, b"", data]),
    ]


def check(module: typing.Any, stub: typing.Any, sizes: typing.Sequence[int] = SIZES) -> None:
    for size in sizes:
        for name, args, expected in calls(module, size):
            found = getattr(stub, name)(*args)
            assert type(found) is type(expected)
            assert found == expected, (name, size)


@contextlib.contextmanager
def answering(handlers: object, stub: typing.Any, **options: typing.Any) -> collections.abc.Iterator[int]:
    """Serves with asyncio in a thread; gives the port."""
    ports: list[int] = []
    started = threading.Event()
    over: list[typing.Callable[[], object]] = []

    async def serve() -> None:
        end = asyncio.Event()
        async with rpc.AsyncServer("127.0.0.1", 0, stub(handlers), **options) as server:
            ports.append(server.port)
            loop = asyncio.get_running_loop()
            over.append(lambda: loop.call_soon_threadsafe(end.set))
            started.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(30)
        yield ports[0]
    finally:
        over[0]()
        thread.join(30)


@pytest.mark.parametrize("client", CLIENTS)
def test_of_blocking_servers(module: typing.Any, client: str) -> None:
    with (
        rpc.ThreadServer("127.0.0.1", 0, module.ServerStub(Handlers())) as server,
        rpc.Channel("127.0.0.1", server.port, **CLIENTS[client]) as channel,
    ):
        check(module, module.ClientStub(channel))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", ["inline", "threads", "coroutines"])
def test_of_asyncio_servers(module: typing.Any, kind: str, client: str) -> None:
    handlers = Coroutines() if kind == "coroutines" else Handlers()
    with (
        answering(handlers, module.ServerStub, inline=kind == "inline") as port,
        rpc.Channel("127.0.0.1", port, **CLIENTS[client]) as channel,
    ):
        check(module, module.ClientStub(channel), SIZES[1:4])


@pytest.mark.parametrize("is_async", [False, True], ids=["ThreadServer", "AsyncServer"])
def test_through_tls(module: typing.Any, is_async: bool) -> None:
    ours = authority()
    with contextlib.ExitStack() as stack:
        if is_async:
            port = stack.enter_context(answering(Handlers(), module.ServerStub, tls=ours.server()))
        else:
            server = rpc.ThreadServer("127.0.0.1", 0, module.ServerStub(Handlers()), tls=ours.server())
            port = stack.enter_context(server).port
        for options in CLIENTS.values():
            channel = rpc.Channel("127.0.0.1", port, tls=ours.client(), **options)
            check(module, module.ClientStub(stack.enter_context(channel)), SIZES[1:4])


@pytest.mark.parametrize("protocol", ["framed", "plain"])
@runs
async def test_of_asyncio_clients(module: typing.Any, protocol: typing.Literal["framed", "plain"]) -> None:
    async with (
        rpc.AsyncServer("127.0.0.1", 0, module.ServerStub(Coroutines())) as server,
        rpc.AsyncChannel("127.0.0.1", server.port, protocol=protocol) as channel,
    ):
        stub = module.AsyncClientStub(channel)
        for size in SIZES:
            works = calls(module, size)
            found = await asyncio.gather(*(getattr(stub, name)(*args) for name, args, _ in works))
            for each, (name, _, expected) in zip(found, works, strict=True):
                assert type(each) is type(expected)
                assert each == expected, (name, size)


@pytest.mark.parametrize("is_async", [False, True], ids=["ThreadServer", "AsyncServer"])
def test_many_threads_over_one_connection(module: typing.Any, is_async: bool) -> None:
    """Calls fill the connection in both directions: whoever waits for room must not keep replies from being read."""
    wrong: list[object] = []

    def work(number: int) -> None:
        data = bytes((number,)) * 1_500_000
        for _ in range(12):
            found = stub.put("key", data)
            if found != data:
                wrong.append(number)

    with contextlib.ExitStack() as stack:
        if is_async:
            port = stack.enter_context(answering(Handlers(), module.ServerStub))
        else:
            server = rpc.ThreadServer("127.0.0.1", 0, module.ServerStub(Handlers()))
            port = stack.enter_context(server).port
        channel = stack.enter_context(rpc.Channel("127.0.0.1", port, multiplex=True, timeout=60))
        stub = module.ClientStub(channel)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
