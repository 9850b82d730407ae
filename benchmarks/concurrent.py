"""Calls from asyncio on one connection: one at a time, and 64 at once.

The floor is an asyncio Protocol at either end that sends as many bytes as a call and its reply take, joined
into one write a turn, and looks at none of them. Client and server are processes; one at a time they share one
processor. Peers, and uvloop's loop at both ends, stand beside where they are installed; those whose clients only
block have as many threads, a connection each.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import typing

from benchmarks import peers
from benchmarks.blocking_peers import BLOCKING, CONNECT_ASYNC
from benchmarks.contestants import (
    CONNECT,
    ECHO_CLIENT,
    ECHO_SERVER,
    INTERFACE,
    PINNED,
    READ,
    RUN,
    TASKS,
    THREADS,
    WORK,
    async_server,
    connect,
)
from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.processes import Bench

HANDLERS = ("inline", "coroutine", "thread")

WORKS = (("small", 1), ("medium", 1), ("small", 64), ("medium", 64))
"""What is called, and how many calls at once."""

PEERS = ("pycapnp", "grpcio", "connect-python", "rpyc", "pyro5")
IN_THREADS = ("rpyc", "pyro5")

SLOWER = {"grpcio": 10, "connect-python": 10, "rpyc": 10, "pyro5": 10, "thread": 10, "pycapnp": 5}
"""So many fewer calls are enough of those who take so much longer."""

AT_MOST = {("small", 1, "inline ÷ floor"): 1.5}
AT_LEAST = {
    ("small", 64, "pycapnp ÷ inline"): 4.5,
    ("medium", 64, "pycapnp ÷ inline"): 4.0,
    ("small", 64, "grpcio ÷ inline"): 25.0,
}
"""Of calls a second, as times a call's time."""


class Contestant(typing.NamedTuple):
    """Who is measured: the server's script, the client's, and the loop's name for both."""

    server: str
    client: str
    loop: str = ""


def run(quick: bool) -> typing.Iterable[Figure]:
    found = peers.installed(*PEERS, "uvloop")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder), also=peers.distributions(found))
        for name, text in ({"calls.idl": INTERFACE} | _scripts()).items():
            (bench.folder / name).write_text(text, encoding="utf-8")
        bench.compile("calls")
        peers.prepare(bench, found)
        for work, at_once in WORKS[::3] if quick else WORKS:
            yield from _measure(bench, work, at_once, found, quick)


def _scripts() -> dict[str, str]:
    texts = {f"{handlers}_server": async_server(handlers) for handlers in HANDLERS}
    texts |= {
        "client": WORK + READ + CONNECT + TASKS + RUN,
        "timely_client": WORK + READ + connect(timeout=60) + TASKS + RUN,
        "floor_server": ECHO_SERVER + RUN,
        "floor_client": WORK + ECHO_CLIENT + RUN,
        "pycapnp_server": peers.CAPNP_SERVER,
        "pycapnp_client": peers.CAPNP_CONNECT + TASKS + "asyncio.run(capnp.run(main()))\n",
        "grpcio_server": peers.GRPC_SERVER,
        "grpcio_client": peers.GRPC_CONNECT + TASKS + RUN,
        "connect-python_server": BLOCKING["connect-python"].server,
        "connect-python_client": CONNECT_ASYNC + TASKS + RUN,
    }
    for name in IN_THREADS:
        texts[f"{name}_server"] = BLOCKING[name].server
        texts[f"{name}_client"] = BLOCKING[name].connected + THREADS
    pinned = {f"pinned_{name}": PINNED + text for name, text in texts.items()}
    return {f"{name}.py": text for name, text in (texts | pinned).items()}


def _measure(
    bench: Bench, work: str, at_once: int, found: typing.Sequence[str], quick: bool
) -> typing.Iterable[Figure]:
    group = f"{work} calls from asyncio, {at_once} at once"
    pinned = "pinned_" if at_once == 1 else ""
    contestants = {name: Contestant(f"{pinned}{name}_server.py", f"{pinned}client.py") for name in HANDLERS}
    for name in HANDLERS[:2]:
        timely = Contestant(f"{pinned}{name}_server.py", f"{pinned}timely_client.py")
        contestants[f"{name}, with a timeout"] = timely
    for name in ("floor", *PEERS):
        if name == "floor" or name in found:
            contestants[name] = Contestant(f"{pinned}{name}_server.py", f"{pinned}{name}_client.py")
        else:
            yield Figure(group, name, None, "µs", note="not installed: make peers")
    if "uvloop" in found:
        for name in ("inline", "coroutine", "floor"):
            contestants[f"{name}, uvloop"] = contestants[name]._replace(loop="uvloop")
    else:
        yield Figure(group, "uvloop", None, "µs", note="not installed: make peers")
    count = (100 if quick else 5000) * (1 if at_once == 1 else 10)
    with contextlib.ExitStack() as stack:
        works = {
            name: _timed(
                bench,
                one,
                stack.enter_context(bench.serve(one.server, one.loop)),
                (work, at_once, count // SLOWER.get(name, 1)),
            )
            for name, one in contestants.items()
        }
        measured = alternate(works, 1 if quick else 5)
    for name, rounds in measured.items():
        yield from_rounds(group, name, rounds, "µs a call")
    for name, other in _ratios(measured):
        rounds = [one / two for one, two in zip(measured[name], measured[other], strict=True)]
        goals = (work, at_once, f"{name} ÷ {other}")
        yield from_rounds(
            group, goals[2], rounds, "×", at_most=AT_MOST.get(goals), at_least=AT_LEAST.get(goals)
        )


def _ratios(measured: typing.Container[str]) -> typing.Iterable[tuple[str, str]]:
    """Gives what is set against what: ours against the floor of its loop, peers against ours."""
    for name in HANDLERS:
        yield name, "floor"
    for name in HANDLERS[:2]:
        yield f"{name}, with a timeout", name
    for name in ("inline", "coroutine"):
        if "floor, uvloop" in measured:
            yield f"{name}, uvloop", "floor, uvloop"
        for peer in PEERS:
            if peer in measured:
                yield peer, name
                if f"{name}, uvloop" in measured:
                    yield peer, f"{name}, uvloop"


def _timed(
    bench: Bench, contestant: Contestant, port: int, what: tuple[str, int, int]
) -> typing.Callable[[], float]:
    work, at_once, count = what
    arguments = (contestant.client, work, str(port), str(at_once), str(count), contestant.loop)
    return lambda: float(bench.run(*arguments))
