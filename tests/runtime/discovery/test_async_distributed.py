"""Calls to many servers from asyncio: what is its own beside what both kinds of channels do."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import typing
import weakref

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.discovery.service import Service
from rpcgen.runtime.registry import Instance
from tests.runtime.discovery.fleet import Fleet, WaitAgainProtocol, connections, service
from tests.support import peers, services
from tests.support.aio import AsyncClientStub, Handlers, runs, until
from tests.support.loops import loop_kind, run
from tests.support.registries import MemoryRegistry
from tests.support.shells import open_connections
from tests.support.waiting import PATIENCE

__all__ = ["loop_kind"]


def framed(fleet: Fleet, *numbers: int) -> None:
    """Lists these servers of a fleet, all of them by default, as what they are."""
    listed = numbers or range(len(fleet.servers))
    fleet.registry.set("", *(fleet.instance(number, protocols=("framed", "plain")) for number in listed))


@runs
async def test_a_thousand_calls_at_once_share_a_connection_to_each_server() -> None:
    with Fleet(3) as fleet:
        framed(fleet)
        async with rpc.AsyncDistributedChannel(fleet.registry) as channel:
            stub = AsyncClientStub(channel)
            results = await asyncio.gather(*[stub.divide(number) for number in range(1000)])
            assert results == list(range(1000))
            assert connections(channel) == 3
            assert [endpoint.load for endpoint in service(channel).router.endpoints] == [0, 0, 0]


@runs
async def test_an_entry_that_does_not_say_framed_is_spoken_to_in_plain() -> None:
    with Fleet(1) as fleet:
        async with rpc.AsyncDistributedChannel(fleet.registry, credentials="x", keepalive=5) as channel:
            stub = AsyncClientStub(channel)
            telling = rpc.with_options(stub, metadata={"a": "b"})
            assert await stub.divide(1) == 1.0
            with pytest.raises(rpc.EncodeError, match="plain messages carry no metadata") as raised:
                await telling.divide(1)
            assert raised.value.method == "divide"
            framed(fleet)  # it has learnt something
            assert await telling.divide(1) == 1.0


@runs
async def test_a_list_from_another_thread_wakes_who_waits_for_it() -> None:
    with Fleet(1) as fleet:
        fleet.registry.go_away("starting")
        async with rpc.AsyncDistributedChannel(fleet.registry, start_wait=PATIENCE) as channel:
            stub = AsyncClientStub(channel)
            calls = [asyncio.ensure_future(stub.divide(number)) for number in range(10)]
            await until(lambda: fleet.registry.log)
            thread = threading.Thread(target=lambda: fleet.registry.go_away(""))
            thread.start()
            assert await asyncio.gather(*calls) == list(range(10))
            thread.join()


@runs
async def test_a_task_that_is_cancelled_while_it_waits_for_a_list_leaves_nothing() -> None:
    registry = MemoryRegistry()
    registry.go_away("away")
    async with rpc.AsyncDistributedChannel(registry, start_wait=PATIENCE) as channel:
        call = asyncio.ensure_future(AsyncClientStub(channel).divide(1))
        await until(lambda: registry.log)
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert service(channel)._heard._waiting == set()


@runs
async def test_a_task_that_is_cancelled_tells_the_server() -> None:
    handlers = Handlers()
    async with rpc.AsyncServer("127.0.0.1", 0, services.ServerStub(handlers)) as server:
        registry = MemoryRegistry()
        registry.set("", Instance("127.0.0.1", server.port, protocols=("framed",)))
        async with rpc.AsyncDistributedChannel(registry) as channel:
            stub = AsyncClientStub(channel)
            for _ in range(2):
                call = asyncio.ensure_future(stub.wait(7))
                await until(lambda: handlers.running)
                (endpoint,) = service(channel).router.endpoints
                assert endpoint.load == 1
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await until(lambda: not handlers.running)
                assert endpoint.load == endpoint.failures == 0
            assert handlers.cancelled == [7, 7]


@runs
async def test_a_probe_that_is_cancelled_tells_nothing_of_its_server() -> None:
    with Fleet(2) as fleet:
        framed(fleet)
        async with rpc.AsyncDistributedChannel(fleet.registry) as channel:
            stub = AsyncClientStub(channel)
            assert await stub.divide(1) == 1.0
            one, _ = service(channel).router.endpoints
            service(channel).failed(one, rpc.Unavailable("gone"), False)
            assert one.state.name == "EJECTED"
            one.until = 0.0
            service(channel).router.look_at = 0.0
            call = asyncio.ensure_future(channel.call(services.WaitProtocol, (1,)))
            await until(lambda: one.state.name == "PROBING" and one.load)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert one.state.name == "EJECTED"


@runs
async def test_closing_ends_everything_and_leaves_nothing() -> None:
    with Fleet(2) as fleet:
        framed(fleet)
        channel = rpc.AsyncDistributedChannel(fleet.registry)
        call = asyncio.ensure_future(channel.call(WaitAgainProtocol, (1,)))
        await until(lambda: connections(channel))
        before = service(channel)
        await channel.close()
        with pytest.raises(rpc.Cancelled):
            await call
        assert [open_connections(made) for made in before.channels()] == [0]
        assert fleet.registry._watches == []
        with pytest.raises(rpc.Unavailable, match="divide: the channel is closed; the call was not sent"):
            await AsyncClientStub(channel).divide(1)
        await channel.close()
        assert repr(channel) == "<closed asyncio channel to the servers of memory://>"


@pytest.mark.parametrize("waits_for", ["a list", "a pause"])
@runs
async def test_closing_ends_waiting(waits_for: str) -> None:
    registry = MemoryRegistry()
    if waits_for == "a list":
        registry.go_away("away")
    else:
        registry.set("", Instance("127.0.0.1", peers.unused_port()))
    channel = rpc.AsyncDistributedChannel(registry, start_wait=1000, tries=1000)
    call = asyncio.ensure_future(AsyncClientStub(channel).divide(1))
    await until(lambda: registry.log)
    await asyncio.sleep(0.02)
    await channel.close()
    with pytest.raises(rpc.Unavailable):
        await call


@runs
async def test_calls_without_replies_are_not_lost_by_closing_nor_by_leaving_the_list() -> None:
    with Fleet(2) as fleet:
        framed(fleet)
        async with rpc.AsyncDistributedChannel(fleet.registry) as channel:
            stub = AsyncClientStub(channel)
            for number in range(50):
                await stub.log(f"{number}")
            framed(fleet, 0)
            for number in range(50, 100):
                await stub.log(f"{number}")
        lines = [handlers.lines for handlers in fleet.handlers]
        await until(lambda: sum(map(len, lines)) == 100)
        assert sorted(map(int, [*lines[0], *lines[1]])) == list(range(100))


@runs
async def test_connections_that_are_being_made_end_with_the_list() -> None:
    """A server that is silent leaves the list: what waits for its connection goes elsewhere."""
    with Fleet(1) as fleet, peers.server(lambda sock: sock.recv(1)) as port:
        silent = Instance("127.0.0.1", port, protocols=("framed",))
        fleet.registry.set("", silent)
        async with rpc.AsyncDistributedChannel(fleet.registry, tls=True) as channel:
            call = asyncio.ensure_future(AsyncClientStub(channel).divide(4, 2))
            await until(lambda: service_is_connecting(channel))
            framed(fleet)
            with pytest.raises(rpc.Unavailable, match="TLS handshake"):
                await call


def service_is_connecting(channel: rpc.AsyncDistributedChannel) -> bool:
    made = channel._services[""].channels() if channel._services else []
    return any(link._connecting is not None for one in made for link in one._links.values())


def test_loops_of_several_threads_share_a_channel() -> None:
    with Fleet(3) as fleet:
        framed(fleet)
        channel = rpc.AsyncDistributedChannel(fleet.registry)
        stub, together = AsyncClientStub(channel), threading.Barrier(4)
        done: list[float] = []

        async def call() -> None:
            await asyncio.to_thread(together.wait, PATIENCE)
            for number in range(50):
                if number == 25:
                    framed(fleet, 0, 1)
                done.extend(await asyncio.gather(*[stub.divide(number) for _ in range(10)]))
            if await asyncio.to_thread(together.wait, PATIENCE) == 0:
                await channel.close()
            await asyncio.to_thread(together.wait, PATIENCE)
            # Others' connections are closed soon after.
            links = [link for link in all_links(channel_service) if link._loop is asyncio.get_running_loop()]
            await until(lambda: not any(link._connections for link in links))

        async def follow() -> Service:
            assert await stub.divide(1) == 1.0
            found = service(channel)
            for made in found.channels():
                await made._links[asyncio.get_running_loop()].close()
            return found

        channel_service = run(follow())
        threads = [threading.Thread(target=lambda: run(call())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(done) == 4 * 50 * 10


def all_links(followed: Service) -> list[typing.Any]:
    return [link for made in followed.channels() for link in made._links.values()]


@runs
async def test_errors_are_free_at_once() -> None:
    """No cycle through a frame, whatever the way of the call was."""
    registry = MemoryRegistry()
    registry.set("", *(Instance("127.0.0.1", peers.unused_port(), protocols=("framed",)) for _ in range(2)))
    async with rpc.AsyncDistributedChannel(registry, tries=2) as channel:
        gc.disable()
        try:
            try:
                await AsyncClientStub(channel).divide(1)
            except rpc.Unavailable as error:
                seen = weakref.ref(error)
            assert seen() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("is_given", [True, False])
def test_a_forked_child_begins_anew(is_given: bool) -> None:
    with Fleet(2) as fleet:
        framed(fleet)
        url = "static://" + ",".join(f"127.0.0.1:{server.port}" for server in fleet.servers)
        channel = rpc.AsyncDistributedChannel(fleet.registry if is_given else url, protocol="framed")
        stub = AsyncClientStub(channel)

        async def call_and_fork() -> None:
            async with channel:
                await asyncio.gather(*[stub.divide(1) for _ in range(10)])
                before = connections(channel)
                child = os.fork()
                if not child:
                    # Nothing of the parent's loop may be touched: another one, in a thread that runs none.
                    thread = threading.Thread(target=lambda: asyncio.run(call_in_child()))
                    thread.start()
                    thread.join()
                    os._exit(0 if done else 1)
                assert await asyncio.to_thread(lambda: os.waitpid(child, 0)[1]) == 0
                assert connections(channel) == before
                await asyncio.gather(*[stub.divide(1) for _ in range(10)])
                assert connections(channel) == before

        done: list[bool] = []

        async def call_in_child() -> None:
            assert channel._services == {}
            assert await stub.divide(4, 2) == 2.0
            assert connections(channel) == 1
            await channel.close()
            done.append(True)

        asyncio.run(call_and_fork())


def test_options_are_checked_when_it_is_made() -> None:
    registry = MemoryRegistry()
    out_of_range: typing.Any = [{"keepalive": 0.1}, {"protocol": "pain"}, {"compress": ["zip"]}, {"tries": 0}]
    unknown: typing.Any = [{"max_connections": 3}, {"tires": 3}]
    for wrong in out_of_range:
        with pytest.raises(ValueError, match=r"keepalive|protocol|zip|at least once"):
            rpc.AsyncDistributedChannel(registry, **wrong)
    for wrong in unknown:
        with pytest.raises(TypeError, match=next(iter(wrong))):
            rpc.AsyncDistributedChannel(registry, **wrong)
    assert repr(rpc.AsyncDistributedChannel(registry)) == "<asyncio channel to the servers of memory://>"


@runs
async def test_urls_give_asyncio_channels() -> None:
    with Fleet(2) as fleet:
        ports = [server.port for server in fleet.servers]
        url = "static://" + ",".join(f"127.0.0.1:{port}" for port in ports)
        made = rpc.connect_async(url, balancer=rpc.RoundRobin(), timeout=30, service="", protocol="framed")
        assert isinstance(made, rpc.AsyncDistributedChannel)
        one = rpc.connect_async(f"tcp://127.0.0.1:{ports[0]}", keepalive=5, timeout=30)
        assert isinstance(one, rpc.AsyncChannel)
        async with made, one:
            assert await AsyncClientStub(made).divide(4, 2) == 2.0
            assert await AsyncClientStub(one).divide(4, 2) == 2.0
        with pytest.raises(TypeError, match="is one server, whose channel has no option zone"):
            rpc.connect_async("unix:///path", zone="a")
