"""One call at a time: a blocking client and a server, each a process, on one processor.

A wake-up across processors costs more than everything that is measured here, and hides it.
Beside rpcgen stand bare blocking sockets that send the same bytes (the floor), and
thriftpy2 where it is installed. Ratios are taken round by round.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys
import tempfile
import typing

from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.processes import Bench

INTERFACE = """\
float divide(1:int num1, 2:int num2=1) => InvalidOperation
struct Address { 1: string street  2: string city  3: int zip }
struct Person {
    1: long id  2: string name  3: string email  4: list<string> tags  5: list<double> scores  6: Address address
}
Person echo(1: Person person)
bytes blob(1: bytes data)
"""

PINNED = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"

WORK = """\
import io, sys
import calls
PERSON = calls.Person(
    7, "Ann Example", "ann.example@mail.test", ["red", "green", "blue", "black", "white"],
    [i / 7 for i in range(20)], calls.Address("1 Long Street", "Springfield", 12345))
DATA = bytes(1 << 20)
WORKS = {  # its protocol, its arguments, its reply
    "small": (calls.DivideProtocol(), (200, 100), 2.0),
    "error": (calls.DivideProtocol(), (1, 0), calls.InvalidOperation("no")),
    "medium": (calls.EchoProtocol(), (PERSON,), PERSON),
    "bulk": (calls.BlobProtocol(), (DATA,), DATA),
}
"""

SERVER = """\
import calls
class Handlers:
    def divide(self, num1, num2):
        if num2 == 0:
            raise calls.InvalidOperation("no")
        return num1 / num2
    def echo(self, person):
        return person
    def blob(self, data):
        return data
server = calls.ThreadServer("127.0.0.1", 0, Handlers())
print(server.bind().port, flush=True)
server.serve()
"""

RAW_SERVER = """\
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = connection.recv(16).decode().strip()
        protocol, args, reply = WORKS[name]
        size, reply = len(protocol.args_encode(*args)), protocol.result_encode(reply)
        buffer = memoryview(bytearray(size))
        connection.send(b".")
        while True:
            got = connection.recv_into(buffer)
            if not got:
                break
            while got < size:
                got += connection.recv_into(buffer[got:])
            connection.sendall(reply)
