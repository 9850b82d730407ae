"""The calls of ``contestants`` through peers whose clients block: texts of scripts, and one table of them all.

Each client text offers ``connected(port)``, which gives what calls by the name of the work; ``contestants.THREADS``
times those of many threads, a connection each, and ``calls`` those of one.
"""

from __future__ import annotations

import typing

from benchmarks import peers
from benchmarks.contestants import READ
from benchmarks.http_contestants import CONNECT, PERSON, RUN

ONE = """\
import sys
name, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
timed(connected(port)[name], count)
"""

GRPC_SERVER = """\
import concurrent.futures, grpc, calc_pb2, calc_pb2_grpc
class Handlers(calc_pb2_grpc.CalcServicer):
    def Divide(self, request, context):
        if request.num2 == 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        return calc_pb2.Quotient(value=request.num1 / request.num2)
    def Echo(self, request, context):
        return request
server = grpc.server(concurrent.futures.ThreadPoolExecutor(64))
calc_pb2_grpc.add_CalcServicer_to_server(Handlers(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
"""

MESSAGES = (
    READ
    + PERSON
    + """\
import calc_pb2
MESSAGE = calc_pb2.Person(**{**PERSON, "address": calc_pb2.Address(**PERSON["address"])})
def read_message(person):
    id, name, tags, scores, address = read(person)
    return id, name, list(tags), list(scores), address
"""
)

GRPC_CONNECTED = (
    MESSAGES
    + """\
import grpc, calc_pb2_grpc
def connected(port):
    stub = calc_pb2_grpc.CalcStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
    def refused():
        try:
            stub.Divide(calc_pb2.Operands(num1=1, num2=0))
        except grpc.RpcError:
            pass
    return {
        "small": lambda: stub.Divide(calc_pb2.Operands(num1=200, num2=100)).value,
        "error": refused,
        "medium": lambda: read_message(stub.Echo(MESSAGE)),
    }
"""
)

CONNECT_METHODS = """\
import atexit, os, sys
# The threads of its client in Rust abort a process now and then that ends in order.
atexit.register(lambda: (sys.stdout.flush(), os._exit(0)))
from connectrpc.method import IdempotencyLevel, MethodInfo
def method(name, given, gives):
    return MethodInfo(
        name=name, service_name="Calc", input=given, output=gives, idempotency_level=IdempotencyLevel.UNKNOWN)
DIVIDE = method("Divide", calc_pb2.Operands, calc_pb2.Quotient)
ECHO = method("Echo", calc_pb2.Person, calc_pb2.Person)
PLAIN = {"accept_compression": (), "send_compression": None}
"""

CONNECT_CONNECTED = (
    MESSAGES
    + CONNECT_METHODS
    + """\
from connectrpc.client import ConnectClientSync
def connected(port):
    call = ConnectClientSync(f"http://127.0.0.1:{port}", **PLAIN).execute_unary
    return {
        "small": lambda: call(request=calc_pb2.Operands(num1=200, num2=100), method=DIVIDE).value,
        "medium": lambda: read_message(call(request=MESSAGE, method=ECHO)),
    }
"""
)

CONNECT_ASYNC = (
    MESSAGES
    + CONNECT_METHODS
    + """\
import contextlib
from connectrpc.client import ConnectClient
@contextlib.asynccontextmanager
async def connected(port):
    async with ConnectClient(f"http://127.0.0.1:{port}", **PLAIN) as client:
        async def small():
            return (await client.execute_unary(
                request=calc_pb2.Operands(num1=200, num2=100), method=DIVIDE)).value
        async def medium():
            return read_message(await client.execute_unary(request=MESSAGE, method=ECHO))
        yield {"small": small, "medium": medium}.__getitem__
"""
)

CALC = """\
class Calc{base}:
    def {prefix}divide(self, num1, num2):
        if num2 == 0:
            raise ValueError("no")
        return num1 / num2
    def {prefix}echo(self, person):
        return person
"""

RPYC_SERVER = (
    "import logging, rpyc\nfrom rpyc.utils.server import ThreadedServer\n"
    + CALC.format(base="(rpyc.Service)", prefix="exposed_")
    + """\
logging.disable(logging.CRITICAL)
server = ThreadedServer(Calc, hostname="127.0.0.1", port=0)
print(server.port, flush=True)
server.start()
"""
)

REFUSED = """\
def refusing(call):
    def refused():
        try:
            call(1, 0)
        except ValueError:
            pass
    return refused
"""

RPYC_CONNECTED = (
    PERSON
    + REFUSED
    + """\
import rpyc
# A tuple goes by value, anything else as a reference that calls back for each field.
VALUE = tuple(tuple(part) if isinstance(part, list) else part for part in PERSON.values() if part is not PERSON["address"])
VALUE += (tuple(PERSON["address"].values()),)
def connected(port):
    root = rpyc.connect("127.0.0.1", port).root
    divide, echo = root.divide, root.echo
    def medium():
        id, name, email, tags, scores, address = echo(VALUE)
        return id, name, tags, scores, address
    return {"small": lambda: divide(200, 100), "error": refusing(divide), "medium": medium}
"""
)

PYRO = "import Pyro5.api\nPyro5.api.config.SERIALIZER = 'msgpack'\n"

PYRO_SERVER = (
    PYRO
    + "@Pyro5.api.expose\n"
    + CALC.format(base="", prefix="")
    + """\
daemon = Pyro5.api.Daemon("127.0.0.1", 0)
daemon.register(Calc(), "calc")
print(daemon.sock.getsockname()[1], flush=True)
daemon.requestLoop()
"""
)

PYRO_CONNECTED = (
    PYRO
    + PERSON
    + REFUSED
    + """\
FIELDS = ("id", "name", "tags", "scores", "address")
def connected(port):
    calc = Pyro5.api.Proxy(f"PYRO:calc@127.0.0.1:{port}")
    divide, echo = calc.divide, calc.echo
    def medium():
        person = echo(PERSON)
        return [person[name] for name in FIELDS]
    return {"small": lambda: divide(200, 100), "error": refusing(divide), "medium": medium}
"""
)


class Blocking(typing.NamedTuple):
    """A peer: its server's script, what its clients begin with, and the works that it does."""

    server: str
    connected: str
    works: tuple[str, ...] = ("small", "error", "medium")


BLOCKING: typing.Final = {
    "thriftpy2": Blocking(peers.THRIFT + peers.THRIFT_SERVER, peers.THRIFT + peers.THRIFT_CONNECTED),
    "grpcio": Blocking(GRPC_SERVER, GRPC_CONNECTED),
    "connect-python": Blocking(CONNECT + RUN, CONNECT_CONNECTED, ("small", "medium")),
    "rpyc": Blocking(RPYC_SERVER, RPYC_CONNECTED),
    "pyro5": Blocking(PYRO_SERVER, PYRO_CONNECTED),
}
"""Every peer that is measured one call at a time; a row more is an entry here."""
