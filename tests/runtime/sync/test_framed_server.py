"""Framed connections of blocking servers: many calls at once, none of which holds up the others."""

from __future__ import annotations

import itertools
import random
import socket
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.options import current_deadline
from rpcgen.runtime.sync import turns
from rpcgen.runtime.sync.server import framed_connection
from rpcgen.runtime.sync.server.connection import State
from rpcgen.runtime.wire.events import CANCEL, ENDED, FAULT, GOAWAY, PONG, REPLY
from rpcgen.runtime.wire.hello import Terms
from tests.support import framed, raw, services
from tests.support.framed_client import BLOCK, FramedClient
from tests.support.waiting import PATIENCE, until

Kind: typing.TypeAlias = services.Kind

RETURNED = raw.RETURNED


@pytest.fixture(autouse=True, params=["C", "Python"])
def turn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "Python":
        monkeypatch.setattr(framed_connection, "serve_frames", None)
    elif turns.serve_frames is None:
        pytest.skip("the turns in C are not built")


def number(value: int) -> bytes:
    return b"\1" + value.to_bytes(4, "big")


def text(value: str) -> bytes:
    return b"\1" + framed.text(value)


def serve(kind: Kind, handlers: object, **options: typing.Any) -> rpc.Server:
    return kind("127.0.0.1", 0, handlers, **options)


def threaded(handlers: object, **options: typing.Any) -> rpc.Server:
    return serve(services.ThreadServer, handlers, **options)


def fault(event: typing.Any) -> tuple[rpc.FaultCode, str]:
    assert event[0] == FAULT, event
    return event[2].code, event[2].message


# Answers


def test_calls_are_answered_one_after_the_other_and_many_at_once(
    kind: Kind, handlers: services.Handlers
) -> None:
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        for _ in range(10):
            call = client.call("divide", BLOCK)
            assert client.events(1) == [(REPLY, call, RETURNED, None)]
        calls = [client.call("divide", BLOCK) for _ in range(500)]
        assert client.events(500) == [(REPLY, call, RETURNED, None) for call in calls]


def test_any_split_of_the_stream_is_answered(kind: Kind, handlers: services.Handlers) -> None:
    stream = framed.PREFACE + framed.HELLO
    stream += b"".join(framed.frame(1, 0, i, framed.call("divide", BLOCK)) for i in range(1, 5))
    at = random.Random(7)
    with serve(kind, handlers) as server:
        for _ in range(15):
            with FramedClient(server.port) as client:
                for _ in range(4):
                    client.call("divide", BLOCK)
                client.session.data_to_send()
                cuts = sorted(at.sample(range(len(stream)), at.randrange(6)))
                for begin, end in itertools.pairwise([0, *cuts, len(stream)]):
                    client.sock.sendall(stream[begin:end])
                    time.sleep(at.choice([0, 0, 0.001]))
                assert [event[0] for event in client.events(4)] == [REPLY] * 4


def test_what_a_call_may_come_to(kind: Kind) -> None:
    def refuse() -> typing.NoReturn:
        raise services.InvalidOperation("no")

    def fail() -> typing.NoReturn:
        raise ValueError("secret")

    handlers = services.Handlers(refuse=refuse, fail=fail)
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        for _ in range(2):
            client.call("run", text("refuse"))
            (event,) = client.events(1)
            assert event[0] == REPLY
            assert event[2][0] == 2
            client.call("run", text("fail"))
            (event,) = client.events(1)
            assert fault(event)[0] is rpc.FaultCode.INTERNAL
            assert "secret" not in event[2].message
            client.call("divid", BLOCK)
            assert fault(*client.events(1)) == (
                rpc.FaultCode.UNKNOWN_METHOD,
                "there is no method 'divid'; did you mean 'divide'?",
            )
            client.call("divide", b"\2\0")
            assert fault(*client.events(1))[0] is rpc.FaultCode.BAD_REQUEST
            client.call("divide", BLOCK)
            assert client.events(1)[0][2] == RETURNED


