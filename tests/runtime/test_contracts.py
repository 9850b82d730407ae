"""Versions are compared before a call is sent: over every channel, once a version, and no more than asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import pickle
import socket
import struct
import types
import typing

import pytest

import rpcgen
from rpcgen import runtime as rpc
from rpcgen.runtime.aio.client import versions as aio_versions
from rpcgen.runtime.signatures import described
from rpcgen.runtime.sync.client import framed_line
from rpcgen.runtime.wire.hello import FINGERPRINT, Hello, decode_hello, encode_hello
from tests.support import peers
from tests.support.framed import HELLO, frame
from tests.support.http_clients import under_uvicorn

OLD = """\
struct Item { 1: string sku }
enum Kind { HOME = 0 }
float divide(1: int num1, 2: int num2 = 1)
int left(1: string sku)
Item find(1: string sku) => NotFound
"""
NEW = """\
struct Item { 1: string sku  2: int shop = 0 }
enum Kind { HOME = 0, WORK = 1 }
float divide(1: int num1, 2: int num2 = 2)
int left(1: string sku, 2: int shop = 0)
Item find(1: string sku) => NotFound, Forbidden
int count()
"""
TIME = 30.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine HELLO takes its time; what waits for it here is not to be in a hurry."""
    monkeypatch.setattr(framed_line, "PATIENCE", TIME)
    monkeypatch.setattr(aio_versions, "PATIENCE", TIME)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[types.ModuleType, types.ModuleType]:
    """The old interface and the new one, as modules."""
    made = []
    for side, text in (("old", OLD), ("new", NEW)):
        path = tmp_path_factory.mktemp(side) / "stock.idl"
        path.write_text(text)
        made.append(rpcgen.load(path))
    return made[0], made[1]


