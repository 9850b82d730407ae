"""The original tutorial's programs on a generated module: server, client, and both by hand."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
import service
from service import (
    Channel,
    ClientStub,
    DivideProtocol,
    InvalidOperation,
    MethodProtocol,
    ThreadServer,
)

from rpcgen import runtime as rpc
from rpcgen.runtime.registry import open_registry
from tests.support import processes

SERVER = """
from service import InvalidOperation, ThreadServer

class Handlers:
    @staticmethod
    def divide(num1, num2=1):
        if num2 == 0:
            raise InvalidOperation()
        return num1 / num2

server = ThreadServer("127.0.0.1", 0, Handlers)
print(server.bind().port, flush=True)
server.serve()
"""


REGISTERED_SERVER = """
from service import InvalidOperation, ThreadServer

class Handlers:
    @staticmethod
    def divide(num1, num2=1):
        if num2 == 0:
            raise InvalidOperation()
        return num1 / num2

ThreadServer("127.0.0.1", 0, Handlers).serve()
"""

CLIENT = """
from service import ClientStub, DistributedChannel, InvalidOperation

stub = ClientStub(DistributedChannel())
print(stub.divide(200, 100), stub.divide(200), stub.divide(num1=3, num2=4))
try:
    stub.divide(1, 0)
except InvalidOperation as error:
    print(error)
"""


def read_name(conn: socket.socket) -> str | None:
    """Gives the next call's method; None at the end of the connection."""
    try:
        return MethodProtocol(conn).get_method_name()
    except rpc.ConnectionLost:
        return None


def test_the_tutorial_s_server_and_client() -> None:
    with processes.python(SERVER) as process:
        with Channel("127.0.0.1", int(processes.line(process))) as channel:
            stub = ClientStub(channel)
            assert [stub.divide(200, 100), stub.divide(200), stub.divide(num1=3, num2=4)] == [
                2.0,
                200.0,
                0.75,
            ]
            with pytest.raises(InvalidOperation, match="invalid operation"):
                stub.divide(1, 0)
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize("registry", ["embedded", "zookeeper"])
def test_the_tutorial_s_server_and_client_find_each_other(
    registry: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    with contextlib.ExitStack() as stack:
        if registry == "embedded":
            url = stack.enter_context(processes.RegistryProcess()).url
        else:
            url = request.getfixturevalue("zk_url")
        monkeypatch.setenv("RPCGEN_REGISTRY", url)
        servers = [stack.enter_context(processes.python(REGISTERED_SERVER)) for _ in range(2)]
        watch = stack.enter_context(open_registry(url)).watch("")
        end = time.monotonic() + 30
        while {instance.pid for instance in watch.snapshot.instances} != {server.pid for server in servers}:
            assert time.monotonic() < end
            time.sleep(0.01)
        with processes.python(CLIENT) as client:
            assert processes.line(client) == "2.0 200.0 0.75"
            assert processes.line(client) == "invalid operation"
            assert client.wait(20) == 0
        for server in servers:
            server.terminate()
            assert server.wait(20) == 0
        while watch.snapshot.instances:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_the_tutorial_s_server_written_by_hand() -> None:
    proto = DivideProtocol()

    def serve(conn: socket.socket) -> None:
        with conn:
            while (name := read_name(conn)) is not None:
                assert name == "divide"
                args = proto.args_decode(conn)
                try:
                    result: object = args["num1"] / args["num2"]
                except ZeroDivisionError:
                    result = InvalidOperation("no")
                conn.sendall(proto.result_encode(result))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: serve(listener.accept()[0]))
        thread.start()
        with Channel("127.0.0.1", listener.getsockname()[1], protocol="plain") as channel:
            stub = ClientStub(channel)
            assert stub.divide(200, 100) == 2.0
            with pytest.raises(InvalidOperation, match="no"):
                stub.divide(1, 0)
        thread.join(10)
        assert not thread.is_alive()


def test_the_tutorial_s_client_written_by_hand() -> None:
    class Handlers:
        @staticmethod
        def divide(num1: int, num2: int) -> float:
            return num1 / num2

    proto = DivideProtocol()
    with (
        ThreadServer("127.0.0.1", 0, Handlers) as server,
        socket.create_connection(("127.0.0.1", server.port)) as conn,
    ):
        for number in range(3):
            conn.sendall(proto.args_encode(number))
            assert proto.result_decode(conn) == number
        conn.sendall(proto.args_encode(1, 0))
        fault = proto.result_decode(conn)
        assert isinstance(fault, rpc.RemoteFault)
        assert fault.code is rpc.FaultCode.INTERNAL


def test_a_program_needs_the_generated_module_alone() -> None:
    names = {"ThreadServer", "Server", "ClientStub", "Channel", "DistributedChannel", "InvalidOperation"}
    assert {*names, "MethodProtocol"} <= set(dir(service))
    assert service.DistributedChannel is rpc.DistributedChannel
