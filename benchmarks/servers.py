"""Calls that compute: four clients, each a process, against a ThreadServer and a ProcessServer.

The handler computes for about a millisecond, holding Python's lock. Threads take turns at
that, so that a ThreadServer has one processor's worth; a ProcessServer has what the machine
has left beside the clients, which wait for the most part.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import tempfile
import typing

from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.processes import Bench

INTERFACE = "long work(1:int rounds)\n"

SERVER = """\
import sys
import computing
class Handlers:
    def work(self, rounds):
        found = 0
        for i in range(rounds):
            found = (found * 31 + i) % 65521
        return found
server = {server}
print(server.bind().port, flush=True)
server.serve()
"""

CLIENT = """\
import sys, time
import computing
port, rounds, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
with computing.Channel("127.0.0.1", port) as channel:
    stub = computing.ClientStub(channel)
    stub.work(rounds)
    calls, begin = 0, time.monotonic()
    while time.monotonic() < begin + seconds:
        stub.work(rounds)
        calls += 1
    print(calls / (time.monotonic() - begin))
"""

CLIENTS = 4
ROUNDS = 15_000


def run(quick: bool) -> typing.Iterable[Figure]:
    cores = len(os.sched_getaffinity(0))
    servers = {
        "ThreadServer": 'computing.ThreadServer("127.0.0.1", 0, Handlers())',
        "ProcessServer": f'computing.ProcessServer("127.0.0.1", 0, Handlers(), processes={cores})',
    }
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        (bench.folder / "computing.idl").write_text(INTERFACE, encoding="utf-8")
        (bench.folder / "client.py").write_text(CLIENT, encoding="utf-8")
        bench.compile("computing")
        works: dict[str, typing.Callable[[], float]] = {}
        for name, server in servers.items():
            (bench.folder / f"{name}.py").write_text(SERVER.replace("{server}", server), encoding="utf-8")
            works[name] = _rate(bench, f"{name}.py", 0.3 if quick else 2.0)
        measured = alternate(works, 1 if quick else 5)
    group = f"calls that compute, {CLIENTS} clients"
    for name, rounds in measured.items():
        note = f"{cores} processes" if name == "ProcessServer" else ""
        yield from_rounds(group, name, rounds, "/s", note=note)
    pairs = zip(measured["ProcessServer"], measured["ThreadServer"], strict=True)
    yield from_rounds(group, "ProcessServer ÷ ThreadServer", [one / other for one, other in pairs], "×")


def _rate(bench: Bench, script: str, seconds: float) -> typing.Callable[[], float]:
    """Gives what measures the calls a second of all clients together."""

    def measure() -> float:
        with bench.serve(script) as port, concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            arguments = ("client.py", str(port), str(ROUNDS), str(seconds))
            running = [pool.submit(bench.run, *arguments) for _ in range(CLIENTS)]
            return sum(float(client.result()) for client in running)

    return measure