class Handlers:
    """Of either version; ``calls`` are the names of the methods that were called, ``rpc.describe`` too."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self.calls: list[str] = []

    def divide(self, num1: int, num2: int) -> float:
        return num1 / num2

    def left(self, sku: str, shop: int = 0) -> int:
        return 7

    def find(self, sku: str) -> object:
        return self._module.Item(sku)

    def count(self) -> int:
        return 3

    @contextlib.contextmanager
    def see(self, call: rpc.Call) -> typing.Iterator[None]:
        self.calls.append(call.protocol.name)
        yield


@contextlib.contextmanager
def serving(module: types.ModuleType) -> typing.Iterator[tuple[Handlers, typing.Any]]:
    handlers = Handlers(module)
    with rpc.ThreadServer("127.0.0.1", 0, module.ServerStub(handlers), interceptors=[handlers.see]) as server:
        yield handlers, server.address


@pytest.mark.parametrize("multiplex", [False, True])
def test_a_call_that_would_be_misunderstood_is_not_sent(
    versions: tuple[types.ModuleType, types.ModuleType], multiplex: bool
) -> None:
    """The error says all that there is to know; other methods go on; the server is asked once."""
    old, new = versions
    with (
        serving(new) as (handlers, at),
        rpc.Channel(at.host, at.port, timeout=TIME, multiplex=multiplex) as channel,
    ):
        stub = old.ClientStub(channel)
        for _ in range(3):
            with pytest.raises(rpc.ContractMismatch) as caught:
                stub.divide(4)
        error = caught.value
        assert (error.method, error.argument, error.peer) == ("divide", "num2", str(channel.address))
        assert error.ours == "float divide(1: int num1, 2: int num2 = 1)"
        assert error.theirs == "float divide(1: int num1, 2: int num2 = 2)"
        assert error.ours in str(error)
        assert error.theirs in str(error)
        assert (stub.left("a"), stub.find("b").sku) == (7, "b")
        assert handlers.calls == ["rpc.describe", "left", "find"]
        assert (new.ClientStub(channel).divide(4), new.ClientStub(channel).count()) == (2.0, 3)
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.argument, again.theirs) == (str(error), error.argument, error.theirs)


def test_a_new_client_meets_an_old_server(versions: tuple[types.ModuleType, types.ModuleType]) -> None:
    """What the server does not know it says by itself."""
    old, new = versions
    with serving(old) as (_, at), rpc.Channel(at.host, at.port, timeout=TIME) as channel:
        stub = new.ClientStub(channel)
        assert (stub.left("a"), stub.find("b").shop) == (7, 0)
        with pytest.raises(rpc.ContractMismatch):
            stub.divide(4)
        with pytest.raises(rpc.RemoteFault, match="UNKNOWN_METHOD"):
            stub.count()
        with pytest.raises(rpc.RemoteFault, match="BAD_REQUEST"):
            stub.left("a", 5)


def test_the_same_version_is_not_asked(versions: tuple[types.ModuleType, types.ModuleType]) -> None:
    """HELLO says enough."""
    _, new = versions
    with serving(new) as (handlers, at), rpc.Channel(at.host, at.port, timeout=TIME) as channel:
        assert new.ClientStub(channel).divide(4) == 2.0
        assert handlers.calls == ["divide"]


def test_it_can_be_a_warning_or_nothing(
    versions: tuple[types.ModuleType, types.ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    """A warning comes once a method."""
    old, new = versions
    with serving(new) as (handlers, at):
        with rpc.Channel(at.host, at.port, timeout=TIME, contract="off") as channel:
            assert old.ClientStub(channel).divide(4) == 2.0
        assert handlers.calls == ["divide"]
        with (
            caplog.at_level(logging.WARNING, "rpcgen"),
            rpc.Channel(at.host, at.port, timeout=TIME, contract="warn") as channel,
        ):
            assert [old.ClientStub(channel).divide(4) for _ in range(2)] == [2.0, 2.0]
        (record,) = caplog.records
        assert "num2" in record.getMessage()
    with pytest.raises(ValueError, match='contract is "check", "warn" or "off"'):
        rpc.Channel("127.0.0.1", 1, contract="no")  # type: ignore[arg-type]


def test_a_server_that_does_not_say_is_called_as_ever(
    versions: tuple[types.ModuleType, types.ModuleType],
) -> None:
    """It may be of another make, or keep its interface to itself."""
    old, new = versions

    @contextlib.contextmanager
    def refuse(call: rpc.Call) -> typing.Iterator[None]:
        if call.protocol.name == "rpc.describe":
            raise rpc.Refused(rpc.FaultCode.PERMISSION_DENIED, "no")
        yield

    stub = new.ServerStub(Handlers(new))
    with (
        rpc.ThreadServer("127.0.0.1", 0, stub, interceptors=[refuse]) as server,
        rpc.Channel(server.address.host, server.address.port, timeout=TIME) as channel,
    ):
        assert [old.ClientStub(channel).divide(4) for _ in range(2)] == [2.0, 2.0]


def test_of_several_servers_those_that_fit_are_called(
    versions: tuple[types.ModuleType, types.ModuleType],
) -> None:
    """None is ejected for its version, which is asked for once, whichever servers have it."""
    old, new = versions
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serving(module)) for module in (old, new, new)]
        url = f"static://{','.join(f'{at.host}:{at.port}' for _, at in servers)}"
        channel = stack.enter_context(
            rpc.DistributedChannel(url, timeout=TIME, protocol="framed", balancer=rpc.RoundRobin())
        )
        assert [old.ClientStub(channel).divide(4) for _ in range(12)] == [4.0] * 12
        assert [old.ClientStub(channel).left("a") for _ in range(12)] == [7] * 12
        calls = [name for handlers, _ in servers for name in handlers.calls]
        assert calls.count("rpc.describe") == 1
        assert all("left" in handlers.calls for handlers, _ in servers)


def test_asyncio_channels_compare_as_well(versions: tuple[types.ModuleType, types.ModuleType]) -> None:
    """Many first calls at once wait for one answer."""
    old, new = versions

    async def main() -> None:
        handlers = Handlers(new)
        async with rpc.AsyncServer(
            "127.0.0.1", 0, new.ServerStub(handlers), interceptors=[handlers.see]
        ) as server:
            async with rpc.AsyncChannel(server.address.host, server.address.port, timeout=TIME) as channel:
                stub = old.AsyncClientStub(channel)
                found = await asyncio.gather(
                    stub.divide(4), stub.left("a"), stub.divide(5), stub.left("b"), return_exceptions=True
                )
                assert [type(each) for each in found] == [rpc.ContractMismatch, int] * 2
                assert handlers.calls == ["rpc.describe", "left", "left"]
                assert await new.AsyncClientStub(channel).divide(4) == 2.0
            url = f"static://{server.address.host}:{server.address.port}"
            async with rpc.AsyncDistributedChannel(url, timeout=TIME, contract="off") as several:
                assert await old.AsyncClientStub(several).divide(4) == 2.0

    asyncio.run(main())


def test_the_client_says_its_version_too(
    versions: tuple[types.ModuleType, types.ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the HELLO of each connection."""
    heard: list[str] = []

    def answer(sock: socket.socket) -> None:
        data = sock.recv(65536)
        size = int.from_bytes(data[8:12], "big")
        heard.append(decode_hello(data[18 : 12 + size]).properties["fingerprint"])
        sock.sendall(HELLO)
        sock.recv(65536)
        sock.sendall(frame(2, call_id=1, payload=b"\x01\x00\x00\x00\x07"))

    with peers.server(answer) as port:
        # As the fixture has it; what the peer does is written for this.
        monkeypatch.setattr(framed_line, "PATIENCE", TIME)
        with rpc.Channel("127.0.0.1", port, timeout=TIME) as channel:
            assert versions[0].ClientStub(channel).left("a") == 7
    assert heard == [versions[0].INTERFACE.fingerprint]


