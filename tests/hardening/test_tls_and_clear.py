"""A port with TLS, spoken to in clear, and the reverse: that connection ends, and others' calls go on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from tests.hardening import cases
from tests.hardening.bystander import Bystander
from tests.support import raw, services
from tests.support.certificates import authority
from tests.support.framed import HELLO, PREFACE
from tests.support.waiting import PATIENCE

WORDS = {
    "a plain call": raw.CALL,
    "frames": PREFACE + HELLO + cases.CALLING,
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "a record of TLS that is none": bytes.fromhex("1603010010") + bytes(16),
    "a record beyond all limits": bytes.fromhex("160301ffff") + bytes(70_000),
}


@contextlib.contextmanager
def threads(tls: rpc.TLS) -> typing.Iterator[int]:
    with services.ThreadServer("127.0.0.1", 0, services.Handlers(), tls=tls) as server:
        yield server.port


@contextlib.contextmanager
def in_a_loop(tls: rpc.TLS) -> typing.Iterator[int]:
    ready = threading.Event()
    told: dict[str, typing.Any] = {}

    async def serve() -> None:
        stub = services.ServerStub(services.Handlers())
        async with rpc.AsyncServer("127.0.0.1", 0, stub, tls=tls) as server:
            told.update(port=server.port, loop=asyncio.get_running_loop(), end=(end := asyncio.Event()))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield told["port"]
    finally:
        told["loop"].call_soon_threadsafe(told["end"].set)
        thread.join(PATIENCE)


@pytest.mark.parametrize("serving", [threads, in_a_loop])
def test_a_port_with_tls_spoken_to_in_clear(serving: typing.Any) -> None:
    ours = authority()
    with serving(ours.server()) as port, Bystander(port, tls=ours.client()) as other:
        other.goes_on(1)
        for data in WORDS.values():
            with raw.connection(port) as sock:
                with contextlib.suppress(OSError):
                    sock.sendall(data)
                told = raw.to_the_end(sock)
                assert len(told) < 100  # an alert of TLS, and no reply
                assert raw.RETURNED not in told
            other.goes_on(1)


@pytest.mark.parametrize("protocol", ["framed", "plain"])
def test_a_channel_without_tls_to_a_port_with_it(protocol: typing.Literal["framed", "plain"]) -> None:
    with (
        threads(authority().server()) as port,
        rpc.Channel("127.0.0.1", port, timeout=PATIENCE, protocol=protocol) as channel,
        pytest.raises(rpc.CallError),
    ):
        services.ClientStub(channel).divide(1)


def test_a_channel_with_tls_to_a_port_without_it() -> None:
    with services.ThreadServer("127.0.0.1", 0, services.Handlers()) as clear, Bystander(clear.port) as other:
        tls = authority().client()
        with (
            rpc.Channel("127.0.0.1", clear.port, timeout=PATIENCE, tls=tls) as channel,
            pytest.raises(rpc.Unavailable),
        ):
            services.ClientStub(channel).divide(1)
        other.goes_on(1)
