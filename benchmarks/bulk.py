"""1 MiB there and back over one connection, again and again: how many a second, one and 16 at once.

The floor is a blocking socket of either end that sends as many bytes; 16 threads take turns with one. Our calls of 16
threads, and asyncio's of 16 tasks, go through one stub and one connection. Client and server are processes.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import typing

from benchmarks.calls import RAW_CALL, RAW_CLIENT, client_script
from benchmarks.contestants import (
    CONNECT,
    INTERFACE,
    RAW_SERVER,
    READ,
    RUN,
    STUB,
    TASKS,
    THREAD_SERVER,
    THREADS,
    WORK,
    async_server,
)
from benchmarks.figures import Figure, alternate, from_rounds, ratios
from benchmarks.processes import Bench

AT_ONCE = 16
GOAL = 0.85
"""At least so many times the calls a second of raw sockets."""

ALL = """\
import time
def timed(call, count):
    for _ in range(max(3, count // 10)):
        call()
    begin = time.perf_counter()
    for _ in range(count):
        call()
    print((time.perf_counter() - begin) / count * 1e6)
"""

TURNS = """\
import threading
lock = threading.Lock()
def connected(port):
    own = memoryview(bytearray(size))
    def call_alone():
        with lock:
            call(own)
    return {name: call_alone}
"""

SCRIPTS = {
    "server": THREAD_SERVER,
    "async_server": async_server("inline"),
    "raw_server": WORK + RAW_SERVER,
    "one": WORK + READ + ALL + client_script("framed"),
    "threads": WORK + READ + STUB.format(options='protocol="framed", multiplex=True') + THREADS,
    "tasks": WORK + READ + CONNECT + TASKS + RUN,
    "raw": WORK + ALL + RAW_CLIENT,
    "raw_threads": WORK + RAW_CALL + TURNS + THREADS,
}

ONE = "raw sockets"
OF_THREADS = f"{ONE}, {AT_ONCE} threads"

CONTESTANTS = {
    ONE: ("raw", "raw_server", ""),
    OF_THREADS: ("raw_threads", "raw_server", str(AT_ONCE)),
    "blocking": ("one", "server", ""),
    f"blocking, {AT_ONCE} threads": ("threads", "server", str(AT_ONCE)),
    "asyncio": ("tasks", "async_server", "1"),
    f"asyncio, {AT_ONCE} tasks": ("tasks", "async_server", str(AT_ONCE)),
}
"""The client's script, the server's, and how many calls at once the client is asked for."""

OURS = [name for name in CONTESTANTS if name not in (ONE, OF_THREADS)]


def run(quick: bool) -> typing.Iterable[Figure]:
    group = "calls of 1 MiB over one connection"
    count = 16 if quick else 480
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        bench = Bench(pathlib.Path(folder))
        (bench.folder / "calls.idl").write_text(INTERFACE, encoding="utf-8")
        for name, text in SCRIPTS.items():
            (bench.folder / f"{name}.py").write_text(text, encoding="utf-8")
        bench.compile("calls")
        ports = {
            server: stack.enter_context(bench.serve(f"{server}.py"))
            for server in ("server", "async_server", "raw_server")
        }
        works = {
            name: _rate(
                bench, [f"{client}.py", "bulk", str(ports[server]), *filter(None, [at_once]), str(count)]
            )
            for name, (client, server, at_once) in CONTESTANTS.items()
        }
        measured = alternate(works, 1 if quick else 9)
    for name, rounds in measured.items():
        yield from_rounds(group, name, rounds, "/s")
    for name in OURS:
        floors = [ONE, OF_THREADS] if "threads" in name else [ONE]
        for floor in floors:
            found = ratios(measured[name], measured[floor])
            goal = GOAL if floor == floors[-1] else None
            yield from_rounds(group, f"{name} ÷ {floor}", found, "×", at_least=goal)


def _rate(bench: Bench, words: typing.Sequence[str]) -> typing.Callable[[], float]:
    return lambda: 1e6 / float(bench.run(*words))
