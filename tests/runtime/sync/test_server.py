"""What holds for every server, of one thread or many."""

from __future__ import annotations

import itertools
import logging
import os
import random
import sys
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import raw, services
from tests.support.speech import Speech

Kind: typing.TypeAlias = services.Kind


@pytest.fixture
def server(kind: Kind, handlers: services.Handlers) -> typing.Iterator[rpc.Server]:
    with kind("127.0.0.1", 0, handlers) as serving:
        yield serving
        handlers.go_on.set()


# Answers


def ask(server: rpc.Server, message: bytes) -> str:
    with raw.connection(server.port) as sock:
        sock.sendall(message)
        text = raw.fault(sock)
        sock.sendall(raw.CALL)
        assert raw.exactly(sock, 5) == raw.RETURNED, "a fault must leave the connection"
        return text


def test_the_wire_s_example_is_answered(server: rpc.Server) -> None:
    with raw.connection(server.port) as sock:
        sock.sendall(raw.CALL)
        assert raw.exactly(sock, 5) == raw.RETURNED


def test_any_split_of_the_stream_is_answered(server: rpc.Server) -> None:
    stream, at = raw.CALL * 4, random.Random(5)
    with raw.connection(server.port) as sock:
        for _ in range(30):
            cuts = sorted(at.sample(range(len(stream)), at.randrange(6)))
            for start, end in itertools.pairwise([0, *cuts, len(stream)]):
                sock.sendall(stream[start:end])
            assert raw.exactly(sock, 20) == raw.RETURNED * 4


def test_an_unknown_method_is_refused_with_the_nearest_name(server: rpc.Server) -> None:
    assert (
        ask(server, raw.call("divid")) == "UNKNOWN_METHOD: there is no method 'divid'; did you mean 'divide'?"
    )
    assert ask(server, raw.call("zzzz")) == "UNKNOWN_METHOD: there is no method 'zzzz'"
    assert ask(server, raw.call("")) == "UNKNOWN_METHOD: there is no method ''"


def test_an_unknown_service_is_refused(handlers: services.Handlers) -> None:
    stub = services.DirectoryServerStub(services.DirectoryHandlers())
    with rpc.ThreadServer("127.0.0.1", 0, stub, services.ServerStub(handlers)) as server:
        assert ask(server, raw.call("Directry.ping")) == (
            "UNKNOWN_METHOD: there is no service 'Directry'; did you mean 'Directory'?"
        )
        assert ask(server, raw.call("Directory.pin")) == (
            "UNKNOWN_METHOD: there is no method 'Directory.pin'; did you mean 'Directory.ping'?"
        )


def test_bad_arguments_are_refused_by_name(server: rpc.Server) -> None:
    missing = ask(server, raw.call("divide"))
    assert missing.startswith("BAD_REQUEST: ")
    assert "num1" in missing
    unknown = ask(server, raw.call("divide", bytes.fromhex("01 000000c8 03 00000001")))
    assert unknown.startswith("BAD_REQUEST: ")
    assert "divide" in unknown
    assert "3" in unknown
    cut = ask(server, raw.call("log", b"\1\0\0"))
    assert cut.startswith("BAD_REQUEST: ")


@pytest.mark.parametrize(
    ("action", "wire", "log"),
    [
        (lambda: int("secret"), "run failed", "ValueError"),
        (lambda: sys.exit("secret"), "run failed", "SystemExit"),
        (lambda: _throw(services.Undeclared("secret")), "run raised what it does not declare", "Undeclared"),
        (lambda: _throw(rpc.Unavailable("secret")), "run failed", "Unavailable"),
        (lambda: "secret", "run returned what does not fit its type", "EncodeError"),
        (lambda: 2**31, "run returned what does not fit its type", "EncodeError"),
        (
            lambda: _throw(services.InvalidOperation(7)),  # type: ignore[arg-type]
            "run raised what does not fit its type",
            "EncodeError",
        ),
    ],
)
def test_a_handler_s_fault_is_logged_and_told_by_an_id(
    kind: Kind,
    caplog: pytest.LogCaptureFixture,
    action: typing.Callable[[], object],
    wire: str,
    log: str,
    speech: Speech,
) -> None:
    with (
        kind("127.0.0.1", 0, services.Handlers(act=action)) as server,
        rpc.Channel("127.0.0.1", server.port, **speech.options) as channel,
    ):
        with pytest.raises(rpc.RemoteFault) as caught:
            services.ClientStub(channel).run("act")
        assert services.ClientStub(channel).divide(1) == 1.0
    assert caught.value.code is rpc.FaultCode.INTERNAL
    assert "secret" not in str(caught.value)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    error_id = record.getMessage().rpartition("error id ")[2].rstrip(")")
    assert len(error_id) == 8
    assert caught.value.message == f"{wire}: see error id {error_id} in the server's log"
    assert record.exc_info is not None
    assert record.exc_info[0] is not None
    assert record.exc_info[0].__name__ == log


