"""16 threads that call at once, through one stub: its channel's connections pooled, or one for all.

Beside them stands thriftpy2, where it is installed, with a client and a connection for each thread: its clients
cannot be shared. Client and server are processes.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import typing

from benchmarks import peers
from benchmarks.contestants import INTERFACE, READ, STUB, THREAD_SERVER, THREADS, WORK, async_server
from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.processes import Bench

AT_ONCE = 16
AT_LEAST = 1.6
"""Times thriftpy2's calls a second."""


def run(quick: bool) -> typing.Iterable[Figure]:
    found = peers.installed("thriftpy2")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder), also=peers.distributions(found))
        texts = {
            "calls.idl": INTERFACE,
            "server.py": THREAD_SERVER,
            "async_server.py": async_server("inline"),
            "pooled.py": WORK + READ + STUB.format(options='protocol="framed"') + THREADS,
            "multiplexed.py": WORK
            + READ
            + STUB.format(options='protocol="framed", multiplex=True')
            + THREADS,
            "thrift_server.py": peers.THRIFT + peers.THRIFT_SERVER,
            "thrift_client.py": peers.THRIFT + peers.THRIFT_CONNECTED + THREADS,
        }
        for name, text in texts.items():
            (bench.folder / name).write_text(text, encoding="utf-8")
        bench.compile("calls")
        peers.prepare(bench, found)
        contestants = {
            "pooled": ("pooled.py", "server.py"),
            "multiplexed": ("multiplexed.py", "server.py"),
            "multiplexed, AsyncServer": ("multiplexed.py", "async_server.py"),
        }
        if found:
            contestants["thriftpy2, 16 connections"] = ("thrift_client.py", "thrift_server.py")
        else:
            yield Figure("calls of 16 threads", "thriftpy2", None, "µs", note="not installed: make peers")
        for work in ("small", "medium"):
            yield from _measure(bench, contestants, work, quick)


def _measure(
    bench: Bench, contestants: dict[str, tuple[str, str]], work: str, quick: bool
) -> typing.Iterable[Figure]:
    count = 640 if quick else 32_000
    with contextlib.ExitStack() as stack:
        works = {
            name: _timed(bench, client, stack.enter_context(bench.serve(server)), work, count)
            for name, (client, server) in contestants.items()
        }
        measured = alternate(works, 1 if quick else 7)
    group = f"{work} calls of {AT_ONCE} threads"
    for name, rounds in measured.items():
        yield from_rounds(group, name, rounds, "µs a call")
    theirs = measured.get("thriftpy2, 16 connections")
    for name, rounds in measured.items():
        if theirs is not None and rounds is not theirs:
            ratios = [one / other for one, other in zip(theirs, rounds, strict=True)]
            goal = AT_LEAST if name == "pooled" else None
            yield from_rounds(group, f"thriftpy2 ÷ {name}", ratios, "×", at_least=goal)


def _timed(bench: Bench, script: str, port: int, work: str, count: int) -> typing.Callable[[], float]:
    return lambda: float(bench.run(script, work, str(port), str(AT_ONCE), str(count)))