def test_large_calls_and_replies(kind: Kind, handlers: services.Handlers) -> None:
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        client.greet()
        for size in (0, 1000, 15_000, 17_000, 33_000, 70_000, 3_000_000):
            data = random.Random(size).randbytes(size)
            client.call("echo", b"\1" + size.to_bytes(4, "big") + data)
            (event,) = client.events(1)
            assert bytes(event[2]) == b"\1" + size.to_bytes(4, "big") + data


def test_a_reply_that_the_client_does_not_accept(kind: Kind, handlers: services.Handlers) -> None:
    class Much(services.Handlers):
        def echo(self, data: bytes) -> bytes:
            return bytes(200_000)

    terms = Terms(rpc.Limits(message=50_000))
    with serve(kind, Much()) as server, FramedClient(server.port, terms) as client:
        client.call("echo", b"\1\0\0\0\0")
        code, message = fault(*client.events(1))
        assert code is rpc.FaultCode.RESOURCE_EXHAUSTED
        assert "200005 bytes" in message
        client.call("divide", BLOCK)
        assert client.events(1)[0][2] == RETURNED


def test_oneway_calls(kind: Kind, handlers: services.Handlers) -> None:
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        call = client.call("log", text("a"))
        client.call("log", text("b"), no_reply=True)
        client.call("divide", BLOCK, no_reply=True)
        last = client.call("divide", BLOCK)
        assert client.events(2) == [(REPLY, call, b"\1", None), (REPLY, last, RETURNED, None)]
        for _ in range(2):
            assert handlers.logged.acquire(timeout=PATIENCE)
        assert handlers.lines == ["a", "b"]


def test_compressed_both_ways(kind: Kind, handlers: services.Handlers) -> None:
    terms = Terms(compress=["gzip"])
    with serve(kind, handlers, compress=["gzip"]) as server, FramedClient(server.port, terms) as client:
        client.greet()
        data = bytes(100_000)
        client.call("echo", b"\1" + len(data).to_bytes(4, "big") + data)
        assert client.session.unsent < 1000
        (event,) = client.events(1)
        assert bytes(event[2][5:]) == data


def test_garbage_is_told_and_ends_its_connection(kind: Kind, handlers: services.Handlers) -> None:
    with serve(kind, handlers) as server:
        with FramedClient(server.port) as client:
            client.greet()
            client.sock.sendall(framed.frame(2, 0, 1, b"\1"))
            (event,) = client.events(1)
            assert event[0] == ENDED
            assert event[1].code is rpc.FaultCode.BAD_REQUEST
            assert "REPLY" in event[1].message
            assert client.sock.recv(10) == b""
        with FramedClient(server.port) as client:
            client.call("divide", BLOCK)
            assert client.events(1)[0][2] == RETURNED


# One call holds up nothing


def test_a_slow_call_holds_up_nothing(handlers: services.Handlers) -> None:
    with threaded(handlers, max_workers=2) as server, FramedClient(server.port) as client:
        slow = client.call("wait", number(7))
        quick = [client.call("divide", BLOCK) for _ in range(20)]
        assert {event[1] for event in client.events(20)} == set(quick)
        assert handlers.entered.acquire(timeout=PATIENCE)
        later = client.call("divide", BLOCK)
        assert client.events(1) == [(REPLY, later, RETURNED, None)]
        handlers.go_on.set()
        assert client.events(1) == [(REPLY, slow, number(7), None)]
        # One thread has it again.
        for _ in range(20):
            client.call("divide", BLOCK)
            assert client.events(1)[0][2] == RETURNED


