"""One call at a time: a blocking client and a server, each a process, on one processor.

A wake-up across processors costs more than everything that is measured here, and hides it.
Beside rpcgen, framed and plain, stand bare blocking sockets that send as many bytes, in Python (the floor) and
in C, and the peers that are installed. Ratios are taken round by round.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import typing

from benchmarks import peers
from benchmarks.blocking_peers import BLOCKING, ONE
from benchmarks.contestants import INTERFACE, PINNED, RAW_SERVER, READ, THREAD_SERVER, WORK
from benchmarks.figures import Figure, alternate, from_rounds, ratios
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

_CLIENT = """\
name, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
protocol, args, _ = WORKS[name]
stub = calls.ClientStub(calls.Channel("127.0.0.1", port, protocol="{protocol}", timeout={timeout}))
method = getattr(stub, protocol.name)
def refused():
    try:
        method(*args)
    except calls.InvalidOperation:
        pass
works = {{"error": refused, "medium": lambda: read(method(*args))}}
timed(works.get(name) or (lambda: method(*args)), count)
"""


def client_script(protocol: str, timeout: float | None = None) -> str:
    """Gives the script of a client that makes the calls of a work, one after the other."""
    return _CLIENT.format(protocol=protocol, timeout=timeout)


RAW_CALL = """\
import socket
name, port = sys.argv[1], int(sys.argv[2])
protocol, args, reply = WORKS[name]
message, size = protocol.args_encode(*args), len(protocol.result_encode(reply))
connection = socket.create_connection(("127.0.0.1", port))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
connection.send(name.encode())
connection.recv(1)
buffer = memoryview(bytearray(size))
def call(buffer=buffer):
    connection.sendall(message)
    got = connection.recv_into(buffer)
    while got < size:
        got += connection.recv_into(buffer[got:])
"""

RAW_CLIENT = RAW_CALL + "timed(call, int(sys.argv[3]))\n"

COUNTS = {"small": 5000, "error": 5000, "medium": 3000, "bulk": 100}

SLOWER = {"grpcio": 8, "connect-python": 8, "rpyc": 4, "pyro5": 2}
"""So many fewer calls are enough of those who take so much longer."""

GOALS = {"small": 1.2, "error": 1.2, "medium": 1.45, "bulk": 1.2}
"""At most so many times the floor, at the median of the calls."""

STEADY = 2.0
"""The 99th percentile of bulk calls is at most so many times their median."""

FLOOR_IN_C = pathlib.Path(__file__).with_name("floor.c")
SIZES = """\
for name, (protocol, args, reply) in WORKS.items():
    print(name, len(protocol.args_encode(*args)), len(protocol.result_encode(reply)))
"""

OURS = ("framed", "plain")

WITH_TIMEOUT = "framed, with a timeout"


class Contestant(typing.NamedTuple):
    """Who is measured: the words of its client for each work, up to the count, and the program if not Python."""

    works: typing.Mapping[str, tuple[str, ...]]
    program: pathlib.Path | None = None
    slower: int = 1


def run(quick: bool) -> typing.Iterable[Figure]:
    found = peers.installed(*BLOCKING)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        bench = Bench(pathlib.Path(folder), also=peers.distributions(found))
        scripts = {
            "server": THREAD_SERVER,
            "framed_client": WORK + READ + TIMED + client_script("framed"),
            "plain_client": WORK + READ + TIMED + client_script("plain"),
            "timed_client": WORK + READ + TIMED + client_script("framed", timeout=5),
            "raw_server": WORK + RAW_SERVER,
            "raw_client": WORK + TIMED + RAW_CLIENT,
            "sizes": WORK + SIZES,
        }
        for name in found:
            scripts[f"{name}_server"] = BLOCKING[name].server
            scripts[f"{name}_client"] = BLOCKING[name].connected + TIMED + ONE
        for name, text in scripts.items():
            (bench.folder / f"{name}.py").write_text(PINNED + text, encoding="utf-8")
        (bench.folder / "calls.idl").write_text(INTERFACE, encoding="utf-8")
        bench.compile("calls")
        peers.prepare(bench, found)
        for name in BLOCKING.keys() - set(found):
            yield Figure("calls, one at a time", name, None, "µs", note="not installed: make peers")
        contestants = _contestants(bench, stack, found)
        program = bench.build(FLOOR_IN_C)
        if program is not None:
            port = stack.enter_context(bench.serve("serve", python=program))
            sized = map(str.split, bench.run("sizes.py").splitlines())
            works = {work: ("call", str(port), *sizes) for work, *sizes in sized}
            contestants["floor in C"] = Contestant(works, program)
        else:
            yield Figure("calls, one at a time", "floor in C", None, "µs", note="not installed: gcc")
        for work, count in COUNTS.items():
            yield from _measure(bench, contestants, work, count // 50 if quick else count, quick)


def _contestants(
    bench: Bench, stack: contextlib.ExitStack, found: typing.Sequence[str]
) -> dict[str, Contestant]:
    def words(client: str, port: int, works: typing.Iterable[str]) -> dict[str, tuple[str, ...]]:
        return {work: (f"{client}_client.py", work, str(port)) for work in works}

    ours, raw = (stack.enter_context(bench.serve(script)) for script in ("server.py", "raw_server.py"))
    contestants = {
        name: Contestant(words(client, port, COUNTS))
        for name, client, port in (
            ("framed", "framed", ours),
            (WITH_TIMEOUT, "timed", ours),
            ("plain", "plain", ours),
            ("floor", "raw", raw),
        )
    }
    for name in found:
        port = stack.enter_context(bench.serve(f"{name}_server.py"))
        works = words(name, port, BLOCKING[name].works)
        contestants[name] = Contestant(works, slower=SLOWER.get(name, 1))
    return contestants


def _measure(
    bench: Bench, contestants: typing.Mapping[str, Contestant], work: str, count: int, quick: bool
) -> typing.Iterable[Figure]:
    works: dict[str, typing.Callable[[], float]] = {}
    tails: dict[str, list[float]] = {}
    for name, one in contestants.items():
        if work in one.works:
            tails[name] = []
            works[name] = _call(bench, one, work, max(20, count // one.slower), tails[name])
    measured = alternate(works, 1 if quick else 11)
    group = f"calls, one at a time: {work}"
    for name, rounds in measured.items():
        yield from_rounds(group, name, rounds, "µs")
    for ours in OURS:
        for other in [name for name in measured if name not in (*OURS, WITH_TIMEOUT)]:
            goal = None if other == "floor in C" else GOALS[work] if other == "floor" else 1.0
            found = ratios(measured[ours], measured[other])
            yield from_rounds(group, f"{ours} ÷ {other}", found, "×", at_most=goal)
    found = ratios(measured[WITH_TIMEOUT], measured["framed"])
    yield from_rounds(group, f"{WITH_TIMEOUT} ÷ framed", found, "×")
    if work == "bulk":
        for name, rounds in measured.items():
            steady = STEADY if name in OURS else None
            yield from_rounds(
                group, f"{name}, p99 ÷ median", ratios(tails[name], rounds), "×", at_most=steady
            )


def _call(
    bench: Bench, one: Contestant, work: str, count: int, tails: list[float]
) -> typing.Callable[[], float]:
    def measure() -> float:
        told = bench.run(*one.works[work], str(count), python=one.program)
        median, tail = map(float, told.split())
        tails.append(tail)
        return median

    return measure