def _throw(error: Exception) -> typing.NoReturn:
    raise error


def test_a_narrower_exception_is_raised_as_declared(kind: Kind, speech: Speech) -> None:
    handlers = services.Handlers(act=lambda: _throw(services.Narrower("x")))
    with (
        kind("127.0.0.1", 0, handlers) as server,
        rpc.Channel("127.0.0.1", server.port, **speech.options) as channel,
    ):
        with pytest.raises(services.InvalidOperation, match="x") as caught:
            services.ClientStub(channel).run("act")
        assert type(caught.value) is services.InvalidOperation


def test_an_int_is_accepted_for_a_float(kind: Kind, speech: Speech) -> None:
    class Whole(services.Handlers):
        def divide(self, num1: int, num2: int) -> int:
            return num1 // num2

    with (
        kind("127.0.0.1", 0, Whole()) as server,
        rpc.Channel("127.0.0.1", server.port, **speech.options) as channel,
    ):
        result = services.ClientStub(channel).divide(7, 2)
        assert (result, type(result)) == (3.0, float)


def test_a_oneway_call_is_answered_before_it_runs(
    kind: Kind, handlers: services.Handlers, speech: Speech
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def log(line: str) -> None:
        inside.set()
        assert go_on.wait(20)
        handlers.lines.append(line)
        handlers.logged.release()
        raise ValueError("nobody is told")

    handlers.log = log  # type: ignore[method-assign]
    with (
        kind("127.0.0.1", 0, handlers) as server,
        rpc.Channel("127.0.0.1", server.port, **speech.options) as channel,
    ):
        services.ClientStub(channel).log("a")
        assert inside.wait(10)
        assert handlers.lines == []
        go_on.set()
        assert handlers.logged.acquire(timeout=10)
        services.ClientStub(channel).log("b")
        assert handlers.logged.acquire(timeout=10)
    assert handlers.lines == ["a", "b"]


class Runtime(rpc.ClientStub):
    """Calls what every server answers."""

    def describe(self) -> str:
        from rpcgen.runtime.dispatch import Describe

        return self._call(Describe)

    def health(self, service: str | None = None) -> bool:
        from rpcgen.runtime.dispatch import Health

        return self._call(Health, service)


def test_every_server_describes_itself(server: rpc.Server, speech: Speech) -> None:
    with rpc.Channel("127.0.0.1", server.port, **speech.options) as channel:
        assert Runtime(channel).describe() == services.INTERFACE.text


def test_several_files_are_described_once_each_with_what_they_include_first(
    handlers: services.Handlers, speech: Speech
) -> None:
    directory = services.DirectoryServerStub(services.DirectoryHandlers())
    with (
        rpc.ThreadServer("127.0.0.1", 0, directory, services.ServerStub(handlers)) as server,
        rpc.Channel("127.0.0.1", server.port, **speech.options) as channel,
    ):
        assert Runtime(channel).describe() == (
            "// file: base.idl\nservice Base {\n    string ping()\n}\n\n"
            "// file: directory.idl\nservice Directory extends base.Base {}\n\n"
            "// file: service.idl\nfloat divide(1: int num1, 2: int num2 = 1) => InvalidOperation\n"
        )
        health = Runtime(channel).health
        assert [health(), health("Directory"), health("Base"), health(""), health("Other")] == [
            True,
            True,
            True,
            True,
            False,
        ]


def test_a_method_is_answered_under_each_service_of_its_chain(speech: Speech) -> None:
    stub = services.DirectoryServerStub(services.DirectoryHandlers("directory"))
    own = services.BaseServerStub(services.BaseHandlers("base"))
    with (
        rpc.Server("127.0.0.1", 0, stub) as server,
        rpc.Channel("127.0.0.1", server.port, **speech.options) as channel,
    ):
        assert channel.call(services.DirectoryPingProtocol, ()) == "directory"
        assert channel.call(services.BasePingProtocol, ()) == "directory"
        assert channel.call(services.DirectoryClassProtocol, (rpc.DEFAULT,)) == 3
    with (
        rpc.Server("127.0.0.1", 0, stub, own) as server,
        rpc.Channel("127.0.0.1", server.port, **speech.options) as channel,
    ):
        assert channel.call(services.DirectoryPingProtocol, ()) == "directory"
        assert channel.call(services.BasePingProtocol, ()) == "base"


def test_two_of_one_name_are_an_error(handlers: services.Handlers) -> None:
    directory = services.DirectoryServerStub(services.DirectoryHandlers())
    with pytest.raises(ValueError, match="both serve the service Directory: a server has one"):
        rpc.Server("127.0.0.1", 0, directory, directory)
    unnamed = services.ServerStub(handlers)
    with pytest.raises(ValueError, match="both serve the method divide: a server has one"):
        rpc.Server("127.0.0.1", 0, unnamed, unnamed)


def test_a_service_cannot_be_the_runtime_s() -> None:
    class Shadow(rpc.MessageProtocol[str]):
        name = "rpc.describe"

    class Stub(rpc.ServerStub):
        protocols = (Shadow,)

    class Shadowing:
        def describe(self) -> str:
            return ""

    with pytest.raises(ValueError, match="the service name rpc is the runtime's"):
        rpc.Server("127.0.0.1", 0, Stub(Shadowing()))


def test_what_is_served_is_checked_when_the_server_is_made(kind: Kind) -> None:
    with pytest.raises(TypeError, match="divide is missing"):
        kind("127.0.0.1", 0, object())
    with pytest.raises(TypeError, match="a server needs a stub"):
        rpc.Server("127.0.0.1", 0)
    with pytest.raises(TypeError, match=r"a server serves stubs, ServerStub\(Handlers\(\)\); not"):
        rpc.Server("127.0.0.1", 0, services.Handlers())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="has no option colour"):
        kind("127.0.0.1", 0, services.Handlers(), colour="red")  # type: ignore[call-arg]


