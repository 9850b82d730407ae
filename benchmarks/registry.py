"""The embedded registry under 5,000 servers and 500 watchers, over real sockets from this process.

Each server is a connection that renews at a third of its timeout, each watcher one that watches
the servers' key. The share of a core is the registry process's own time, by the system's count.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
import typing

from benchmarks.figures import Figure, from_rounds

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT = 10.0
WAIT = 120.0
"""Seconds after which something is wrong."""


def run(quick: bool) -> typing.Iterable[Figure]:
    servers, watchers, more, seconds = (100, 10, 200, 1.0) if quick else (5000, 500, 10_000, 20.0)
    _allow_files(servers + watchers + 100)
    group = f"registry: {servers:,} servers, {watchers:,} watchers"
    with registry() as (process, port), contextlib.ExitStack() as stack:
        load = stack.enter_context(Load(port))
        begin, used = time.perf_counter(), cpu(process)
        load.register(servers)
        yield Figure(group, "all registered", time.perf_counter() - begin, "s")
        yield Figure(group, "CPU of the registry for it", cpu(process) - used, "s")
        begin = time.perf_counter()
        load.watch(watchers)
        yield Figure(group, "all watchers have the list", time.perf_counter() - begin, "s")
        load.renew_for(TIMEOUT / 3)
        used, begin = cpu(process), time.perf_counter()
        renewed = load.renew_for(seconds)
        share = (cpu(process) - used) / (time.perf_counter() - begin)
        note = f"{renewed / seconds:,.0f} renewals a second, timeout {TIMEOUT:g} s"
        yield Figure(group, "share of a core, steady", share * 100, "%", at_most=100, note=note)
        yield Figure(group, "memory of the registry", memory(process), "MiB")
        changes = [load.change(number) * 1e3 for number in range(3 if quick else 31)]
        yield from_rounds(group, "one change at the last watcher", changes, "ms", at_most=100)
    with registry() as (process, port), Load(port) as load:
        load.fill(more)
        lists = [load.first_list(more) * 1e3 for _ in range(2 if quick else 9)]
        group = f"registry: {more:,} servers, 1 watcher"
        yield from_rounds(group, "first list", lists, "ms", at_most=1500)
        load.watch(1)
        changes = [load.change(number) * 1e3 for number in range(3 if quick else 101)]
        yield from_rounds(group, "one change", changes, "ms", at_most=20)


@contextlib.contextmanager
def registry() -> typing.Iterator[tuple[int, int]]:
    """Runs the command; gives its process and its port."""
    command = [sys.executable, "-m", "rpcgen", "registry", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.send_signal(signal.SIGTERM)


def cpu(process: int) -> float:
    """Seconds of processor time that a process has used."""
    # Linux's clock of another process (clock_getcpuclockid): /proc counts in hundredths.
    return time.clock_gettime((~process << 3) | 2)


def memory(process: int) -> float:
    """MiB that a process has in memory."""
    pages = int(pathlib.Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count)), hard))


def entry(number: int, weight: float = 1.0) -> dict[str, object]:
    """What a server with a few methods announces."""
    methods = {name: [1, 2] for name in ("divide", "find", "store", "remove")}
    host = f"10.0.{number // 250}.{number % 250}"
    known = {"host": host, "port": 7000, "protocols": ["plain", "framed"], "weight": weight}
    return known | {"fingerprint": "0" * 16, "methods": methods, "pid": number, "started": 1.7e9}


class Load:
    """Connections to a registry: one a server, one a watcher; all in this thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._servers: list[socket.socket] = []
        self._watchers: list[socket.socket] = []
        self._next = 0

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        for sock in self._servers + self._watchers:
            sock.close()

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=WAIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def register(self, count: int) -> None:
        for number in range(count):
            sock = self._connect()
            sock.sendall(_register(number, timeout=600))  # until its renewals begin
            self._servers.append(sock)
        for sock in self._servers:
            assert sock.recv(4096).startswith(b'{"ok":true')

    def watch(self, count: int) -> None:
        """Watches, and reads every list whole."""
        for _ in range(count):
            sock = self._connect()
            sock.sendall(b'{"type":"watch","key":"rpc"}\n')
            self._watchers.append(sock)
        self._read_lines(self._watchers)

    def renew_for(self, seconds: float) -> int:
        """Renews every server at a third of its timeout, evenly spread; gives how often one did."""
        end = time.perf_counter() + seconds
        pause = TIMEOUT / 3 / len(self._servers)
        due = time.perf_counter()
        renewed = 0
        while due < end:
            time.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
            while due <= now:
                number = self._next % len(self._servers)
                sock = self._servers[number]
                named = {"type": "register", "key": "rpc", "id": str(number), "token": str(number)}
                if self._next >= len(self._servers):
                    assert sock.recv(4096).startswith(b'{"ok":true')
                    sock.sendall(_line(**named))
                else:
                    sock.sendall(_line(**named, timeout=TIMEOUT))
                self._next += 1
                renewed += 1
                due += pause
        return renewed

    def change(self, number: int) -> float:
        """Gives the seconds from the change of one server to the last watcher's having it."""
        sock = self._connect()
        begin = time.perf_counter()
        sock.sendall(_register(number, timeout=600, weight=number + 2.0))
        self._read_lines(self._watchers)
        took = time.perf_counter() - begin
        sock.close()
        return took

    def fill(self, count: int) -> None:
        """Registers many over one connection."""
        sock = self._connect()
        self._servers.append(sock)
        for start in range(0, count, 50):
            sock.sendall(b"".join(_register(number, timeout=600) for number in range(start, start + 50)))
            received = b""
            while received.count(b"\n") < 50:
                received += sock.recv(65536)

    def first_list(self, count: int) -> float:
        """Gives the seconds of one watcher from connecting to having the list, as objects."""
        begin = time.perf_counter()
        sock = self._connect()
        sock.sendall(b'{"type":"watch","key":"rpc"}\n')
        with sock, sock.makefile("rb", buffering=1 << 20) as lines:
            assert len(json.loads(lines.readline())["services"]["rpc"]) == count
        return time.perf_counter() - begin

    def _read_lines(self, socks: typing.Sequence[socket.socket]) -> None:
        """Reads one line from each."""
        with selectors.DefaultSelector() as selector:
            for sock in socks:
                selector.register(sock, selectors.EVENT_READ)
            left = len(socks)
            while left:
                ready = selector.select(WAIT)
                assert ready, f"{left} watchers wait"
                for key, _ in ready:
                    sock = typing.cast(socket.socket, key.fileobj)
                    if sock.recv(1 << 18).endswith(b"\n"):
                        selector.unregister(sock)
                        left -= 1


def _register(number: int, timeout: float, weight: float = 1.0) -> bytes:
    values = entry(number, weight)
    return _line(
        type="register", key="rpc", id=str(number), token=str(number), timeout=timeout, values=values
    )


def _line(**members: object) -> bytes:
    return json.dumps(members).encode() + b"\n"
