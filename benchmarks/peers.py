"""The calls of ``contestants`` as peers serve and make them: texts of scripts, and which peers are installed."""

from __future__ import annotations

import importlib.util
import typing

from benchmarks.contestants import READ

if typing.TYPE_CHECKING:
    from benchmarks.processes import Bench

THRIFT_INTERFACE = """\
exception InvalidOperation { 1: string message }
struct Address { 1: string street  2: string city  3: i32 zip }
struct Person {
    1: i64 id  2: string name  3: string email  4: list<string> tags  5: list<double> scores  6: Address address
}
service Calc {
    double divide(1: i32 num1, 2: i32 num2) throws (1: InvalidOperation refusal)
    Person echo(1: Person person)
}
"""

THRIFT = (
    READ
    + """\
import sys, thriftpy2
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.rpc import make_client, make_server
from thriftpy2.transport import TCyFramedTransportFactory
calc = thriftpy2.load("calc.thrift", module_name="calc_thrift")
how = {"proto_factory": TCyBinaryProtocolFactory(), "trans_factory": TCyFramedTransportFactory()}
PERSON = calc.Person(
    7, "Ann Example", "ann.example@mail.test", ["red", "green", "blue", "black", "white"],
    [i / 7 for i in range(20)], calc.Address("1 Long Street", "Springfield", 12345))
"""
)

THRIFT_SERVER = """\
import socket
class Handlers:
    def divide(self, num1, num2):
        if num2 == 0:
            raise calc.InvalidOperation("no")
        return num1 / num2
    def echo(self, person):
        return person
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = make_server(calc.Calc, Handlers(), "127.0.0.1", port, client_timeout=None, **how)
server.trans.listen()
print(port, flush=True)
server.trans.listen = lambda: None
server.serve()
"""

THRIFT_CONNECTED = """\
def connected(port):
    client = make_client(calc.Calc, "127.0.0.1", port, timeout=None, **how)
    def refused():
        try:
            client.divide(1, 0)
        except calc.InvalidOperation:
            pass
    return {
        "small": lambda: client.divide(200, 100),
        "error": refused,
        "medium": lambda: read(client.echo(PERSON)),
    }
"""

CAPNP_INTERFACE = """\
@0xbd2e0cf1f5f2ad01;
struct Address { street @0 :Text; city @1 :Text; zip @2 :Int32; }
struct Person {
    id @0 :Int64; name @1 :Text; email @2 :Text; tags @3 :List(Text); scores @4 :List(Float64); address @5 :Address;
}
interface Calc {
    divide @0 (num1 :Int32, num2 :Int32) -> (result :Float64);
    echo @1 (person :Person) -> (person :Person);
}
"""

CAPNP_SERVER = """\
import asyncio, capnp, socket
calc = capnp.load("calc.capnp")
class Handlers(calc.Calc.Server):
    async def divide(self, num1, num2, _context, **_):
        return num1 / num2
    async def echo(self, person, _context, **_):
        return person
async def talk(stream):
    await capnp.TwoPartyServer(stream, bootstrap=Handlers()).on_disconnect()
async def main():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = await capnp.AsyncIoStream.create_server(talk, "127.0.0.1", port)
    print(port, flush=True)
    async with server:
        await server.serve_forever()
asyncio.run(capnp.run(main()))
"""

CAPNP_CONNECT = (
    READ
    + """\
import contextlib, capnp
calc = capnp.load("calc.capnp")
def person():
    # Made for each call: rpcgen writes its Person anew each time, too.
    made = calc.Person.new_message(id=7, name="Ann Example", email="ann.example@mail.test")
    made.tags, made.scores = ["red", "green", "blue", "black", "white"], [i / 7 for i in range(20)]
    made.address = calc.Address.new_message(street="1 Long Street", city="Springfield", zip=12345)
    return made
PERSON = person()
@contextlib.asynccontextmanager
async def connected(port):
    stream = await capnp.AsyncIoStream.create_connection("127.0.0.1", port)
    stub = capnp.TwoPartyClient(stream).bootstrap().cast_as(calc.Calc)
    async def small():
        return (await stub.divide(200, 100)).result
    async def medium():
        id, name, tags, scores, address = read((await stub.echo(PERSON)).person)
        return id, name, list(tags), list(scores), address
    yield {"small": small, "medium": medium}.__getitem__
"""
)

