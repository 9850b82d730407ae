"""Servers of several processes: who serves, what dies and comes again, how all of it ends."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import signal
import subprocess
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.registry import open_registry
from rpcgen.runtime.sync.processes.sharing import Shares
from tests.support import ledger, raw, services
from tests.support.forking import ForkingProcess, children, is_there
from tests.support.processes import RegistryProcess, line, python
from tests.support.waiting import until


@contextlib.contextmanager
def all_end(*processes: int) -> typing.Iterator[None]:
    """At the end of the block, these processes end."""
    assert all(map(is_there, processes))
    yield
    until(lambda: not any(map(is_there, processes)), lambda: [*filter(is_there, processes)])


def everybody(server: ForkingProcess) -> tuple[int, ...]:
    return (server.pid, server.supervisor(), *server.workers())


def kill(server: ForkingProcess, worker: int, processes: int) -> None:
    """Kills a worker; returns once another one is there in its place, and so many of them."""
    os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in server.workers() and len(server.workers()) == processes)


@pytest.fixture(params=["threads", "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    """What serves in each process."""
    found: str = request.param
    return found


# Serving


def test_calls_are_spread_over_the_processes(kind: str) -> None:
    with ForkingProcess(processes=3, workers=kind) as server:
        workers = server.workers()
        assert len(workers) == 3
        with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(24) as pool:

            def call(_: int) -> set[int]:
                stub = services.ClientStub(stack.enter_context(server.channel()))
                return {stub.run("work 0.01") for _ in range(10)}

            answered = list(pool.map(call, range(24)))
        assert {len(by) for by in answered} == {1}, "a connection stays with its process"
        assert set().union(*answered) == workers


def test_a_process_leaves_a_connection_to_those_that_have_fewer_but_not_twice_in_a_row() -> None:
    shares = Shares(3)
    one, other = shares.share(0), shares.share(2)
    assert not one.leaves(0), "the third place is empty"
    one.count(1)
    assert one.leaves(1)
    assert not one.leaves(1), "the other did not take it"
    assert one.leaves(1)
    assert not other.leaves(0)
    other.count(1)
    assert not one.leaves(1)
    other.count(0)
    shares.vacate(2)
    assert not one.leaves(1)
    assert not one.leaves(7)


def test_by_default_there_is_a_process_for_each_processor() -> None:
    with ForkingProcess() as server:
        assert len(server.workers()) == os.cpu_count()


@pytest.mark.parametrize("how", ["serve", "start"])
def test_unix_sockets(how: str, tmp_path: pathlib.Path, kind: str) -> None:
    path = tmp_path / "rpc.sock"
    with ForkingProcess(how, host=f"unix://{path}", port=None, processes=2, workers=kind) as server:
        assert server.address == f"unix://{path}"
        assert server.run("pid") in server.workers()
        worker = min(server.workers())
        os.kill(worker, signal.SIGTERM)
        until(lambda: worker not in server.workers())
        assert server.run("pid") in server.workers(), "a worker that ends leaves the socket's file"
        if how == "start":
            server.tell("10")
            assert server.line() == "True"
        server.terminate()
    assert not path.exists()


def test_a_port_is_free_again() -> None:
    with ForkingProcess(processes=2) as server:
        with all_end(*everybody(server)):
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
        port = int(server.address.rpartition(":")[2])
        with ForkingProcess(processes=2, port=port) as again:
            assert again.address == server.address
            assert again.run("pid") in again.workers()


def test_a_worker_inherits_the_handlers_and_nothing_else(kind: str) -> None:
    with ForkingProcess(processes=2, workers=kind) as server:

        def descriptors() -> set[int]:
            return {len(os.listdir(f"/proc/{worker}/fd")) for worker in server.workers()}

        until(lambda: server.run("pid") == min(server.workers()))
        until(lambda: server.run("pid") == max(server.workers()))
        until(lambda: len(descriptors()) == 1)  # each has served, and nobody is connected
        before = descriptors()
        for worker in server.workers():
            kill(server, worker, 2)
            # A late one has no more than a first one, but may have less: some are opened with the first client.
            until(lambda: len(server.workers()) == 2 and max(descriptors()) <= max(before))
        assert server.run("mask") == 0, "programs that handlers start take signals"


def test_a_generated_module_s_server() -> None:
    code = """