"""

TIMED = """\
import time
def timed(call, count):
    for _ in range(max(10, count // 10)):
        call()
    clock, times = time.perf_counter, []
    for _ in range(count):
        begin = clock()
        call()
        times.append(clock() - begin)
    times.sort()
    print(times[count // 2] * 1e6, times[count * 99 // 100] * 1e6)
"""

CLIENT = """\
name, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
protocol, args, _ = WORKS[name]
stub = calls.ClientStub(calls.Channel("127.0.0.1", port))
method = getattr(stub, protocol.name)
def call():
    try:
        method(*args)
    except calls.InvalidOperation:
        pass
timed(call if name == "error" else lambda: method(*args), count)
"""

RAW_CLIENT = """\
import socket
name, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
protocol, args, reply = WORKS[name]
message, size = protocol.args_encode(*args), len(protocol.result_encode(reply))
connection = socket.create_connection(("127.0.0.1", port))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
connection.send(name.encode())
connection.recv(1)
buffer = memoryview(bytearray(size))
def call():
    connection.sendall(message)
    got = connection.recv_into(buffer)
    while got < size:
        got += connection.recv_into(buffer[got:])
timed(call, count)
"""

THRIFT = """\
import sys, thriftpy2
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.transport import TCyFramedTransportFactory
calc = thriftpy2.load("calc.thrift", module_name="calc_thrift")
how = {"proto_factory": TCyBinaryProtocolFactory(), "trans_factory": TCyFramedTransportFactory()}
"""

THRIFT_INTERFACE = """\
exception InvalidOperation { 1: string message }
service Calc { double divide(1: i32 num1, 2: i32 num2) throws (1: InvalidOperation refusal) }
"""

THRIFT_SERVER = """\
import socket
from thriftpy2.rpc import make_server
class Handlers:
    def divide(self, num1, num2):
        if num2 == 0:
            raise calc.InvalidOperation("no")
        return num1 / num2
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = make_server(calc.Calc, Handlers(), "127.0.0.1", port, client_timeout=None, **how)
server.trans.listen()
print(port, flush=True)
server.trans.listen = lambda: None
server.serve()
"""

THRIFT_CLIENT = """\
from thriftpy2.rpc import make_client
name, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = make_client(calc.Calc, "127.0.0.1", port, timeout=None, **how)
args = (1, 0) if name == "error" else (200, 100)
def call():
    try:
        client.divide(*args)
    except calc.InvalidOperation:
        pass
timed(call if name == "error" else lambda: client.divide(*args), count)
"""

COUNTS = {"small": 5000, "error": 5000, "medium": 3000, "bulk": 100}

GOALS = {"small": 1.35, "error": 1.35, "medium": 1.45, "bulk": 1.2}
"""At most so many times the floor, at the median of the calls."""


def run(quick: bool) -> typing.Iterable[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder), also=_thriftpy2())
        scripts = {
            "server": WORK + SERVER,
            "client": WORK + TIMED + CLIENT,
            "raw_server": WORK + RAW_SERVER,
            "raw_client": WORK + TIMED + RAW_CLIENT,
            "thrift_server": THRIFT + THRIFT_SERVER,
            "thrift_client": THRIFT + TIMED + THRIFT_CLIENT,
        }
        for name, text in scripts.items():
            (bench.folder / f"{name}.py").write_text(PINNED + text, encoding="utf-8")
        (bench.folder / "calls.idl").write_text(INTERFACE, encoding="utf-8")
        (bench.folder / "calc.thrift").write_text(THRIFT_INTERFACE, encoding="utf-8")
        bench.compile("calls")
        with bench.serve("server.py") as ours, bench.serve("raw_server.py") as raw:
            if not _thriftpy2():
                yield Figure("calls", "thriftpy2", None, "µs", note="not installed: make peers")
                yield from _measure(
                    bench, {"rpcgen": ("client.py", ours), "floor": ("raw_client.py", raw)}, quick
                )
                return
            with bench.serve("thrift_server.py") as thrift:
                contestants = {
                    "rpcgen": ("client.py", ours),
                    "floor": ("raw_client.py", raw),
                    "thriftpy2": ("thrift_client.py", thrift),
                }
                yield from _measure(bench, contestants, quick)


def _measure(
    bench: Bench, contestants: typing.Mapping[str, tuple[str, int]], quick: bool
) -> typing.Iterable[Figure]:
    for work, count in COUNTS.items():
        works: dict[str, typing.Callable[[], float]] = {}
        for name, (script, port) in contestants.items():
            if name != "thriftpy2" or work in ("small", "error"):
                works[name] = _call(bench, script, work, port, count // 20 if quick else count)
        measured = alternate(works, 2 if quick else 11)
        group = f"calls, one at a time: {work}"
        for name, rounds in measured.items():
            yield from_rounds(group, name, rounds, "µs")
        for peer in measured.keys() - {"rpcgen"}:
            ratios = [one / other for one, other in zip(measured["rpcgen"], measured[peer], strict=True)]
            goal = GOALS[work] if peer == "floor" else 1.0
            yield from_rounds(group, f"rpcgen ÷ {peer}", ratios, "×", at_most=goal)


def _call(bench: Bench, script: str, work: str, port: int, count: int) -> typing.Callable[[], float]:
    return lambda: float(bench.run(script, work, str(port), str(count)).split()[0])


def _thriftpy2() -> tuple[str, ...]:
    return ("thriftpy2", "ply") if importlib.util.find_spec("thriftpy2") else ()


if __name__ == "__main__":
    from benchmarks.figures import table

    print(table(list(run("--quick" in sys.argv))), f"\non {os.uname().nodename}")