def test_a_server_that_waits_for_the_first_call_is_served(
    versions: tuple[types.ModuleType, types.ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It need not say HELLO before; what it says then counts from the next call on."""

    def answer(sock: socket.socket) -> None:
        data = b""
        while b"left" not in data:
            data += sock.recv(65536)
        sock.sendall(HELLO + frame(2, call_id=1, payload=b"\x01\x00\x00\x00\x07"))

    with peers.server(answer) as port:
        monkeypatch.setattr(framed_line, "PATIENCE", 0.01)
        with rpc.Channel("127.0.0.1", port, timeout=TIME) as channel:
            assert versions[0].ClientStub(channel).left("a") == 7


def test_what_a_server_says_late_counts_from_the_next_call_on(
    versions: tuple[types.ModuleType, types.ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is sent uncompared."""
    old, new = versions
    said = json.dumps(described(new.ServerStub.protocols)).encode()
    hello = encode_hello(Hello({FINGERPRINT: new.INTERFACE.fingerprint}))
    replies = {b"divide": b"\x01\x40\x00\x00\x00", b"describe": b"\x01" + struct.pack(">I", len(said)) + said}
    asked: list[bytes] = []

    def answer(sock: socket.socket) -> None:
        for call_id, (name, reply) in enumerate(replies.items(), 1):
            data = b""
            while name not in data:
                data += sock.recv(65536)
            asked.append(name)
            sock.sendall((hello if call_id == 1 else b"") + frame(2, call_id=call_id, payload=reply))
        sock.recv(65536)

    with peers.server(answer) as port:
        monkeypatch.setattr(framed_line, "PATIENCE", 0.01)
        with rpc.Channel("127.0.0.1", port, timeout=TIME) as channel:
            assert old.ClientStub(channel).divide(4) == 2.0
            with pytest.raises(rpc.ContractMismatch):
                old.ClientStub(channel).divide(4)
    assert asked == list(replies)


def test_plain_messages_are_not_compared(versions: tuple[types.ModuleType, types.ModuleType]) -> None:
    """They have no HELLO."""
    old, new = versions
    with (
        serving(new) as (handlers, at),
        rpc.Channel(at.host, at.port, timeout=TIME, protocol="plain") as channel,
    ):
        assert old.ClientStub(channel).divide(4) == 2.0
        assert handlers.calls == ["divide"]


@contextlib.contextmanager
def serving_http(module: types.ModuleType) -> typing.Iterator[tuple[Handlers, str]]:
    handlers = Handlers(module)
    with under_uvicorn(rpc.http.asgi(module.ServerStub(handlers), interceptors=[handlers.see])) as port:
        yield handlers, f"http://127.0.0.1:{port}"


def test_over_http_calls_are_compared_from_the_second_on(
    versions: tuple[types.ModuleType, types.ModuleType],
) -> None:
    """Each response says which version the server has; it is asked once."""
    old, new = versions
    with serving_http(new) as (handlers, url), rpc.connect(url, timeout=TIME) as channel:
        stub = old.ClientStub(channel)
        assert stub.divide(4) == 2.0
        for _ in range(2):
            with pytest.raises(rpc.ContractMismatch) as caught:
                stub.divide(4)
        assert (caught.value.method, caught.value.argument, caught.value.peer) == ("divide", "num2", url)
        assert (stub.left("a"), stub.find("b").sku) == (7, "b")
        assert handlers.calls == ["divide", "rpc.describe", "left", "find"]
        assert new.ClientStub(channel).divide(4) == 2.0
        with rpc.connect(url, timeout=TIME, contract="off") as uncompared:
            assert [old.ClientStub(uncompared).divide(4) for _ in range(2)] == [2.0, 2.0]
        handlers.calls.clear()
        with rpc.connect(url, timeout=TIME) as same:
            assert [new.ClientStub(same).divide(4) for _ in range(2)] == [2.0, 2.0]
        assert handlers.calls == ["divide", "divide"]


def test_over_http_asyncio_channels_compare_as_well(
    versions: tuple[types.ModuleType, types.ModuleType],
) -> None:
    """Many calls at once wait for one answer."""
    old, new = versions

    async def main(handlers: Handlers, url: str) -> None:
        async with rpc.connect_async(url, timeout=TIME) as channel:
            stub = old.AsyncClientStub(channel)
            assert await stub.left("a") == 7
            found = await asyncio.gather(
                stub.divide(4), stub.left("a"), stub.divide(5), stub.left("b"), return_exceptions=True
            )
            assert [type(each) for each in found] == [rpc.ContractMismatch, int] * 2
            assert handlers.calls == ["left", "rpc.describe", "left", "left"]
            assert await new.AsyncClientStub(channel).divide(4) == 2.0

    with serving_http(new) as (handlers, url):
        asyncio.run(main(handlers, url))