import os
from service import Channel, ClientStub, Handlers, ProcessServer
class Mine:
    @staticmethod
    def divide(num1, num2):
        return os.getpid()
with ProcessServer("127.0.0.1", 0, Mine, processes=1) as server:
    print(server.port, os.getpid(), flush=True)
    with Channel("127.0.0.1", server.port) as channel:
        assert ClientStub(channel).divide(1) != os.getpid()
print("ended", flush=True)
"""
    with python(code) as process:
        assert len(line(process).split()) == 2
        assert line(process) == "ended"
        assert process.wait(30) == 0


def test_one_after_the_other_and_nothing_is_left() -> None:
    code = """
import os, threading
from rpcgen import runtime as rpc
from tests.support import services
stub = services.ServerStub(services.Handlers())
def left():
    return len(os.listdir("/proc/self/fd")), threading.active_count()
before = left()
for _ in range(3):
    with rpc.ProcessServer("127.0.0.1", 0, stub, processes=2) as server:
        with rpc.Channel("127.0.0.1", server.port) as channel:
            assert services.ClientStub(channel).divide(6, 3) == 2.0
    assert left() == before, (left(), before)
try:
    rpc.ProcessServer(f"unix:///tmp/{os.getpid()}.sock", None, stub, registry="registry://127.0.0.1:1",
                      advertise="host").start()
except ValueError as error:
    print(error, flush=True)
assert left() == before, (left(), before)
try:
    os.wait()
except ChildProcessError:
    print("ended", flush=True)