def test_slow_calls_run_at_once_as_far_as_there_are_threads(handlers: services.Handlers) -> None:
    with threaded(handlers, max_workers=5) as server, FramedClient(server.port) as client:
        for value in range(8):
            client.call("wait", number(value))
        client.flush()
        for _ in range(5):
            assert handlers.entered.acquire(timeout=PATIENCE)
        assert not handlers.entered.acquire(timeout=0.05)
        handlers.go_on.set()
        assert sorted(event[2] for event in client.events(8)) == [number(value) for value in range(8)]


def test_with_all_threads_busy_pings_and_cancels_are_heard(handlers: services.Handlers) -> None:
    seen: list[rpc.Context] = []
    entered = threading.Event()

    def look() -> int:
        seen.append(rpc.context())
        entered.set()
        until(lambda: seen[0].cancelled)
        return 1

    handlers.actions["look"] = look
    with (
        threaded(handlers, max_workers=1) as server,
        FramedClient(server.port) as busy,
        FramedClient(server.port) as other,
        FramedClient(server.port) as third,
    ):
        third.call("divide", BLOCK)
        assert third.events(1)[0][2] == RETURNED
        first = busy.call("run", text("look"))
        second = busy.call("divide", BLOCK)
        busy.flush()
        assert entered.wait(PATIENCE)
        for client in (busy, other, third):
            client.greet()
            data = client.session.ping()
            assert client.events(1) == [(PONG, data)]
        for client in (other, third):
            waiting = client.call("divide", BLOCK)
            client.flush()
            client.session.cancel(waiting)
            client.session.ping()
            assert client.events(1)[0][0] == PONG
        busy.session.cancel(second)
        busy.session.ping()
        assert busy.events(1)[0][0] == PONG
        assert not seen[0].cancelled
        busy.session.cancel(first)
        busy.flush()
        until(lambda: seen[0].cancelled)
        for client in (busy, other, third):
            client.call("divide", BLOCK)
            assert client.events(1)[0][2] == RETURNED
        assert CANCEL not in [event[0] for event in client._events]


