"""Servers that end: what runs is answered, what was not started is said to be so."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import pytest

from rpcgen import runtime as rpc
from tests.support import raw, services
from tests.support.aio import AsyncClientStub, Handlers, runs, served, until
from tests.support.processes import line, python
from tests.support.registries import MemoryRegistry


@runs
async def test_shutdown_lets_calls_end() -> None:
    handlers = Handlers()
    async with served(handlers) as (stub, server):
        call = asyncio.ensure_future(stub.wait(1))
        await handlers.waiting.wait()
        ending = asyncio.ensure_future(server.shutdown(20))
        await asyncio.sleep(0.05)
        with pytest.raises(rpc.Unavailable):
            await stub.divide(1)
        handlers.released.set()
        assert await call == 1
        assert await ending
        assert await server.shutdown()
        with pytest.raises(RuntimeError, match="is closed"):
            await server.start()


@runs
async def test_what_does_not_end_in_time_is_cancelled() -> None:
    handlers = Handlers()
    async with served(handlers) as (stub, server):
        call = asyncio.ensure_future(stub.wait(1))
        await handlers.waiting.wait()
        assert not await server.shutdown(0.05)
        with pytest.raises(rpc.ConnectionLost):
            await call
        assert handlers.cancelled == [1]


@runs
async def test_a_handler_may_shut_its_server_down() -> None:
    servers: list[rpc.AsyncServer] = []

    async def stop() -> int:
        assert await servers[0].shutdown(20)
        return 7

    async with served(Handlers(stop=stop), inline=True) as (stub, server):
        servers.append(server)
        assert await stub.run("stop") == 7
        assert await server.shutdown()


@runs
async def test_no_call_fails_when_servers_follow_each_other() -> None:
    """Clients that move what was certainly not started see none of ten restarts under load."""
    handlers = Handlers()
    handlers.released.set()
    stub = services.ServerStub(handlers)
    current = await rpc.AsyncServer("127.0.0.1", 0, stub).start()
    channels = [rpc.AsyncChannel("127.0.0.1", current.port)]
    done, stopped, moved = 0, False, 0

    async def client() -> None:
        nonlocal done, moved
        while not stopped:
            try:
                assert await AsyncClientStub(channels[-1]).wait(done) >= 0
                done += 1
            except rpc.Unavailable:
                moved += 1
                await asyncio.sleep(0)

    clients = [asyncio.ensure_future(client()) for _ in range(32)]
    for _ in range(10):
        before = done
        await until(lambda before=before: done > before + 200)  # type: ignore[misc]
        following = await rpc.AsyncServer("127.0.0.1", 0, stub).start()
        channels.append(rpc.AsyncChannel("127.0.0.1", following.port))
        assert await current.shutdown(20)
        current = following
    stopped = True
    await asyncio.gather(*clients)
    for channel in channels:
        await channel.close()
    assert await current.shutdown(20)
    assert not moved or done


@runs
async def test_plain_calls_that_came_are_answered() -> None:
    handlers = Handlers()
    async with served(handlers) as (_, server):
        with raw.connection(server.port) as busy, raw.connection(server.port) as quiet:
            busy.sendall(raw.call("wait", bytes.fromhex("0100000005")))
            await handlers.waiting.wait()
            ending = asyncio.ensure_future(server.shutdown(20))
            assert await asyncio.to_thread(raw.to_the_end, quiet) == b""
            handlers.released.set()
            assert await asyncio.to_thread(raw.to_the_end, busy) == bytes.fromhex("01 00000005")
            assert await ending


@runs
async def test_it_registers_and_withdraws() -> None:
    registry = MemoryRegistry()
    stub = services.ServerStub(Handlers())
    server = rpc.AsyncServer("127.0.0.1", 0, stub, registry=registry, drain=0.05, zone="here")
    async with server:
        (entry,) = registry.contents().entries
        assert entry.instance is not None
        assert (entry.instance.port, entry.instance.zone) == (server.port, "here")
    assert registry.contents().entries == ()
    registry.close()


PROGRAM = """\
import sys
sys.path.insert(0, ".")
from rpcgen import runtime as rpc
from tests.support import services
from tests.support.aio import Handlers
import asyncio
class Slow(services.Handlers):
    async def wait(self, number):
        print("waiting", flush=True)
        await asyncio.sleep(float(sys.argv[1]))
        return number
server = rpc.AsyncServer("127.0.0.1", 0, services.ServerStub(Slow()), grace=20)
print(server.bind().port, flush=True)
server.run()
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@runs
async def test_the_first_signal_drains(number: signal.Signals) -> None:
    with python(PROGRAM, "0.3") as process:
        async with rpc.AsyncChannel("127.0.0.1", int(line(process))) as channel:
            call = asyncio.ensure_future(AsyncClientStub(channel).wait(4))
            assert await asyncio.to_thread(line, process) == "waiting"
            os.kill(process.pid, number)
            assert await call == 4
        assert await asyncio.to_thread(line, process) == "ended"
        assert await asyncio.to_thread(process.wait, 30) == 0


@runs
async def test_the_second_signal_ends_at_once() -> None:
    with python(PROGRAM, "1000") as process:
        async with rpc.AsyncChannel("127.0.0.1", int(line(process))) as channel:
            call = asyncio.ensure_future(AsyncClientStub(channel).wait(4))
            assert await asyncio.to_thread(line, process) == "waiting"
            os.kill(process.pid, signal.SIGTERM)
            await _until_it_leaves(AsyncClientStub(channel))
            os.kill(process.pid, signal.SIGTERM)
            with pytest.raises(rpc.ConnectionLost):
                await call
        assert await asyncio.to_thread(line, process) == "ended"
        assert await asyncio.to_thread(process.wait, 30) == 0


async def _until_it_leaves(stub: AsyncClientStub) -> None:
    with contextlib.suppress(rpc.Unavailable):
        while True:
            await stub.divide(1)


@runs
async def test_serve_ends_with_its_task() -> None:
    handlers = Handlers()
    server = rpc.AsyncServer("127.0.0.1", 0, services.ServerStub(handlers))
    server.bind()
    serving = asyncio.ensure_future(server.serve())
    async with rpc.AsyncChannel("127.0.0.1", server.port) as channel:
        assert await AsyncClientStub(channel).divide(1) == 1.0
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(rpc.Unavailable):
            await AsyncClientStub(channel).divide(1)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
