"""Calls over HTTP, in JSON and in binary: ASGI applications under uvicorn, one at a time and 64 at once.

The floor is an application that answers without looking. Beside it stand FastAPI and connect-python doing
the same, where they are installed. Client and server are processes; one at a time they share one processor.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import typing

from benchmarks import peers
from benchmarks.contestants import INTERFACE, PINNED, RUN
from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.http_contestants import CLIENT, CONNECT, FASTAPI, FLOOR, REQUESTS, RPCGEN, RUN as SERVE
from benchmarks.processes import Bench

OURS = "rpcgen"
FORMS = {"json": (OURS, "fastapi", "connect-python", "floor"), "binary": (OURS, "connect-python")}
SERVERS = {OURS: RPCGEN, "floor": FLOOR, "fastapi": FASTAPI, "connect-python": CONNECT}

GOAL = 1.0
"""A peer takes at least so many times as long."""


def run(quick: bool) -> typing.Iterable[Figure]:
    found = peers.installed("uvicorn", "fastapi", "connect-python", "grpcio", "uvloop")
    if "uvicorn" not in found:
        yield Figure("calls over HTTP", "uvicorn", None, "µs", note="not installed: make peers")
        return
    if "grpcio" not in found and "connect-python" in found:
        found.remove("connect-python")  # protoc comes with it
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder), also=peers.distributions(found))
        texts = {f"{name}_server.py": text + SERVE for name, text in SERVERS.items()}
        texts["client.py"] = REQUESTS + CLIENT + RUN
        pinned = {f"pinned_{name}": PINNED + text for name, text in texts.items()}
        files = {"calls.idl": INTERFACE, "calc.proto": peers.GRPC_INTERFACE, **texts, **pinned}
        for name, text in files.items():
            (bench.folder / name).write_text(text, encoding="utf-8")
        bench.compile("calls")
        if "connect-python" in found:
            bench.run("-m", "grpc_tools.protoc", "-I.", "--python_out=.", "calc.proto")
        for at_once in (1, 64):
            yield from _measure(bench, at_once, [OURS, "floor", *found], quick)


def _measure(bench: Bench, at_once: int, found: typing.Sequence[str], quick: bool) -> typing.Iterable[Figure]:
    pinned = "pinned_" if at_once == 1 else ""
    loop = "uvloop" if "uvloop" in found else ""
    count = (64 if quick else 2000) * (1 if at_once == 1 else 5)
    names = [name for name in SERVERS if name in found]
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(bench.serve(f"{pinned}{name}_server.py")) for name in names}
        for form, contestants in FORMS.items():
            for work in ("small", "medium"):
                group = f"{work} calls over HTTP in {form}, {at_once} at once"
                works = {}
                for name in contestants:
                    if name in ports:
                        what = (name, form, work, str(ports[name]), str(at_once), str(count), loop)
                        works[name] = _timed(bench, f"{pinned}client.py", what)
                    else:
                        yield Figure(group, name, None, "µs", note="not installed: make peers")
                yield from _figures(group, alternate(works, 1 if quick else 7))


def _figures(group: str, measured: typing.Mapping[str, typing.Sequence[float]]) -> typing.Iterable[Figure]:
    for name, rounds in measured.items():
        yield from_rounds(group, name, rounds, "µs a call")
    for name, other in measured.items():
        if name != OURS:
            ratios = [one / own for one, own in zip(other, measured[OURS], strict=True)]
            goal = None if name == "floor" else GOAL
            yield from_rounds(group, f"{name} ÷ {OURS}", ratios, "×", at_least=goal)


def _timed(bench: Bench, script: str, what: tuple[str, ...]) -> typing.Callable[[], float]:
    return lambda: float(bench.run(script, *what))