def test_a_thread_that_comes_late_from_a_slow_call_takes_nothing_from_others(
    handlers: services.Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = framed_connection.FramedConnection._finish
    late = threading.Event()

    def finish_and_dawdle(self: framed_connection.FramedConnection, call_id: int, reply: bytes) -> None:
        finish(self, call_id, reply)
        late.wait(PATIENCE)  # a call that takes long on a busy machine comes here, too

    monkeypatch.setattr(framed_connection.FramedConnection, "_finish", finish_and_dawdle)
    with threaded(handlers, max_workers=4) as server, FramedClient(server.port) as client:
        client.call("wait", number(1))
        client.flush()
        assert handlers.entered.acquire(timeout=PATIENCE)
        until(lambda: [c.state for c in server._loop._hands.connections] == [State.SHARED])  # type: ignore[union-attr]
        handlers.go_on.set()
        assert client.events(1)[0][2] == number(1)
        for _ in range(3):
            client.call("divide", BLOCK)
            assert client.events(1)[0][2] == RETURNED
        late.set()
        until(lambda: server._loop._hands.load == 0)  # type: ignore[union-attr]
        client.call("divide", BLOCK)
        assert client.events(1)[0][2] == RETURNED


def test_connections_take_turns_while_threads_are_few(handlers: services.Handlers) -> None:
    with (
        threaded(handlers, max_workers=1) as server,
        FramedClient(server.port) as greedy,
        FramedClient(server.port) as modest,
    ):
        greedy.greet()
        greedy.call("wait", number(1))
        greedy.flush()
        assert handlers.entered.acquire(timeout=PATIENCE)
        for _ in range(200):
            greedy.call("divide", BLOCK)
        greedy.session.ping()
        assert greedy.events(1)[0][0] == PONG
        modest.call("divide", BLOCK)
        modest.flush()
        handlers.go_on.set()
        assert modest.events(1)[0][2] == RETURNED
        assert len(greedy.events(201)) == 201


def test_idle_framed_connections_take_no_thread(handlers: services.Handlers) -> None:
    with threaded(handlers, max_workers=1) as server:
        clients = [FramedClient(server.port) for _ in range(30)]
        for client in [*clients, *clients]:
            client.call("divide", BLOCK)
            assert client.events(1)[0][2] == RETURNED
        for client in clients:
            client.sock.close()


def test_more_pings_than_a_session_answers_end_it(kind: Kind, handlers: services.Handlers) -> None:
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        client.greet()
        client.sock.sendall(framed.frame(5, 0, 0, bytes(8)) * 61)
        data = raw.to_the_end(client.sock)
        assert data.count(framed.frame(6, 0, 0, bytes(8))) == 60
        assert b"over 60 PINGs in a minute" in data


# Deadlines


def test_a_call_whose_time_is_up_is_answered_then(handlers: services.Handlers) -> None:
    seen: list[rpc.Context] = []

    def look() -> int:
        seen.append(rpc.context())
        return handlers.wait(1)

    handlers.actions["look"] = look
    with threaded(handlers, max_workers=1) as server, FramedClient(server.port) as client:
        client.call("run", text("look"), milliseconds=30)
        waits = client.call("divide", BLOCK, milliseconds=60)
        assert [fault(event)[0] for event in client.events(2)] == [rpc.FaultCode.DEADLINE_EXCEEDED] * 2
        assert seen[0].cancelled
        last = client.call("divide", BLOCK)
        handlers.go_on.set()
        assert client.events(1) == [(REPLY, last, RETURNED, None)]
        assert waits < last


def test_a_call_that_comes_too_late_is_not_started(kind: Kind, handlers: services.Handlers) -> None:
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        frame = framed.frame(1, 0, 1, framed.call("run", text("nothing"), 1))
        client.call("run", text("nothing"), milliseconds=1)
        client.session.data_to_send()
        client.sock.sendall(framed.PREFACE + framed.HELLO + frame[:-1])
        time.sleep(0.05)
        client.sock.sendall(frame[-1:])
        assert fault(*client.events(1))[0] is rpc.FaultCode.DEADLINE_EXCEEDED


def test_a_handler_sees_its_call(kind: Kind) -> None:
    seen: list[tuple[rpc.Context, float | None]] = []

    def look() -> int:
        seen.append((rpc.context(), current_deadline.get()))
        return 1

    with serve(kind, services.Handlers(look=look)) as server, FramedClient(server.port) as client:
        client.call("run", text("look"), milliseconds=20_000)
        client.call("run", text("look"))
        client.call("run", text("look"), metadata={"a": b"b"})
        client.events(3)
        client.call("run", text("look"))
        client.events(1)
        peer = f"127.0.0.1:{client.sock.getsockname()[1]}"
    (timed, deadline), *untimed = seen
    assert timed.deadline == deadline
    assert 0 < (timed.remaining() or 0) <= 21
    assert [(context.deadline, found) for context, found in untimed] == [(None, None)] * 3
    assert [context.metadata for context, _ in seen] == [{}, {}, {"a": b"b"}, {}]
    assert {(c.peer, c.identity, c.certificate, c.cancelled) for c, _ in seen} == {(peer, "", None, False)}


def test_a_plain_call_has_a_context_too(kind: Kind) -> None:
    seen: list[tuple[rpc.Context, float | None]] = []

    def look() -> int:
        context = rpc.context()
        seen.append((context, current_deadline.get()))
        assert context.reply_metadata == {}
        context.reply_metadata["lost"] = b"x"
        return 1

    with (
        rpc.deadline(20),
        serve(kind, services.Handlers(look=look)) as server,
        raw.connection(server.port) as sock,
    ):
        for _ in range(3):
            sock.sendall(services.RunProtocol().args_encode("look"))
            assert raw.exactly(sock, 5) == number(1)
        peer = f"127.0.0.1:{sock.getsockname()[1]}"
    assert {(c.peer, c.deadline, found) for c, found in seen} == {(peer, None, None)}
    with pytest.raises(LookupError):
        rpc.context()


def test_a_handler_s_own_end_is_the_call_s(kind: Kind) -> None:
    def late() -> typing.NoReturn:
        until(lambda: rpc.context().remaining() == 0)
        raise rpc.DeadlineExceeded("of what it called")

    def early() -> typing.NoReturn:
        raise rpc.DeadlineExceeded("of what it called")

    handlers = services.Handlers(late=late, early=early)
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        client.call("run", text("late"), milliseconds=5)
        assert fault(*client.events(1))[0] is rpc.FaultCode.DEADLINE_EXCEEDED
        client.call("run", text("early"), milliseconds=20_000)
        assert fault(*client.events(1))[0] is rpc.FaultCode.INTERNAL


# Clients that go


def test_a_client_that_goes_cancels_its_calls(handlers: services.Handlers) -> None:
    seen: list[rpc.Context] = []
    entered = threading.Semaphore(0)

    def look() -> int:
        context = rpc.context()
        seen.append(context)
        entered.release()
        until(lambda: context.cancelled)
        return 1

    handlers.actions["look"] = look
    with threaded(handlers) as server:
        with FramedClient(server.port) as client:
            for _ in range(3):
                client.call("run", text("look"))
            client.flush()
            for _ in range(3):
                assert entered.acquire(timeout=PATIENCE)
        until(lambda: all(context.cancelled for context in seen))
        with FramedClient(server.port) as client:
            client.call("divide", BLOCK)
            assert client.events(1)[0][2] == RETURNED
        assert server._loop is not None
        until(lambda: server._loop._hands.load == 0)  # type: ignore[union-attr]


def test_calls_that_want_no_reply_outlive_their_client(handlers: services.Handlers) -> None:
    with threaded(handlers, max_workers=1) as server:
        with FramedClient(server.port) as client:
            client.call("wait", number(1))
            for line in "abc":
                client.call("log", text(line), no_reply=True)
            client.flush()
            assert handlers.entered.acquire(timeout=PATIENCE)
        until(lambda: not server._loop._hands.connections)  # type: ignore[union-attr]
        handlers.go_on.set()
        for _ in range(3):
            assert handlers.logged.acquire(timeout=PATIENCE)
    assert handlers.lines == ["a", "b", "c"]


# Metadata


def test_metadata_goes_both_ways(kind: Kind) -> None:
    def reply() -> int:
        context = rpc.context()
        context.reply_metadata.update(context.metadata)
        return 1

    def fail() -> typing.NoReturn:
        rpc.context().reply_metadata["why"] = b"because"
        raise services.InvalidOperation("no")

    def much() -> int:
        rpc.context().reply_metadata["much"] = bytes(100_000)
        return 1

    handlers = services.Handlers(reply=reply, fail=fail, much=much, none=lambda: 1)
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        client.call("run", text("reply"), metadata={"a": b"1"})
        client.call("run", text("none"))
        client.call("run", text("fail"))
        client.call("run", text("none"), metadata={"a": b"1"})
        client.call("run", text("much"))
        client.call("run", text("none"))
        found = [event[3] for event in client.events(6)]
        assert found == [{"a": b"1"}, None, {"why": b"because"}, None, None, None]
        for what, expected in (("fail", {"why": b"because"}), ("none", None)) * 2:
            client.call("run", text(what))
            assert client.events(1)[0][3] == expected


# Back pressure


def test_a_client_that_does_not_read_is_not_received_from(kind: Kind, handlers: services.Handlers) -> None:
    size = 100_000
    block = b"\1" + size.to_bytes(4, "big") + bytes(size)
    with (
        serve(kind, handlers, limits=rpc.Limits(receive_time=60)) as server,
        FramedClient(server.port, room=4096) as client,
    ):
        client.greet()
        sent = client.call("echo", block)
        client.flush()
        client.sock.settimeout(0.5)
        try:
            for _ in range(1000):
                client.call("echo", block)
                for piece in client.session.data_to_send():
                    client.sock.sendall(piece)
                sent += 1
        except TimeoutError:
            pass
        assert sent * size < 40_000_000, "the server receives what it cannot answer"


def test_more_calls_than_run_are_not_received(
    handlers: services.Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 50_000
    with threaded(handlers, max_workers=1) as server, FramedClient(server.port) as client:
        client.greet()
        client.call("wait", number(1))
        client.flush()
        assert handlers.entered.acquire(timeout=PATIENCE)
        client.sock.settimeout(0.5)
        sent = 0
        block = b"\1" + size.to_bytes(4, "big") + bytes(size)
        data = b"".join(framed.frame(1, 0, i, framed.call("echo", block)) for i in range(2, 600))
        try:
            while sent < len(data):
                sent += client.sock.send(data[sent : sent + 65536])
        except TimeoutError:
            pass
        assert sent < len(data)
        handlers.go_on.set()
        client.sock.settimeout(PATIENCE)
        received = threading.Thread(target=raw.exactly, args=(client.sock, 15 + 598 * (size + 15)))
        received.start()
        client.sock.sendall(data[sent:])
        received.join(PATIENCE)
        assert not received.is_alive()


def test_calls_beyond_the_limit_are_refused(handlers: services.Handlers) -> None:
    with (
        threaded(handlers, max_workers=1, max_calls=3) as server,
        FramedClient(server.port) as client,
        raw.connection(server.port) as plain,
        FramedClient(server.port) as other,
    ):
        plain.sendall(raw.CALL)
        assert raw.exactly(plain, 5) == RETURNED
        other.greet()
        client.greet()
        client.call("wait", number(1))
        client.flush()
        assert handlers.entered.acquire(timeout=PATIENCE)
        until(lambda: server._loop._hands.load == 1)  # type: ignore[union-attr]
        calls = [client.call("divide", BLOCK) for _ in range(5)]
        refused = client.events(3)
        assert {event[1] for event in refused} == set(calls[2:])
        assert {fault(event) for event in refused} == {
            (rpc.FaultCode.UNAVAILABLE, "the server is busy; the call was not started")
        }
        plain.sendall(raw.CALL)
        assert raw.fault(plain) == "UNAVAILABLE: the server is busy; the call was not started"
        other.call("divide", BLOCK)
        assert fault(*other.events(1))[0] is rpc.FaultCode.UNAVAILABLE
        other.session.ping()
        assert other.events(1)[0][0] == PONG
        handlers.go_on.set()
        assert len(client.events(3)) == 3
        until(lambda: server._loop._hands.load == 0)  # type: ignore[union-attr]
        other.call("divide", BLOCK)
        assert other.events(1)[0][2] == RETURNED
        plain.sendall(raw.CALL)
        assert raw.exactly(plain, 5) == RETURNED


def test_connections_beyond_the_limit_are_told_so(handlers: services.Handlers) -> None:
    with (
        threaded(handlers, limits=rpc.Limits(connections=1)) as server,
        FramedClient(server.port) as first,
        FramedClient(server.port) as second,
    ):
        first.call("divide", BLOCK)
        assert first.events(1)[0][2] == RETURNED
        call = second.call("divide", BLOCK)
        events: list[typing.Any] = []
        while not events or events[-1][0] != ENDED:
            events += second.events(1)
        assert [(event[0], event[3]) for event in events] in (
            [(ENDED, [call])],
            [(GOAWAY, [call]), (ENDED, [])],
        ), "certainly not started"


def test_a_half_sent_frame_has_its_time(kind: Kind, handlers: services.Handlers) -> None:
    with (
        serve(kind, handlers, limits=rpc.Limits(receive_time=0.1)) as server,
        FramedClient(server.port) as client,
    ):
        client.greet()
        client.sock.sendall(framed.frame(1, 0, 1, framed.call("divide", BLOCK))[:-1])
        (event,) = client.events(1)
        assert event[0] == ENDED
        assert "it took over 0.1 s to send a call" in str(event[1])


def test_an_idle_client_is_taken_leave_of(kind: Kind, handlers: services.Handlers) -> None:
    with (
        serve(kind, handlers, limits=rpc.Limits(idle_time=0.1)) as server,
        FramedClient(server.port) as client,
    ):
        client.call("divide", BLOCK)
        assert client.events(1)[0][2] == RETURNED
        assert client.events(1)[0][0] == GOAWAY
        assert client.sock.recv(10) == b""


# The end


def test_calls_that_have_come_are_answered_others_are_told(kind: Kind, handlers: services.Handlers) -> None:
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        first = client.call("wait", number(1))
        second = client.call("divide", BLOCK)
        client.flush()
        assert handlers.entered.acquire(timeout=PATIENCE)
        ended = threading.Thread(target=server.shutdown, args=(30,))
        ended.start()
        events: list[typing.Any] = []
        if kind is services.ThreadServer:
            events = client.events(2)
            assert (REPLY, second, RETURNED, None) in events
            assert [(event[0], event[1], event[3]) for event in events if event[0] == GOAWAY] == [
                (GOAWAY, second, [])
            ]
            third = framed.frame(1, 0, 3, framed.call("divide", BLOCK))
            client.sock.sendall(third)
        handlers.go_on.set()
        events += client.events(3 - len(events))
        assert (REPLY, first, number(1), None) in events
        assert {event[0] for event in events} == {REPLY, GOAWAY}
        assert raw.to_the_end(client.sock) == b""
        ended.join(PATIENCE)
        assert not ended.is_alive()


def test_idle_clients_are_told_that_the_server_leaves(kind: Kind, handlers: services.Handlers) -> None:
    with serve(kind, handlers) as server, FramedClient(server.port) as client:
        client.call("divide", BLOCK)
        assert client.events(1)[0][2] == RETURNED
        assert server.shutdown(30) is True
        (event,) = client.events(1)
        assert event[:3] == (GOAWAY, 1, "the server is closing")
        assert client.sock.recv(10) == b""


def test_a_handler_may_shut_its_server_down(handlers: services.Handlers) -> None:
    holder: list[rpc.Server] = []

    def stop() -> int:
        return int(holder[0].shutdown(30))

    handlers.actions["stop"] = stop
    with threaded(handlers) as server, FramedClient(server.port) as client:
        holder.append(server)
        call = client.call("run", text("stop"))
        events = client.events(2)
        assert (REPLY, call, number(1), None) in events
        assert GOAWAY in {event[0] for event in events}


def test_calls_that_do_not_end_in_time_are_cut_short(handlers: services.Handlers) -> None:
    seen: list[rpc.Context] = []

    def look() -> int:
        seen.append(rpc.context())
        return handlers.wait(1)

    handlers.actions["look"] = look
    with threaded(handlers) as server, FramedClient(server.port) as client:
        client.call("run", text("look"))
        client.flush()
        assert handlers.entered.acquire(timeout=PATIENCE)
        assert server.shutdown(0.1) is False
        until(lambda: seen[0].cancelled)
        raw.to_the_end(client.sock)
        handlers.go_on.set()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_many_clients_that_break_off_leave_nothing(handlers: services.Handlers, how: str) -> None:
    def nap() -> int:
        time.sleep(0.02)
        return 1

    handlers.actions["nap"] = nap
    with threaded(handlers, max_workers=4) as server:
        for index in range(40):
            with FramedClient(server.port) as client:
                for _ in range(index % 5):
                    client.call("run", text("nap"))
                    client.call("divide", BLOCK)
                client.flush()
                if index % 3 == 0:
                    client.events(index % 5)
                if how == "reset":
                    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0] + [0] * 4))
        until(lambda: not server._loop._hands.connections and not server._loop._hands.load)  # type: ignore[union-attr]
