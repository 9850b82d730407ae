"""One call at a time: a blocking client and a server, each a process, on one processor.

A wake-up across processors costs more than everything that is measured here, and hides it.
Beside rpcgen, framed and plain, stand bare blocking sockets that send the same bytes (the floor), and
thriftpy2 where it is installed. Ratios are taken round by round.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import typing

from benchmarks import peers
from benchmarks.contestants import INTERFACE, PINNED, RAW_SERVER, READ, THREAD_SERVER, WORK
from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.processes import Bench

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
stub = calls.ClientStub(calls.Channel("127.0.0.1", port, protocol="{protocol}"))
method = getattr(stub, protocol.name)
def refused():
    try:
        method(*args)
    except calls.InvalidOperation:
        pass
works = {{"error": refused, "medium": lambda: read(method(*args))}}
timed(works.get(name) or (lambda: method(*args)), count)
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

COUNTS = {"small": 5000, "error": 5000, "medium": 3000, "bulk": 100}

GOALS = {"small": 1.2, "error": 1.2, "medium": 1.45, "bulk": 1.2}
"""At most so many times the floor, at the median of the calls."""

STEADY = 2.0
"""The 99th percentile of bulk calls is at most so many times their median."""


def run(quick: bool) -> typing.Iterable[Figure]:
    found = peers.installed("thriftpy2")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder), also=peers.distributions(found))
        scripts = {
            "server": THREAD_SERVER,
            "framed_client": WORK + READ + TIMED + CLIENT.format(protocol="framed"),
            "plain_client": WORK + READ + TIMED + CLIENT.format(protocol="plain"),
            "raw_server": WORK + RAW_SERVER,
            "raw_client": WORK + TIMED + RAW_CLIENT,
            "thrift_server": peers.THRIFT + peers.THRIFT_SERVER,
            "thrift_client": peers.THRIFT + TIMED + peers.THRIFT_CLIENT,
        }
        for name, text in scripts.items():
            (bench.folder / f"{name}.py").write_text(PINNED + text, encoding="utf-8")
        (bench.folder / "calls.idl").write_text(INTERFACE, encoding="utf-8")
        (bench.folder / "calc.thrift").write_text(peers.THRIFT_INTERFACE, encoding="utf-8")
        bench.compile("calls")
        with bench.serve("server.py") as ours, bench.serve("raw_server.py") as raw:
            contestants = {
                "framed": ("framed_client.py", ours),
                "plain": ("plain_client.py", ours),
                "floor": ("raw_client.py", raw),
            }
            if not found:
                yield Figure("calls", "thriftpy2", None, "µs", note="not installed: make peers")
                yield from _measure(bench, contestants, quick)
                return
            with bench.serve("thrift_server.py") as thrift:
                yield from _measure(bench, contestants | {"thriftpy2": ("thrift_client.py", thrift)}, quick)


def _measure(
    bench: Bench, contestants: typing.Mapping[str, tuple[str, int]], quick: bool
) -> typing.Iterable[Figure]:
    for work, count in COUNTS.items():
        works: dict[str, typing.Callable[[], float]] = {}
        tails: dict[str, list[float]] = {}
        for name, (script, port) in contestants.items():
            if name != "thriftpy2" or work != "bulk":
                tails[name] = []
                works[name] = _call(bench, script, work, port, count // 20 if quick else count, tails[name])
        measured = alternate(works, 1 if quick else 11)
        group = f"calls, one at a time: {work}"
        for name, rounds in measured.items():
            yield from_rounds(group, name, rounds, "µs")
        for ours in ("framed", "plain"):
            for other in measured.keys() - {"framed", "plain"}:
                ratios = [one / floor for one, floor in zip(measured[ours], measured[other], strict=True)]
                goal = GOALS[work] if other == "floor" else 1.0
                yield from_rounds(group, f"{ours} ÷ {other}", ratios, "×", at_most=goal)
        if work == "bulk":
            for name, rounds in measured.items():
                ratios = [tail / median for tail, median in zip(tails[name], rounds, strict=True)]
                steady = None if name == "floor" else STEADY
                yield from_rounds(group, f"{name}, p99 ÷ median", ratios, "×", at_most=steady)


def _call(
    bench: Bench, script: str, work: str, port: int, count: int, tails: list[float]
) -> typing.Callable[[], float]:
    def measure() -> float:
        median, tail = map(float, bench.run(script, work, str(port), str(count)).split())
        tails.append(tail)
        return median

    return measure


if __name__ == "__main__":
    from benchmarks.figures import table

    print(table(list(run("--quick" in sys.argv))), f"\non {os.uname().nodename}")
