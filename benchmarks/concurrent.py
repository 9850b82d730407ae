"""Calls from asyncio, one and 64 at once on one connection, beside an asyncio Protocol that does nothing else.

The floor sends as many bytes as a call and its reply take, joined into one write a turn, and looks at none
of them. Client and server are processes; pinned, they share one processor.
"""

from __future__ import annotations

import pathlib
import tempfile
import typing

from benchmarks.calls import PINNED
from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.processes import Bench

SERVER = """\
import asyncio
from divide import AsyncServer
class Handlers:
    {kind} divide(self, num1, num2):
        return num1 / num2
async def main():
    async with AsyncServer("127.0.0.1", 0, Handlers(), inline={inline}) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""

FLOOR_SERVER = """\
import asyncio
class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.left = transport, 0
    def data_received(self, data):
        count, self.left = divmod(self.left + len(data), 31)
        self.transport.write(bytes(15 * count))
async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""

CLIENT = """\
import asyncio, sys, time
from divide import AsyncChannel, AsyncClientStub
port, at_once, count = map(int, sys.argv[1:])
async def main():
    async with AsyncChannel("127.0.0.1", port) as channel:
        divide = AsyncClientStub(channel).divide
        async def calls(count):
            for _ in range(count):
                await divide(200, 100)
        await asyncio.gather(*[calls(max(10, count // 10 // at_once)) for _ in range(at_once)])
        begin = time.perf_counter()
        await asyncio.gather(*[calls(count // at_once) for _ in range(at_once)])
        print((time.perf_counter() - begin) / (count // at_once * at_once) * 1e6)
asyncio.run(main())
"""

FLOOR_CLIENT = """\
import asyncio, sys, time
port, at_once, count = map(int, sys.argv[1:])
class Client(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.left, self.sent, self.got = transport, 0, at_once, 0
        self.done = asyncio.get_running_loop().create_future()
        transport.write(bytes(31 * at_once))
    def data_received(self, data):
        came, self.left = divmod(self.left + len(data), 15)
        self.got += came
        if self.got >= count:
            if not self.done.done():
                self.done.set_result(None)
        else:
            self.transport.write(bytes(31 * came))
async def main():
    begin = time.perf_counter()
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    await client.done
    print((time.perf_counter() - begin) / count * 1e6)
    client.transport.close()
asyncio.run(main())
"""

SERVERS = {
    "inline": SERVER.format(kind="def", inline=True),
    "coroutine": SERVER.format(kind="async def", inline=False),
    "thread": SERVER.format(kind="def", inline=False),
    "floor": FLOOR_SERVER,
}

GOALS = {("inline", 1): 1.5}
"""At most so many times the floor."""


def run(quick: bool) -> typing.Iterable[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        (bench.folder / "divide.idl").write_text("float divide(1:int num1, 2:int num2=1)\n", encoding="utf-8")
        bench.compile("divide")
        for at_once, pinned in ((1, PINNED), (64, "")):
            scripts = {f"{name}_server": text for name, text in SERVERS.items()}
            scripts |= {"client": CLIENT, "floor_client": FLOOR_CLIENT}
            for name, text in scripts.items():
                (bench.folder / f"{name}_{at_once}.py").write_text(pinned + text, encoding="utf-8")
            yield from _measure(bench, at_once, quick)


def _measure(bench: Bench, at_once: int, quick: bool) -> typing.Iterable[Figure]:
    count = (200 if quick else 5000) * (1 if at_once == 1 else 10)

    def timed(name: str, port: int) -> typing.Callable[[], float]:
        script = f"{'floor_client' if name == 'floor' else 'client'}_{at_once}.py"
        return lambda: float(bench.run(script, str(port), str(at_once), str(count)))

    with (
        bench.serve(f"inline_server_{at_once}.py") as inline,
        bench.serve(f"coroutine_server_{at_once}.py") as coroutine,
        bench.serve(f"thread_server_{at_once}.py") as thread,
        bench.serve(f"floor_server_{at_once}.py") as floor,
    ):
        ports = {"inline": inline, "coroutine": coroutine, "thread": thread, "floor": floor}
        works = {name: timed(name, port) for name, port in ports.items()}
        measured = alternate(works, 2 if quick else 9)
    group = f"calls from asyncio, {at_once} at once"
    for name, rounds in measured.items():
        yield from_rounds(group, f"{name} handler" if name != "floor" else "floor", rounds, "µs a call")
    for name in ("inline", "coroutine", "thread"):
        ratios = [one / other for one, other in zip(measured[name], measured["floor"], strict=True)]
        yield from_rounds(group, f"{name} ÷ floor", ratios, "×", at_most=GOALS.get((name, at_once)))