# Bad input


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" * 1000,
        b"\x80\0\0\0\0\0\0\0",
        b"\0\0\0\1a\xff\xff\xff\xff",
        b"\0\0\0\1a\x7f\xff\xff\xff",
        random.Random(1).randbytes(5000),
    ],
)
def test_garbage_ends_its_connection_alone(
    server: rpc.Server, caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    with raw.connection(server.port) as sock:
        sock.sendall(garbage)
        raw.to_the_end(sock)
    with raw.connection(server.port) as sock:
        sock.sendall(raw.CALL)
        assert raw.exactly(sock, 5) == raw.RETURNED
    assert [r.getMessage()[:24] for r in caplog.records if r.levelno > logging.INFO] == [
        "closed the connection of"
    ]


def test_random_bytes_never_hurt_the_next_connection(server: rpc.Server) -> None:
    at = random.Random(2)
    for _ in range(100):
        with raw.connection(server.port) as sock:
            data = bytearray(raw.CALL)
            for _ in range(at.randrange(1, 4)):
                data[at.randrange(len(data))] = at.randrange(256)
            sock.sendall(data[: at.randrange(1, len(data) + 1)])
    with raw.connection(server.port) as sock:
        sock.sendall(raw.CALL)
        assert raw.exactly(sock, 5) == raw.RETURNED


def test_a_thousand_connections_leave_nothing(server: rpc.Server) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(1000):
        with raw.connection(server.port) as sock:
            if number % 2:
                sock.sendall(raw.CALL)
                assert raw.exactly(sock, 5) == raw.RETURNED
    with raw.connection(server.port) as sock:
        sock.sendall(raw.CALL)
        assert raw.exactly(sock, 5) == raw.RETURNED
        if isinstance(server, services.Server):
            assert len(os.listdir("/proc/self/fd")) == before + 2


# One connection at a time


def test_a_server_takes_the_next_client_when_the_last_one_leaves(handlers: services.Handlers) -> None:
    with (
        services.Server("127.0.0.1", 0, handlers) as server,
        raw.connection(server.port) as first,
        raw.connection(server.port) as second,
    ):
        first.sendall(raw.CALL)
        assert raw.exactly(first, 5) == raw.RETURNED
        second.sendall(raw.CALL)
        first.sendall(raw.CALL)
        assert raw.exactly(first, 5) == raw.RETURNED
        second.settimeout(0.05)
        with pytest.raises(TimeoutError):
            second.recv(1)
        second.settimeout(20)
        first.close()
        assert raw.exactly(second, 5) == raw.RETURNED


def test_a_server_lets_an_idle_client_go_for_the_next(handlers: services.Handlers) -> None:
    limits = rpc.Limits(idle_time=0.1)
    with (
        services.Server("127.0.0.1", 0, handlers, limits=limits) as server,
        raw.connection(server.port) as idle,
        raw.connection(server.port) as next_one,
    ):
        next_one.sendall(raw.CALL)
        assert raw.exactly(next_one, 5) == raw.RETURNED
        assert raw.to_the_end(idle) == b""


def test_a_shutdown_from_another_thread_ends_serve(kind: Kind) -> None:
    server = kind("127.0.0.1", 0, services.Handlers())
    server.bind()
    serving = threading.Thread(target=server.serve)
    serving.start()
    with rpc.connect(str(server.address)) as channel:
        assert services.ClientStub(channel).divide(6, 3) == 2.0
        assert server.shutdown() is True
    serving.join(10)
    assert not serving.is_alive()
