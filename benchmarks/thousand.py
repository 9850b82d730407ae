"""What 1,000 small calls cost, on either side: processor time, and memory that a server does not give back.

A client's time is that of all its threads from its first call to its last; a server's memory is what it grows by
after the first calls. All that can be measured takes part, one call at a time and 64 at once.
"""

from __future__ import annotations

import pathlib
import tempfile
import typing

from benchmarks import peers
from benchmarks.blocking_peers import BLOCKING, ONE
from benchmarks.bulk import ALL
from benchmarks.calls import RAW_CLIENT, client_script
from benchmarks.contestants import (
    CONNECT,
    ECHO_CLIENT,
    ECHO_SERVER,
    INTERFACE,
    RAW_SERVER,
    READ,
    RUN,
    TASKS,
    THREAD_SERVER,
    WORK,
    async_server,
)
from benchmarks.cost import processor_time, resident
from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.processes import Bench

CALLS = 20_000
SLOWER = {"grpcio": 8, "connect-python": 8, "grpcio, asyncio": 8, "rpyc": 4, "pycapnp": 4, "pyro5": 2}
"""So many fewer calls are enough of those who take so much longer."""

ONE_AT_A_TIME = {
    "ThreadServer": (THREAD_SERVER, WORK + READ + ALL + client_script("framed")),
    "floor": (WORK + RAW_SERVER, WORK + ALL + RAW_CLIENT),
} | {name: (peer.server, peer.connected + ALL + ONE) for name, peer in BLOCKING.items()}

AT_ONCE = {
    "AsyncServer": (async_server("inline"), WORK + READ + CONNECT + TASKS + RUN),
    "floor, asyncio": (ECHO_SERVER + RUN, WORK + ECHO_CLIENT + RUN),
    "pycapnp": (peers.CAPNP_SERVER, peers.CAPNP_CONNECT + TASKS + "asyncio.run(capnp.run(main()))\n"),
    "grpcio, asyncio": (peers.GRPC_SERVER, peers.GRPC_CONNECT + TASKS + RUN),
}
"""Contestant → its server's script and its client's."""

Spent: typing.TypeAlias = "tuple[float, float, float]"
"""Of 1,000 calls: the server's milliseconds, the client's, and the KiB that the server grew by."""


def run(quick: bool) -> typing.Iterable[Figure]:
    found = peers.installed(*BLOCKING, "pycapnp")
    calls = CALLS // 50 if quick else CALLS
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder), also=peers.distributions(found))
        (bench.folder / "calls.idl").write_text(INTERFACE, encoding="utf-8")
        bench.compile("calls")
        peers.prepare(bench, found)
        for contestants, several in ((ONE_AT_A_TIME, ()), (AT_ONCE, ("64",))):
            group = f"1,000 small calls, {'64 at once' if several else 'one at a time'}"
            spent: dict[str, list[Spent]] = {}
            for name in contestants:
                if name.partition(",")[0] not in (*found, "ThreadServer", "AsyncServer", "floor"):
                    yield Figure(group, name, None, "ms", note="not installed: make peers")
                    continue
                spent[name] = []
            works = {
                name: _keeping(
                    bench, name, contestants[name], several, max(64, calls // SLOWER.get(name, 1)), rounds
                )
                for name, rounds in spent.items()
            }
            alternate(works, 1 if quick else 5)
            for place, what in enumerate(("server's processor time", "client's processor time")):
                for name, rounds in spent.items():
                    yield from_rounds(f"{group}, {what}", name, [each[place] for each in rounds], "ms")
            for name, rounds in spent.items():
                yield from_rounds(f"{group}, server's memory", name, [each[2] for each in rounds], "KiB")


def _keeping(
    bench: Bench, name: str, scripts: tuple[str, str], several: tuple[str, ...], calls: int, kept: list[Spent]
) -> typing.Callable[[], float]:
    def measure() -> float:
        kept.append(_spent(bench, name, scripts, several, calls))
        return kept[-1][0]

    return measure


def _spent(bench: Bench, name: str, scripts: tuple[str, str], several: tuple[str, ...], calls: int) -> Spent:
    paths = [bench.folder / f"{name.replace(', ', '_')}_{side}.py" for side in ("server", "client")]
    for path, text in zip(paths, scripts, strict=True):
        path.write_text(text.replace("perf_counter", "process_time"), encoding="utf-8")
    with bench.server(paths[0].name) as (port, process):

        def call(count: int) -> float:
            told = bench.run(paths[1].name, "small", str(port), *several, str(count))
            return float(told.split()[0])

        call(max(calls // 10, 64))
        size, time = resident(process), processor_time(process)
        client = call(calls)
        # A tenth more are made before a client begins to count.
        thousands = calls * 1.1 / 1000
        server = (processor_time(process) - time) * 1e3 / thousands
        return server, client, max(resident(process) - size, 0.0) / thousands
