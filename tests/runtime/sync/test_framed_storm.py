"""Clients that do everything at once, against few threads: every call gets its one answer."""

from __future__ import annotations

import concurrent.futures
import random
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.sync.server import framed_connection
from rpcgen.runtime.wire.events import FAULT, GOAWAY, PONG, REPLY
from tests.support import framed, raw, services
from tests.support.framed_client import BLOCK, FramedClient
from tests.support.waiting import PATIENCE, until


def nap() -> int:
    time.sleep(0.012)
    return 1


NAP = b"\1" + framed.text("nap")


def storm(port: int, seed: int, seconds: float) -> int:
    """Sends calls of every kind in bursts; gives how many were answered, each of them once."""
    at, answered, end = random.Random(seed), 0, time.monotonic() + seconds
    with FramedClient(port) as client:
        client.greet()
        while time.monotonic() < end:
            owed: dict[int, bool] = {}
            """Call → whether its reply is certain."""
            for _ in range(at.choice((1, 1, 1, 2, 10, 60))):
                what = at.randrange(10)
                if what < 6:
                    owed[client.call("divide", BLOCK)] = True
                elif what < 7:
                    owed[client.call("run", NAP)] = True
                elif what < 8:
                    owed[client.call("run", NAP, milliseconds=at.randrange(1, 30))] = False
                elif what < 9:
                    owed[client.call("echo", b"\1\0\1\0\0" + bytes(65536))] = True
                else:
                    client.call("log", b"\1" + framed.text("x"), no_reply=True)
            if owed and at.random() < 0.3:
                gone = at.choice(list(owed))
                client.flush()
                time.sleep(at.choice((0, 0.006)))
                if client.session.cancel(gone):
                    del owed[gone]
            while owed:
                (event,) = client.events(1)
                assert event[0] in (REPLY, FAULT), event
                is_certain = owed.pop(event[1])
                if event[0] == FAULT:
                    assert not is_certain, event
                    assert event[2].code is rpc.FaultCode.DEADLINE_EXCEEDED
                answered += 1
    return answered


@pytest.mark.parametrize("turn", ["C", "Python"])
@pytest.mark.parametrize("workers", [1, 3])
def test_every_call_of_a_storm_is_answered_once(
    turn: str, workers: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if turn == "Python":
        monkeypatch.setattr(framed_connection, "serve_frames", None)
    handlers = services.Handlers(nap=nap)
    with (
        services.ThreadServer("127.0.0.1", 0, handlers, max_workers=workers) as server,
        raw.connection(server.port) as plain,
        concurrent.futures.ThreadPoolExecutor(5) as pool,
    ):
        storms = [pool.submit(storm, server.port, seed, 1.0) for seed in range(5)]
        while not all(each.done() for each in storms):
            plain.sendall(raw.CALL)
            assert raw.exactly(plain, 5) == raw.RETURNED
        assert min(each.result(PATIENCE) for each in storms) > 0
        plain.close()
        until(lambda: not server._loop._hands.connections)  # type: ignore[union-attr]
        until(lambda: not server._loop._hands.load)  # type: ignore[union-attr]
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []


def test_a_storm_while_the_server_drains(caplog: pytest.LogCaptureFixture) -> None:
    handlers = services.Handlers(nap=nap)

    def until_goaway(port: int, seed: int) -> typing.Any:
        """Keeps calls under way until the server leaves; gives those that are neither answered nor given back."""
        at, owed = random.Random(seed), set[int]()
        with FramedClient(port) as client:
            client.greet()
            while True:
                try:
                    while len(owed) < 8:
                        owed.add(
                            client.call("divide", BLOCK) if at.random() < 0.7 else client.call("run", NAP)
                        )
                except rpc.Unavailable:
                    if not owed:
                        return owed
                (event,) = client.events(1)
                if event[0] == GOAWAY:
                    owed -= set(event[3])
                elif event[0] in (REPLY, FAULT):
                    owed.discard(event[1])
                else:
                    assert event[0] == PONG or not owed, event
                    return owed

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        with services.ThreadServer("127.0.0.1", 0, handlers, max_workers=3) as server:
            clients = [pool.submit(until_goaway, server.port, seed) for seed in range(5)]
            time.sleep(0.3)
            assert server.shutdown(PATIENCE) is True
        assert [client.result(PATIENCE) for client in clients] == [set()] * 5