"""
    with python(code) as process:
        assert line(process).startswith("advertise='host' lacks a port")
        assert line(process) == "ended"


def test_options_are_checked_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = services.ServerStub(services.Handlers())
    with pytest.raises(ValueError, match="processes is a number from 1 up, or None, not 0"):
        rpc.ProcessServer("127.0.0.1", 0, stub, processes=0)
    with pytest.raises(TypeError, match="ThreadServer has no option colour"):
        rpc.ProcessServer("127.0.0.1", 0, stub, colour=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="workers is 'threads' or 'asyncio', not 'fibres'"):
        rpc.ProcessServer("127.0.0.1", 0, stub, workers="fibres")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="inline is for workers='asyncio'"):
        rpc.ProcessServer("127.0.0.1", 0, stub, inline=True)
    with pytest.raises(OSError, match="cannot load a certificate and its key from /absent"):
        rpc.ProcessServer("127.0.0.1", 0, stub, workers="asyncio", tls=rpc.TLS(certificate="/absent.pem"))
    with pytest.raises(TypeError, match="a server needs a stub"):
        rpc.ProcessServer("127.0.0.1", 0)
    with pytest.raises(ValueError, match="drain is a number of seconds"):
        rpc.ProcessServer("127.0.0.1", 0, stub, drain=-1)
    monkeypatch.setenv("RPCGEN_REGISTRY", "static://127.0.0.1:1")
    with pytest.raises(ValueError, match="RPCGEN_REGISTRY: static://"):
        rpc.ProcessServer("127.0.0.1", 0, stub)


def test_it_does_not_fork_where_threads_run() -> None:
    server = rpc.ProcessServer("127.0.0.1", 0, services.ServerStub(services.Handlers()), processes=1)
    assert server.bind().port == server.port > 0
    assert repr(server) == f"<ProcessServer at tcp://127.0.0.1:{server.port}, 1 processes, new>"
    before = children(os.getpid())  # a ZooKeeper of other tests, perhaps
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="of-the-program")
    thread.start()
    try:
        with pytest.raises(RuntimeError, match=r"forks, .* now there are .*of-the-program; serve first"):
            server.start()
        assert children(os.getpid()) == before
    finally:
        go_on.set()
        thread.join()
        server.close()
    assert server.shutdown() is True
    with pytest.raises(RuntimeError, match="the server is closed"):
        server.serve()
    with pytest.raises(RuntimeError, match="the server is closed: make another"):
        server.bind()


# Workers that die


def test_a_killed_worker_loses_its_running_calls_alone_and_is_replaced(kind: str) -> None:
    """Under load from eight threads. Each call that fails was with the worker when it was killed."""
    with (
        ForkingProcess(processes=3, workers=kind) as server,
        rpc.connect(f"static://{server.address.removeprefix('tcp://')}") as channel,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        stub = services.ClientStub(channel)
        stop = threading.Event()
        answered: collections.Counter[int] = collections.Counter()
        failed: list[rpc.RpcError] = []

        def call() -> None:
            while not stop.is_set():
                try:
                    answered[stub.run("work 0.001")] += 1
                except rpc.RpcError as error:
                    failed.append(error)

        calling = [pool.submit(call) for _ in range(8)]
        try:
            for _ in range(3):
                until(lambda: answered.total() > 100)
                workers = server.workers()
                victim = max(workers, key=lambda worker: answered[worker])
                already = len(failed)
                kill(server, victim, 3)
                answered.clear()
                until(lambda: answered.total() > 100)
                # No thread has more than one call at a time, and none with any other worker is harmed.
                assert len(failed) - already <= 8
                assert {type(error) for error in failed} <= {rpc.ConnectionLost}
        finally:
            stop.set()
        concurrent.futures.wait(calling, 30)
        server.terminate()


def test_the_calls_of_other_workers_go_on_while_one_is_killed(kind: str) -> None:
    with ForkingProcess(processes=2, workers=kind) as server, contextlib.ExitStack() as stack:
        stubs: dict[int, services.ClientStub] = {}
        while len(stubs) < 2:
            stub = services.ClientStub(stack.enter_context(server.channel()))
            stubs.setdefault(stub.run("pid"), stub)
        (victim, lost), (other, kept) = stubs.items()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            goes_on = pool.submit(kept.run, "sleep 1")
            broken = pool.submit(lost.run, "sleep 600")
            server.entered(2)
            os.kill(victim, signal.SIGKILL)
            with pytest.raises(rpc.ConnectionLost, match="may have run"):
                broken.result(30)
            assert goes_on.result(30) == other
        server.signal(signal.SIGTERM)
        _, errors = server.finish()
        assert f"worker {victim} was killed by SIGKILL after" in errors


def test_a_connection_that_waits_is_not_lost_with_a_worker(kind: str) -> None:
    """A stopped worker takes none; one that is killed has none of those that wait."""
    with ForkingProcess(processes=1, workers=kind) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        with raw.connection(int(server.address.rpartition(":")[2])) as sock:
            sock.sendall(raw.CALL)
            os.kill(worker, signal.SIGKILL)
            assert raw.exactly(sock, 5) == raw.RETURNED


def test_a_worker_that_is_told_to_end_drains_and_is_replaced(kind: str) -> None:
    with (
        ForkingProcess(processes=1, workers=kind) as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        (worker,) = server.workers()
        with server.channel() as channel:
            stub = services.ClientStub(channel)
            assert stub.run("pid") == worker
            running = pool.submit(stub.run, "sleep 1")
            server.entered(1)
            os.kill(worker, signal.SIGTERM)
            until(lambda: len(server.workers()) == 2)
            assert server.run("pid") in server.workers() - {worker}, "its successor serves while it drains"
            assert running.result(30) == worker
        until(lambda: worker not in server.workers())
        assert len(server.workers()) == 1


def test_signals_of_the_terminal_leave_workers_alone() -> None:
    with ForkingProcess(processes=2) as server:
        workers = server.workers()
        for process in (server.supervisor(), *workers):
            os.kill(process, signal.SIGINT)
        os.kill(server.supervisor(), signal.SIGTERM)
        for _ in range(8):
            assert server.run("pid") in workers
        assert server.workers() == workers


def test_workers_that_die_at_once_are_started_ever_more_seldom(tmp_path: pathlib.Path) -> None:
    crash = tmp_path / "crash"
    with ForkingProcess(processes=1, crash=str(crash)) as server:
        crash.touch()
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        begin = time.monotonic()
        time.sleep(3)
        crash.unlink()
        until(lambda: server.workers() and server.run("pid") in server.workers())
        lasted = time.monotonic() - begin
        server.signal(signal.SIGTERM)
        _, errors = server.finish()
        # 0.1 s · 1.6 ** n, less a fifth: no more than so many fit.
        starts, at = 0, 0.0
        while at < lasted:
            at += 0.8 * 0.1 * 1.6**starts
            starts += 1
        assert 3 <= errors.count("ended with status 7") <= starts
        assert "WARNING worker" in errors
        assert "another one starts in" in errors


def test_where_no_worker_comes_up_it_does_not_start(tmp_path: pathlib.Path) -> None:
    code = """
