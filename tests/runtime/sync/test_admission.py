"""Who is let in by a blocking server: by certificate, by credentials, by what he speaks; nobody else reaches a handler."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.interceptors import Call, Refused
from rpcgen.runtime.transport import PLAIN_REFUSED
from rpcgen.runtime.wire.events import ENDED, FAULT, REPLY
from rpcgen.runtime.wire.hello import Terms
from tests.support import raw, services
from tests.support.certificates import authority
from tests.support.framed_client import BLOCK, FramedClient
from tests.support.waiting import PATIENCE, until

Kind: typing.TypeAlias = services.Kind


class Watched(services.Handlers):
    """Keeps what handlers were told of their callers."""

    def __init__(self, **actions: typing.Callable[[], object]) -> None:
        super().__init__(**actions)
        self.seen: list[rpc.Context] = []

    def divide(self, num1: int, num2: int) -> float:
        self.seen.append(rpc.context())
        return num1 / num2


def outcome(port: int, **options: typing.Any) -> object:
    """Gives what a call comes to."""
    with rpc.Channel("127.0.0.1", port, timeout=PATIENCE, **options) as channel:
        try:
            return services.ClientStub(channel).divide(200, 100)
        except rpc.RpcError as error:
            return error


PROTOCOLS = pytest.mark.parametrize("protocol", ["framed", "plain"])


# TLS


@PROTOCOLS
def test_calls_over_tls(kind: Kind, protocol: typing.Literal["framed", "plain"]) -> None:
    handlers, ours = Watched(), authority()
    with (
        kind("127.0.0.1", 0, handlers, tls=ours.server()) as server,
        rpc.Channel("127.0.0.1", server.port, tls=ours.client(), protocol=protocol) as channel,
    ):
        stub = services.ClientStub(channel)
        for _ in range(3):
            assert stub.divide(200, 100) == 2.0
        for size in (0, 20_000, 3_000_000):
            assert stub.echo(bytes(size)) == bytes(size)
        stub.log("line")
        assert handlers.logged.acquire(timeout=PATIENCE)
    assert {context.certificate for context in handlers.seen} == {None}


def test_many_calls_at_once_over_tls(handlers: services.Handlers) -> None:
    ours = authority()
    with (
        services.ThreadServer("127.0.0.1", 0, handlers, tls=ours.server(), max_workers=3) as server,
        rpc.Channel(
            "127.0.0.1", server.port, tls=ours.client(), protocol="framed", multiplex=True
        ) as channel,
    ):
        stub, got = services.ClientStub(channel), list[object]()
        slow = threading.Thread(target=lambda: got.append(stub.wait(7)))
        slow.start()
        assert handlers.entered.acquire(timeout=PATIENCE)
        assert [stub.echo(bytes(size)) for size in (1, 70_000, 3)] == [bytes(1), bytes(70_000), bytes(3)]
        handlers.go_on.set()
        slow.join(PATIENCE)
        assert got == [7]


@PROTOCOLS
def test_a_certificate_of_the_authority_lets_in_and_tells_who_it_is(kind: Kind, protocol: str) -> None:
    handlers, ours = Watched(), authority()
    with kind("127.0.0.1", 0, handlers, tls=ours.server(ca=ours.ca)) as server:
        assert outcome(server.port, tls=ours.client(shows=ours), protocol=protocol) == 2.0
    (context,) = handlers.seen
    assert context.certificate is not None
    assert context.certificate["subject"] == ((("commonName", "client"),),)


@PROTOCOLS
@pytest.mark.parametrize("shows", ["another's", "none", "no TLS"])
def test_no_other_certificate_reaches_a_handler(
    kind: Kind, shows: str, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    handlers, ours = Watched(), authority()
    with kind("127.0.0.1", 0, handlers, tls=ours.server(ca=ours.ca)) as server:
        tls = {"another's": ours.client(shows=authority("another")), "none": ours.client()}.get(shows)
        error = outcome(server.port, tls=tls, protocol=protocol)
        assert isinstance(error, rpc.RpcError), error
        until(lambda: "TLS was not agreed on" in caplog.text)
        assert outcome(server.port, tls=ours.client(shows=ours), protocol=protocol) == 2.0
    assert len(handlers.seen) == 1


def test_silent_and_slow_clients_take_no_thread(handlers: services.Handlers) -> None:
    ours = authority()
    with (
        services.ThreadServer(
            "127.0.0.1", 0, handlers, tls=ours.server(), max_workers=1, limits=rpc.Limits(receive_time=0.5)
        ) as server,
        contextlib.ExitStack() as stack,
    ):
        clients = [stack.enter_context(raw.connection(server.port)) for _ in range(20)]
        for sock in clients[::2]:
            sock.sendall(bytes.fromhex("16 03 01 01 00"))  # a record begins
        assert outcome(server.port, tls=ours.client()) == 2.0
        for sock in clients[::2]:
            assert raw.to_the_end(sock) == b""
        assert outcome(server.port, tls=ours.client()) == 2.0


# Credentials


def check(credentials: str) -> str:
    """Lets in whose credentials are a name and the word."""
    name, _, word = credentials.partition(" ")
    if word != "sesame":
        raise PermissionError("say the word")
    return name


def test_the_right_word_lets_in_and_tells_who_it_is(kind: Kind) -> None:
    handlers = Watched()
    with kind("127.0.0.1", 0, handlers, authenticate=check) as server:
        for name in ("ann", "bob"):
            with FramedClient(server.port, Terms(credentials=f"{name} sesame")) as client:
                calls = [client.call("divide", BLOCK), client.call("divide", BLOCK, metadata={"a": b"b"})]
                assert [event[:3] for event in client.events(2)] == [
                    (REPLY, call, raw.RETURNED) for call in calls
                ]
    assert [context.identity for context in handlers.seen] == ["ann", "ann", "bob", "bob"]


@pytest.mark.parametrize("credentials", ["", "ann open", "ann"])
def test_a_wrong_word_reaches_no_handler(kind: Kind, credentials: str) -> None:
    handlers = Watched()
    with (
        kind("127.0.0.1", 0, handlers, authenticate=check) as server,
        FramedClient(server.port, Terms(credentials=credentials)) as client,
    ):
        call = client.call("divide", BLOCK)
        (event,) = client.events(1)
        assert event[0] == ENDED
        assert (event[1].code, event[1].message) == (rpc.FaultCode.UNAUTHENTICATED, "say the word")
        assert event[2:] == ([], [call])
        assert raw.to_the_end(client.sock) == b""
    assert handlers.seen == []


def test_a_check_that_fails_lets_nobody_in(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    handlers = Watched()
    with (
        kind("127.0.0.1", 0, handlers, authenticate=int) as server,  # type: ignore[arg-type]
        FramedClient(server.port, Terms(credentials="secret")) as client,
    ):
        client.call("divide", BLOCK)
        (event,) = client.events(1)
        assert (event[1].code, event[1].message) == (
            rpc.FaultCode.UNAUTHENTICATED,
            "the credentials could not be checked",
        )
    assert handlers.seen == []


@pytest.mark.parametrize("options", [{"authenticate": check}, {"plain": False}])
def test_plain_clients_are_refused_where_they_are_not_let_in(
    kind: Kind, options: dict[str, typing.Any]
) -> None:
    handlers = Watched()
    with kind("127.0.0.1", 0, handlers, **options) as server, raw.connection(server.port) as sock:
        sock.sendall(raw.CALL * 3)
        assert raw.fault(sock) == f"UNAUTHENTICATED: {PLAIN_REFUSED}"
        assert raw.to_the_end(sock) == b""
    assert handlers.seen == []


def test_plain_clients_may_be_let_in_beside_others(kind: Kind) -> None:
    handlers = Watched()
    with (
        kind("127.0.0.1", 0, handlers, authenticate=check, plain=True) as server,
        raw.connection(server.port) as sock,
    ):
        sock.sendall(raw.CALL)
        assert raw.exactly(sock, 5) == raw.RETURNED
    assert [context.identity for context in handlers.seen] == [""]


# Interceptors


@PROTOCOLS
def test_interceptors_see_every_method_but_health(kind: Kind, protocol: typing.Any) -> None:
    seen: list[str] = []

    @contextlib.contextmanager
    def outer(call: Call) -> typing.Iterator[None]:
        seen.append(f"{call.method}{call.args}")
        assert call.context is rpc.context()
        assert call.peer.startswith("127.0.0.1:")
        assert (call.deadline is not None) == (protocol == "framed")
        yield
        seen.append(f"{call.method} {call.result}")
        call.result += 1

    @contextlib.contextmanager
    def inner(call: Call) -> typing.Iterator[None]:
        call.args = (call.args[0] * 2, *call.args[1:])  # type: ignore[operator]
        try:
            yield
        except services.InvalidOperation:
            seen.append("raised")
            raise

    def refuse() -> typing.NoReturn:
        raise services.InvalidOperation("no")

    class Actions(services.Handlers):
        def divide(self, num1: int, num2: int) -> float:
            return refuse() if num2 == 0 else num1 / num2

    with (
        kind("127.0.0.1", 0, Actions(), interceptors=[outer, inner]) as server,
        rpc.Channel("127.0.0.1", server.port, protocol=protocol, timeout=PATIENCE) as channel,
    ):
        from tests.runtime.sync.test_server import Runtime

        stub = services.ClientStub(channel)
        assert stub.divide(3, 1) == 7.0
        with pytest.raises(services.InvalidOperation):
            stub.divide(3, 0)
        assert Runtime(channel).health() is True
        assert stub.divide(1, 1) == 3.0
    assert seen == ["divide(3, 1)", "divide 6.0", "divide(3, 0)", "raised", "divide(1, 1)", "divide 2.0"]


def test_metadata_of_interceptors(kind: Kind) -> None:
    @contextlib.contextmanager
    def stamp(call: Call) -> typing.Iterator[None]:
        call.reply_metadata["got"] = call.metadata.get("token", b"nothing")
        yield

    with (
        kind("127.0.0.1", 0, services.Handlers(), interceptors=[stamp]) as server,
        FramedClient(server.port) as client,
    ):
        client.call("divide", BLOCK, metadata={"token": b"a"})
        client.call("divide", BLOCK)
        assert [event[3] for event in client.events(2)] == [{"got": b"a"}, {"got": b"nothing"}]


@pytest.mark.parametrize("by", ["interceptor", "handler", "handler alone"])
@pytest.mark.parametrize("code", list(rpc.FaultCode))
def test_who_may_refuse_with_what(by: str, code: rpc.FaultCode) -> None:
    handlers = Watched()

    def refuse() -> typing.NoReturn:
        raise Refused(code, "not you")

    @contextlib.contextmanager
    def interceptor(call: Call) -> typing.Iterator[None]:
        if by == "interceptor":
            refuse()
        yield

    handlers.actions["refuse"] = refuse
    interceptors = [] if by == "handler alone" else [interceptor]
    with (
        services.ThreadServer("127.0.0.1", 0, handlers, interceptors=interceptors) as server,
        FramedClient(server.port) as client,
    ):
        client.call("run", b"\1\0\0\0\x06refuse")
        (event,) = client.events(1)
        assert event[0] == FAULT
        if by == "interceptor" or code is rpc.FaultCode.PERMISSION_DENIED:
            assert (event[2].code, event[2].message) == (code, "not you")
        else:
            assert event[2].code is rpc.FaultCode.INTERNAL
            assert "not you" not in event[2].message


def test_sockets_are_kept_alive_and_do_not_wait(kind: Kind) -> None:
    with kind("127.0.0.1", 0, services.Handlers()) as server, raw.connection(server.port) as sock:
        sock.sendall(raw.CALL)
        assert raw.exactly(sock, 5) == raw.RETURNED
        assert server._loop is not None
        (connection,) = server._loop._hands.connections
        assert isinstance(connection.sock, socket.socket)
        assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
