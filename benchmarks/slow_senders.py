"""Calls beside 1,000 connections that send a byte now and then, or read nothing of what they asked for.

One client calls without a pause, in turn alone and beside the slow ones. The time that it waits for the processor,
which the slow ones' own process takes from it on a small machine, is no delay of the server's: what counts is the
time that the server's process spends on a call, and beside it the time that passes.
"""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time
import typing

from benchmarks.figures import Figure, from_rounds
from benchmarks.processes import Bench

SERVER = """\
import asyncio, os, pathlib
from divide import {kind}
pathlib.Path("server.pid").write_text(str(os.getpid()))
class Handlers:
    def divide(self, num1, num2):
        return num1 / num2
    def much(self, size):
        return bytes(size)
{serve}
"""

BLOCKING = """\
server = ThreadServer("127.0.0.1", 0, Handlers(), backlog=4096)
print(server.bind().port, flush=True)
server.serve()
"""

ASYNCIO = """\
async def main():
    server = AsyncServer("127.0.0.1", 0, Handlers(), backlog=4096, inline=True)
    print(server.bind().port, flush=True)
    await server.serve()
asyncio.run(main())
"""

CLIENT = """\
import sys, time
from divide import Channel, ClientStub
port, count = map(int, sys.argv[1:])
with Channel("127.0.0.1", port) as channel:
    divide = ClientStub(channel).divide
    for _ in range(max(10, count // 10)):
        divide(200, 100)
    begin = time.perf_counter()
    for _ in range(count):
        divide(200, 100)
    print((time.perf_counter() - begin) / count * 1e6)
"""

SLOW = """\
import random, socket, struct, sys, time
port, count, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def u32(number):
    return struct.pack(">I", number)
call = u32(4) + b"much" + u32(5) + b"\\1" + u32(200_000)
socks = []
for _ in range(count):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    socks.append(sock)
    if kind == "reading nothing":
        sock.sendall(call)
print("ready", flush=True)
# A byte of each in 10 s: a call of them would take longer than a server waits.
long = u32(6) + b"divide" + u32(10_000_000)
sent = [0] * count
while True:
    for number, sock in enumerate(socks):
        if kind == "sending slowly":
            at = sent[number]
            sock.send(long[at : at + 1] or b"x")
            sent[number] += 1
        time.sleep(10 / count)
"""

CONNECTIONS = 1_000

AT_MOST = 1.1
"""Times the cost, or the time, of a call without them."""


def run(quick: bool) -> typing.Iterable[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        idl = "float divide(1:int num1, 2:int num2=1)\nbytes much(1:int size)\n"
        (bench.folder / "divide.idl").write_text(idl, encoding="utf-8")
        bench.compile("divide")
        (bench.folder / "client.py").write_text(CLIENT, encoding="utf-8")
        (bench.folder / "slow.py").write_text(SLOW, encoding="utf-8")
        for kind, serve in (("ThreadServer", BLOCKING), ("AsyncServer", ASYNCIO)):
            script = SERVER.format(kind=kind, serve=serve)
            (bench.folder / f"{kind}.py").write_text(script, encoding="utf-8")
            for what in ("sending slowly", "reading nothing"):
                yield from _measure(bench, kind, what, quick)


def _measure(bench: Bench, kind: str, what: str, quick: bool) -> typing.Iterable[Figure]:
    count, connections = (500, 100) if quick else (30_000, CONNECTIONS)
    before: list[tuple[float, float]] = []
    during: list[tuple[float, float]] = []
    for _ in range(1 if quick else 7):
        with bench.serve(f"{kind}.py") as port:
            pid = int((bench.folder / "server.pid").read_text())
            before.append(_call(bench, port, pid, count))
            with _slow(bench, port, connections, what):
                _wait_until_quiet(pid)
                during.append(_call(bench, port, pid, count))
    group = f"calls beside {connections} connections {what}"
    for place, name in enumerate(("a call's time", "the server's processor time")):
        ratios = [one[place] / other[place] for one, other in zip(during, before, strict=True)]
        yield from_rounds(group, f"{kind}, {name}, during ÷ before", ratios, "×", at_most=AT_MOST)


def _call(bench: Bench, port: int, pid: int, count: int) -> tuple[float, float]:
    """Gives the microseconds of a call, and those of the processor that the server spends on it."""
    begin = _spent(pid)
    passed = float(bench.run("client.py", str(port), str(count)))
    return passed, (_spent(pid) - begin) / count * 1e6


def _wait_until_quiet(pid: int) -> None:
    """Waits until a server has done with those who have just come."""
    spent = -1.0
    while _spent(pid) - spent > 0.02:
        spent = _spent(pid)
        time.sleep(0.3)


def _spent(pid: int) -> float:
    """Gives the seconds of the processor that a process has had."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@contextlib.contextmanager
def _slow(bench: Bench, port: int, count: int, what: str) -> typing.Iterator[None]:
    command = [sys.executable, "slow.py", str(port), str(count), what]
    with subprocess.Popen(command, cwd=bench.folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()
