"""What a server costs: processor time of a small call, memory at its start and under load, an idle connection.

Processor time is that of all threads of the server's process, as Linux counts it, one call at a time on one
processor, and with 64 in flight on one connection. Memory is what is resident.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import time
import typing

from benchmarks import peers
from benchmarks.blocking_peers import ONE
from benchmarks.calls import RAW_CLIENT, TIMED, client_script
from benchmarks.contestants import (
    CONNECT,
    ECHO_CLIENT,
    ECHO_SERVER,
    INTERFACE,
    PINNED,
    RAW_SERVER,
    READ,
    RUN,
    TASKS,
    THREAD_SERVER,
    WORK,
    async_server,
)
from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.processes import Bench

CONNECTIONS = 1_000

IDLE = """\
import socket, sys
from rpcgen.runtime.wire.client import ClientSession
port, count, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
message = WORKS["small"][0].args_encode(200, 100)
connections = []
for _ in range(count):
    connection = socket.create_connection(("127.0.0.1", port))
    if kind == "framed":
        session = ClientSession()
        session.send_call("divide", message[14:])
        connection.sendall(b"".join(session.data_to_send()))
        events = []
        while len(events) < 2:
            events += session.receive(connection.recv(4096))
    else:
        connection.sendall(b"small" if kind == "raw" else b"31 15")
        connection.recv(1)
    connections.append(connection)
print("there", flush=True)
sys.stdin.read()
"""

AT_MOST = {
    "CPU, one at a time: ThreadServer ÷ floor": 9 / 6.8,
    "CPU, 64 at once: AsyncServer ÷ floor": 5 / 0.8,
    "RSS at start: ThreadServer": 24.0,
    "RSS at start: AsyncServer": 24.0,
    "RSS loaded: ThreadServer": 28.0,
    "RSS loaded: AsyncServer": 28.0,
    "idle connection: ThreadServer": 26.0,
    "idle connection: AsyncServer": 4.0,
}


def run(quick: bool) -> typing.Iterable[Figure]:
    found = peers.installed("thriftpy2")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder), also=peers.distributions(found))
        texts = {
            "calls.idl": INTERFACE,
            "ThreadServer_server.py": THREAD_SERVER,
            "AsyncServer_server.py": async_server("inline"),
            "raw_server.py": WORK + RAW_SERVER,
            "echo_server.py": ECHO_SERVER + RUN,
            "thriftpy2_server.py": peers.THRIFT + peers.THRIFT_SERVER,
            "one.py": WORK + READ + TIMED + client_script("framed"),
            "one_raw.py": WORK + TIMED + RAW_CLIENT,
            "one_thrift.py": peers.THRIFT + peers.THRIFT_CONNECTED + TIMED + ONE,
            "many.py": WORK + READ + CONNECT + TASKS + RUN,
            "many_echo.py": WORK + ECHO_CLIENT + RUN,
            "idle.py": WORK + IDLE,
        }
        for name, text in texts.items():
            (bench.folder / name).write_text(text, encoding="utf-8")
            (bench.folder / f"pinned_{name}").write_text(PINNED + text, encoding="utf-8")
        bench.compile("calls")
        peers.prepare(bench, found)
        if not found:
            yield Figure("cost of a server", "thriftpy2", None, "µs", note="not installed: make peers")
        yield from _processor(bench, found, quick)
        yield from _memory(bench, found, quick)
        yield from _idle(bench, quick)


def _processor(bench: Bench, found: list[str], quick: bool) -> typing.Iterable[Figure]:
    one = {"ThreadServer": "one", "raw": "one_raw"} | ({"thriftpy2": "one_thrift"} if found else {})
    many = {"AsyncServer": "many", "echo": "many_echo"}
    for group, pinned, clients in (("CPU, one at a time", "pinned_", one), ("CPU, 64 at once", "", many)):
        with contextlib.ExitStack() as stack:
            works = {}
            for server, client in clients.items():
                port, process = stack.enter_context(bench.server(f"{pinned}{server}_server.py"))
                count = (500 if quick else 20_000) * (1 if pinned else 5)
                several = () if pinned else ("64",)
                arguments = (f"{pinned}{client}.py", "small", str(port), *several, str(count))
                works[server] = _spent(bench, process, arguments, count)
            measured = alternate(works, 1 if quick else 7)
        ours, floor = list(clients)[:2]
        for name, rounds in measured.items():
            label = "floor" if name == floor else name
            yield from_rounds("cost of a server", f"{group}: {label}", rounds, "µs a call")
        ratios = [mine / bare for mine, bare in zip(measured[ours], measured[floor], strict=True)]
        name = f"{group}: {ours} ÷ floor"
        yield from_rounds("cost of a server", name, ratios, "×", at_most=AT_MOST[name])


def _spent(bench: Bench, process: int, arguments: tuple[str, ...], count: int) -> typing.Callable[[], float]:
    def measure() -> float:
        before = processor_time(process)
        bench.run(*arguments)
        # A tenth more are made before the client begins to count.
        return (processor_time(process) - before) / (count * 1.1) * 1e6

    return measure


def _memory(bench: Bench, found: list[str], quick: bool) -> typing.Iterable[Figure]:
    clients = {"ThreadServer": "one", "AsyncServer": "many", "raw": "one_raw"}
    clients |= {"thriftpy2": "one_thrift"} if found else {}
    for server, client in clients.items():
        starts, ends = [], []
        for _ in range(1 if quick else 3):
            with bench.server(f"{server}_server.py") as (port, process):
                starts.append(resident(process) / 1024)
                several = ("64",) if client == "many" else ()
                bench.run(f"{client}.py", "small", str(port), *several, "500" if quick else "50000")
                ends.append(resident(process) / 1024)
        label = "floor, which loads rpcgen for its bytes" if server == "raw" else server
        for when, rounds in (("at start", starts), ("loaded", ends)):
            name = f"RSS {when}: {label}"
            yield from_rounds("cost of a server", name, rounds, "MiB", at_most=AT_MOST.get(name))


def _idle(bench: Bench, quick: bool) -> typing.Iterable[Figure]:
    count = CONNECTIONS // 20 if quick else CONNECTIONS
    kinds = {"ThreadServer": "framed", "AsyncServer": "framed", "raw": "raw", "echo": "echo"}
    labels = {"raw": "floor, a thread each", "echo": "floor, asyncio"}
    for server, kind in kinds.items():
        rounds = []
        for _ in range(1 if quick else 3):
            with (
                bench.server(f"{server}_server.py") as (port, process),
                bench.held("idle.py", str(port), "10", kind),
            ):
                before = resident(process)
                with bench.held("idle.py", str(port), str(count), kind):
                    rounds.append((resident(process) - before) / count)
        name = f"idle connection: {labels.get(server, server)}"
        yield from_rounds("cost of a server", name, rounds, "KiB", at_most=AT_MOST.get(name))


def processor_time(process: int) -> float:
    """Gives the seconds that all threads of a process have run, those that have ended, too."""
    # What clock_getcpuclockid(3) gives, which Python does not offer.
    return time.clock_gettime(~process << 3 | 2)


def resident(process: int) -> float:
    """Gives the KiB of memory that a process holds."""
    lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS"))
