"""A client process from start to end: imports, connects, makes one call, ends.

Beside it stands one that sends the same bytes through a bare socket to the same server.
"""

from __future__ import annotations

import pathlib
import tempfile
import time
import typing

from benchmarks.figures import Figure, from_rounds
from benchmarks.processes import Bench

SERVER = """\
from divide import ThreadServer
class Handlers:
    def divide(self, num1, num2):
        return num1 / num2
server = ThreadServer("127.0.0.1", 0, Handlers())
print(server.bind().port, flush=True)
server.serve()
"""

OURS = """\
import sys, time
begin = time.perf_counter()
from divide import Channel, ClientStub
imported = time.perf_counter()
with Channel("127.0.0.1", int(sys.argv[1])) as channel:
    assert ClientStub(channel).divide(200, 100) == 2.0
    called = time.perf_counter()
print(imported - begin, called - imported)
"""

RAW = """\
import sys, time
begin = time.perf_counter()
import socket, struct
imported = time.perf_counter()
with socket.socket() as connection:
    connection.connect(("127.0.0.1", int(sys.argv[1])))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(bytes.fromhex("00000006 646976696465 0000000a 01 000000c8 02 00000064"))
    assert struct.unpack(">Bf", connection.recv(65536)) == (1, 2.0)
    called = time.perf_counter()
print(imported - begin, called - imported)
"""

WHOLE_GOAL = 45 / 19
"""Our client process against the bare one: at most 45 ms where that takes 19."""

Times: typing.TypeAlias = "tuple[float, float, float]"
"""Milliseconds of the import, of the first call with its connection, and of the whole process."""


def run(quick: bool) -> typing.Iterable[Figure]:
    rounds = 3 if quick else 25
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        (bench.folder / "divide.idl").write_text(
            "float divide(1:int num1, 2:int num2=1) => InvalidOperation\n", encoding="utf-8"
        )
        bench.compile("divide")
        for name, text in {"server": SERVER, "ours": OURS, "raw": RAW}.items():
            (bench.folder / f"{name}.py").write_text(text, encoding="utf-8")
        measured: dict[str, list[Times]] = {"ours": [], "raw": []}
        with bench.serve("server.py") as port:
            for name in measured:
                _client(bench, name, port)
            for _ in range(rounds):
                for name, times in measured.items():
                    times.append(_client(bench, name, port))
    group = "client process"
    for name, title in {"ours": "rpcgen", "raw": "bare socket"}.items():
        for column, part in enumerate(("import", "first call", "whole")):
            yield from_rounds(group, f"{title}: {part}", [times[column] for times in measured[name]], "ms")
    ratios = [ours[2] / raw[2] for ours, raw in zip(measured["ours"], measured["raw"], strict=True)]
    yield from_rounds(group, "whole, against the bare socket", ratios, "×", at_most=WHOLE_GOAL)


def _client(bench: Bench, name: str, port: int) -> Times:
    start = time.perf_counter()
    told = bench.run(f"{name}.py", str(port))
    whole = time.perf_counter() - start
    imported, called = (float(part) for part in told.split())
    return imported * 1e3, called * 1e3, whole * 1e3