import os, sys
from rpcgen import runtime as rpc
from rpcgen.runtime.sync.processes import server as processes
from tests.support import services
processes._BEGIN = 1.0
program = os.getpid()
os.register_at_fork(after_in_child=lambda: os._exit(7) if os.getppid() != program else None)
server = rpc.ProcessServer("127.0.0.1", 0, services.ServerStub(services.Handlers()))
try:
    getattr(server, sys.argv[1])()
except RuntimeError as error:
    print(error, flush=True)
server.close()
print(server, len(os.listdir("/proc/self/fd")), flush=True)
"""
    for how in ("serve", "start"):
        with python(code, how) as process:
            assert process.stdout is not None
            said, left = process.stdout.readline(), process.stdout.readline()
            assert said == "the workers do not come up in 1 s: the log says why\n"
            assert left.endswith("closed> 4\n"), left
            assert process.wait(30) == 0


# Ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_calls_of_all_workers_end(number: signal.Signals, kind: str) -> None:
    with (
        ForkingProcess(processes=2, workers=kind) as server,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        workers = server.workers()
        running = [pool.submit(server.run, "sleep 1.5") for _ in range(8)]
        server.entered(8)
        with all_end(*everybody(server)):
            server.signal(number)
            assert {future.result(30) for future in running} <= workers
            output, errors = server.finish()
            assert server.wait() == 0
        assert output == "ended\n"
        assert "WARNING" not in errors


def test_a_signal_to_all_of_them_is_as_one_to_the_program() -> None:
    """As of a terminal, or of systemd."""
    with ForkingProcess(processes=2) as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(server.run, "sleep 1.5") for _ in range(8)]
        server.entered(8)
        with all_end(*everybody(server)):
            for process in everybody(server):
                os.kill(process, signal.SIGTERM)
            for future in running:
                future.result(30)
            assert server.wait() == 0


def test_a_second_signal_ends_all_at_once(kind: str) -> None:
    with (
        ForkingProcess(processes=2, grace=600, workers=kind) as server,
        concurrent.futures.ThreadPoolExecutor(2) as pool,
    ):
        running = [pool.submit(server.run, "sleep 600") for _ in range(2)]
        server.entered(2)
        with all_end(*everybody(server)):
            server.signal(signal.SIGTERM)
            server.signal(signal.SIGINT)  # another one: two of a kind may come as one
            for future in running:
                with pytest.raises(rpc.ConnectionLost):
                    future.result(30)
            assert server.wait() == 0


def test_a_shutdown_tells_whether_all_calls_ended() -> None:
    for sleep, grace, told in (("0.5", "20", "True"), ("600", "0.2", "False")):
        with (
            ForkingProcess("start", processes=2) as server,
            concurrent.futures.ThreadPoolExecutor() as pool,
            all_end(*everybody(server)),
        ):
            running = pool.submit(server.run, f"sleep {sleep}")
            server.entered(1)
            server.tell(grace)
            assert server.line() == told
            if told == "True":
                running.result(30)
            else:
                with pytest.raises(rpc.ConnectionLost):
                    running.result(30)
            assert children(server.pid) == [], "no zombie either"
            server.tell("0")
            assert server.line() == told, "again is harmless"
            server.kill()


def test_a_stopped_worker_does_not_hold_up_the_end() -> None:
    with ForkingProcess(processes=2, grace=0.5) as server:
        everyone = everybody(server)
        with all_end(*everyone):
            os.kill(min(server.workers()), signal.SIGSTOP)
            begin = time.monotonic()
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
            assert time.monotonic() - begin < 15
        _, errors = server.finish()
        assert "has not ended in its time and is killed" in errors


def test_a_stopped_supervisor_does_not_hold_up_the_end() -> None:
    with ForkingProcess(processes=2, grace=0.5) as server, all_end(*everybody(server)):
        os.kill(server.supervisor(), signal.SIGSTOP)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_handler_can_end_the_server(kind: str) -> None:
    with ForkingProcess(processes=2, workers=kind) as server, all_end(*everybody(server)):
        assert server.run("shutdown 10") == 1
        assert server.wait() == 0


@pytest.mark.parametrize("how", ["serve", "start"])
def test_workers_end_when_the_program_is_killed(how: str) -> None:
    with (
        ForkingProcess(how, processes=2) as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
        all_end(*everybody(server)),
    ):
        workers = server.workers()
        running = pool.submit(server.run, "sleep 0.5")
        server.entered(1)
        os.kill(server.pid, signal.SIGKILL)
        assert running.result(30) in workers, "running calls have their grace"


def test_a_stopped_worker_is_ended_when_the_program_is_killed() -> None:
    with ForkingProcess(processes=2, grace=0.2) as server, all_end(*everybody(server)):
        os.kill(min(server.workers()), signal.SIGSTOP)
        os.kill(server.pid, signal.SIGKILL)


def test_workers_end_when_the_supervisor_is_killed_and_the_program_says_so() -> None:
    with ForkingProcess(processes=2) as server, all_end(*everybody(server)):
        supervisor = server.supervisor()
        os.kill(supervisor, signal.SIGKILL)
        assert server.wait() == 1
        _, errors = server.finish()
        assert f"process {supervisor}, was killed by SIGKILL: they end, and so does the server" in errors


def test_what_a_handler_prints_is_there_at_the_end(kind: str) -> None:
    with ForkingProcess(processes=1, workers=kind) as server:
        server.run("print from a handler")
        server.signal(signal.SIGTERM)
        output, _ = server.finish()
        assert output == "from a handler\nended\n"


def test_health_says_no_while_it_drains(kind: str) -> None:
    with ForkingProcess(processes=2, drain=600, workers=kind) as server, contextlib.ExitStack() as stack:
        port = int(server.address.rpartition(":")[2])
        socks = [stack.enter_context(raw.connection(port)) for _ in range(8)]
        for sock in socks:
            sock.sendall(raw.call("rpc.health"))
            assert raw.exactly(sock, 2) == b"\1\1"
        server.signal(signal.SIGTERM)

        def says_no() -> bool:
            with raw.connection(port) as sock:
                sock.sendall(raw.call("rpc.health"))
                return raw.exactly(sock, 2) == b"\1\0"

        until(says_no)
        kill(server, min(server.workers()), 2)
        for _ in range(8):
            assert says_no(), "one that starts meanwhile says no, too"
        server.signal(signal.SIGINT)
        assert server.wait() == 0


# Registering


def test_it_is_registered_once_and_withdrawn_first(kind: str) -> None:
    with (
        RegistryProcess() as registry,
        open_registry(registry.url) as client,
        contextlib.closing(client.watch("")) as watch,
        ForkingProcess(processes=3, registry=registry.url, drain=600, workers=kind) as server,
    ):
        until(lambda: watch.snapshot.instances)
        (entry,) = watch.snapshot.instances
        assert (entry.address, entry.pid) == (server.address, server.pid)
        kill(server, min(server.workers()), 3)
        server.signal(signal.SIGTERM)
        until(lambda: watch.snapshot.live and watch.snapshot.instances == ())
        for _ in range(20):
            assert server.run("pid") in server.workers(), "it serves while clients hear of it"
        server.signal(signal.SIGINT)
        assert server.wait() == 0


LEDGER = """
import os, sys
from rpcgen import runtime as rpc
from tests.support import ledger
folder, url, workers = sys.argv[1:]
stub = ledger.ServerStub(ledger.Handlers(f"{folder}/{os.getpid()}.ran", "a"))
server = rpc.ProcessServer("127.0.0.1", 0, stub, processes=2, registry=url, workers=workers)
print(server.bind().port, flush=True)
server.serve()
print("ended", flush=True)
"""


class Fleet:
    """Two programs of two processes each, one of which is replaced when it is told to.

    Args:
        folder: Where they write what they ran.
        kind: What serves in each process.
    """

    def __init__(self, folder: pathlib.Path, kind: str) -> None:
        self._folder = folder
        self._kind = kind
        self._stack = contextlib.ExitStack()
        self._running: list[subprocess.Popen[str]] = []
        self.url = ""

    def __enter__(self) -> typing.Self:
        self.url = self._stack.enter_context(RegistryProcess()).url
        client = self._stack.enter_context(open_registry(self.url))
        self._watch = self._stack.enter_context(contextlib.closing(client.watch("")))
        self._start()
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._stack:
            for process in self._running:
                process.send_signal(signal.SIGTERM)
            for process in self._running:
                assert process.wait(30) == 0

    def _start(self) -> None:
        process = self._stack.enter_context(python(LEDGER, str(self._folder), self.url, self._kind))
        port = int(line(process))
        until(lambda: port in {instance.port for instance in self._watch.snapshot.instances})
        self._running.append(process)

    def replace(self) -> None:
        """Starts another program, then ends the oldest."""
        self._start()
        oldest = self._running.pop(0)
        oldest.send_signal(signal.SIGTERM)
        assert oldest.wait(30) == 0


def test_a_rolling_restart_fails_no_idempotent_call(tmp_path: pathlib.Path) -> None:
    stop = threading.Event()
    failed: list[rpc.RpcError] = []
    answered: collections.Counter[str] = collections.Counter()
    with (
        Fleet(tmp_path, "threads") as fleet,
        rpc.DistributedChannel(fleet.url, timeout=30) as channel,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        stub = ledger.ClientStub(channel)

        def call() -> None:
            while not stop.is_set():
                try:
                    answered[stub.read(1)] += 1
                except rpc.RpcError as error:
                    failed.append(error)

        calling = [pool.submit(call) for _ in range(8)]
        try:
            for _ in range(2):
                fleet.replace()
                answered.clear()
                until(lambda: answered.total() > 100)
        finally:
            stop.set()
        concurrent.futures.wait(calling, 60)
    assert failed == []


def test_a_rolling_restart_fails_no_framed_call_at_all(tmp_path: pathlib.Path) -> None:
    """What GOAWAY leaves out was not started, and goes to another server: each call runs exactly once."""
    answered: list[int] = []
    failed: list[rpc.RpcError] = []

    class Stub(rpc.AsyncClientStub):
        async def append(self, number: int) -> str:
            return await self._call(ledger.AppendProtocol, number)

    async def run(fleet: Fleet) -> None:
        numbers, stopped = itertools.count(), False
        async with rpc.AsyncDistributedChannel(fleet.url, timeout=30, protocol="framed") as channel:
            stub = Stub(channel)

            async def call() -> None:
                while not stopped:
                    number = next(numbers)
                    try:
                        await stub.append(number)
                        answered.append(number)
                    except rpc.RpcError as error:
                        failed.append(error)

            calling = [asyncio.ensure_future(call()) for _ in range(16)]
            for _ in range(2):
                before = len(answered)
                await asyncio.to_thread(fleet.replace)
                while len(answered) < before + 100:
                    await asyncio.sleep(0.01)
            stopped = True
            await asyncio.gather(*calling)

    with Fleet(tmp_path, "asyncio") as fleet:
        asyncio.run(asyncio.wait_for(run(fleet), 90))
    assert failed == []
    assert ledger.runs(tmp_path) == collections.Counter(answered)


# Who is let in


def test_workers_let_in_and_intercept_as_the_program_said(kind: str) -> None:
    code = """
