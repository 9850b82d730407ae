"""Calls that compute: clients, each a process, against a ThreadServer and a ProcessServer of one to all cores.

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

from benchmarks.figures import Figure, alternate, from_rounds, ratios
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
    servers = {"ThreadServer": 'computing.ThreadServer("127.0.0.1", 0, Handlers())'}
    # All sizes, or those that double where there are many cores.
    sizes = [size for size in range(1, cores + 1) if cores <= 8 or size & (size - 1) == 0 or size == cores]
    for size in sizes:
        servers[_title(size)] = f'computing.ProcessServer("127.0.0.1", 0, Handlers(), processes={size})'
    clients = max(CLIENTS, 2 * cores)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        (bench.folder / "computing.idl").write_text(INTERFACE, encoding="utf-8")
        (bench.folder / "client.py").write_text(CLIENT, encoding="utf-8")
        bench.compile("computing")
        works: dict[str, typing.Callable[[], float]] = {}
        for number, (name, server) in enumerate(servers.items()):
            script = f"server{number}.py"
            (bench.folder / script).write_text(SERVER.replace("{server}", server), encoding="utf-8")
            works[name] = _rate(bench, script, clients, 0.2 if quick else 2.0)
        measured = alternate(works, 1 if quick else 5)
    group = f"calls that compute, {clients} clients"
    for name, rounds in measured.items():
        yield from_rounds(group, name, rounds, "/s")
    largest = measured[_title(cores)]
    found = ratios(largest, measured["ThreadServer"])
    yield from_rounds(group, f"{_title(cores)} ÷ ThreadServer", found, "×")
    for size in sizes[1:]:
        found = ratios(measured[_title(size)], measured[_title(1)])
        yield from_rounds(group, f"{_title(size)} ÷ of 1", found, "×", note=f"{size} at best")


def _title(processes: int) -> str:
    return f"ProcessServer of {processes}"


def _rate(bench: Bench, script: str, clients: int, seconds: float) -> typing.Callable[[], float]:
    """Gives what measures the calls a second of all clients together."""

    def measure() -> float:
        with bench.serve(script) as port, concurrent.futures.ThreadPoolExecutor(clients) as pool:
            arguments = ("client.py", str(port), str(ROUNDS), str(seconds))
            running = [pool.submit(bench.run, *arguments) for _ in range(clients)]
            return sum(float(client.result()) for client in running)

    return measure