GRPC_INTERFACE = """\
syntax = "proto3";
message Operands { int32 num1 = 1; int32 num2 = 2; }
message Quotient { double value = 1; }
message Address { string street = 1; string city = 2; int32 zip = 3; }
message Person {
    int64 id = 1; string name = 2; string email = 3; repeated string tags = 4; repeated double scores = 5;
    Address address = 6;
}
service Calc {
    rpc Divide(Operands) returns (Quotient);
    rpc Echo(Person) returns (Person);
}
"""

GRPC_SERVER = """\
import asyncio, grpc, grpc.aio, calc_pb2, calc_pb2_grpc
class Handlers(calc_pb2_grpc.CalcServicer):
    async def Divide(self, request, context):
        return calc_pb2.Quotient(value=request.num1 / request.num2)
    async def Echo(self, request, context):
        return request
async def main():
    server = grpc.aio.server()
    calc_pb2_grpc.add_CalcServicer_to_server(Handlers(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()
asyncio.run(main())
"""

GRPC_CONNECT = (
    READ
    + """\
import contextlib, grpc, grpc.aio, calc_pb2, calc_pb2_grpc
PERSON = calc_pb2.Person(
    id=7, name="Ann Example", email="ann.example@mail.test", tags=["red", "green", "blue", "black", "white"],
    scores=[i / 7 for i in range(20)], address=calc_pb2.Address(street="1 Long Street", city="Springfield", zip=12345))
@contextlib.asynccontextmanager
async def connected(port):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = calc_pb2_grpc.CalcStub(channel)
        async def small():
            return (await stub.Divide(calc_pb2.Operands(num1=200, num2=100))).value
        async def medium():
            id, name, tags, scores, address = read(await stub.Echo(PERSON))
            return id, name, list(tags), list(scores), address
        yield {"small": small, "medium": medium}.__getitem__
"""
)

PEERS: typing.Final = {
    "thriftpy2": ("thriftpy2", ("thriftpy2", "ply")),
    "pycapnp": ("capnp", ("pycapnp",)),
    "grpcio": ("grpc_tools", ("grpcio", "grpcio-tools")),
    "uvloop": ("uvloop", ("uvloop",)),
    "uvicorn": ("uvicorn", ("uvicorn", "httptools")),
    "fastapi": ("fastapi", ("fastapi",)),
    "connect-python": ("connectrpc", ("connect-python", "protobuf", "uvicorn", "httptools")),
    "rpyc": ("rpyc", ("rpyc",)),
    "pyro5": ("Pyro5", ("pyro5", "msgpack")),
}
"""Peer → a module that tells whether it is installed, and the distributions that it needs."""

NAMES: typing.Final = ("msgspec", "protobuf", *(name for name in PEERS if name != "uvloop"))
"""What tells a figure of a peer by its name; under uvloop it may as well be ours."""


COMPILED = ("grpcio", "connect-python")
"""Peers whose messages protoc compiles, which comes with gRPC's tools."""


def installed(*peers: str) -> list[str]:
    """Gives those of the peers that can be measured here."""
    protoc = importlib.util.find_spec(PEERS["grpcio"][0]) is not None
    return [
        peer
        for peer in peers
        if importlib.util.find_spec(PEERS[peer][0]) is not None and (protoc or peer not in COMPILED)
    ]


INTERFACES: typing.Final = {
    "calc.thrift": THRIFT_INTERFACE,
    "calc.capnp": CAPNP_INTERFACE,
    "calc.proto": GRPC_INTERFACE,
}


def prepare(bench: Bench, found: typing.Container[str]) -> None:
    """Writes the interfaces of peers into a bench's folder, and compiles what has to be."""
    for name, text in INTERFACES.items():
        (bench.folder / name).write_text(text, encoding="utf-8")
    if any(peer in found for peer in COMPILED):
        bench.run("-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--grpc_python_out=.", "calc.proto")


def distributions(peers: typing.Collection[str]) -> tuple[str, ...]:
    """Gives what an environment needs for peers."""
    tools = ("grpcio", "grpcio-tools") if any(peer in peers for peer in COMPILED) else ()
    return (*tools, *(name for peer in peers for name in PEERS[peer][1]))