import contextlib, os, sys
from rpcgen import runtime as rpc
from tests.support import certificates, services
def check(credentials):
    if credentials != "sesame":
        raise PermissionError("say the word")
    return "ann"
@contextlib.contextmanager
def named(call):
    call.reply_metadata["who"] = call.context.identity.encode()
    yield
ours = certificates.authority()
with rpc.ProcessServer("127.0.0.1", 0, services.ServerStub(services.Handlers()), processes=2, workers=sys.argv[1],
                       tls=ours.server(ca=ours.ca), authenticate=check, interceptors=[named]) as server:
    options = {"tls": ours.client(shows=ours), "credentials": "sesame"}
    def calls(**others):
        return client(server.port, **{**options, **others})
    import asyncio
    from tests.support.aio import AsyncClientStub
    async def client(port, **options):
        async with rpc.AsyncChannel("127.0.0.1", port, **options) as channel:
            with rpc.reply_metadata() as received:
                try:
                    return await AsyncClientStub(channel).divide(1), received
                except rpc.RpcError as error:
                    return type(error).__name__
    print(asyncio.run(calls()), flush=True)
    print(asyncio.run(calls(credentials="simsim")), flush=True)
    print(asyncio.run(calls(tls=ours.client())), flush=True)
print("ended", flush=True)
"""
    with python(code, kind) as process:
        assert line(process) == "(1.0, {'who': b'ann'})"
        assert line(process) == "RemoteFault"
        assert line(process) in ("Unavailable", "ConnectionLost")
        assert line(process) == "ended"
        assert process.wait(30) == 0
