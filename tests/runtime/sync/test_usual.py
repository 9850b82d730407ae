"""Usual calls in C end as the same calls do through the channel's Python; what is not usual is left to that."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import gc
import signal
import socket
import sys
import threading
import typing
import weakref

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.sync import turns
from rpcgen.runtime.sync.client import channel as channel_module, pool as pool_module
from rpcgen.runtime.wire import frames
from tests.support import peers, services
from tests.support.services import InvalidOperation
from tests.support.speech import FRAMED, PLAIN, RETURNED, Speech

if turns.calls is None:
    pytest.skip("the turns are not built in C, or not to be used", allow_module_level=True)

WAYS = ("in C", "in Python")
RAISED = b"\2\0\0\0\2no"


@pytest.fixture(params=[PLAIN, FRAMED], ids=repr)
def speech(request: pytest.FixtureRequest) -> Speech:
    return typing.cast(Speech, request.param)


@pytest.fixture(autouse=True)
def trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is: a connection was used a moment ago."""
    monkeypatch.setattr(channel_module, "TRUSTED", 1e9)


class Watched(rpc.Channel):
    """Counts the calls that C leaves to Python.

    Args:
        way: One of ``WAYS``.
    """

    def __init__(self, port: int, way: str, **options: typing.Any) -> None:
        super().__init__("127.0.0.1", port, **options)
        self.unsent = self.sent = 0
        if way == "in Python":
            self._usual = None

    def _call(self, *args: typing.Any) -> typing.Any:
        if args[-1] is None:
            self.unsent += 1
        else:
            self.sent += 1
        return super()._call(*args)


class Ended(typing.NamedTuple):
    """What a call has come to: its result, or its error's type, words and notes; and the connections then."""

    result: object
    error: str
    open: int
    idle: int


def ended(channel: rpc.Channel, call: typing.Callable[[], object]) -> Ended:
    result, error = None, ""
    try:
        result = call()
    except Exception as raised:
        peer, notes = str(channel.address), getattr(raised, "__notes__", [])
        error = f"{type(raised).__name__}: {raised} {notes}".replace(peer, "there")
    return Ended(result, error, len(channel._open), len(channel._idle))


def warm_up(sock: socket.socket, speech: Speech) -> None:
    """Answers two calls: before the second one, a framed connection may wait for HELLO's time still."""
    peers.answering(speech.opening + speech.reply())(sock)
    peers.answering(speech.reply(call_id=2))(sock)


def replying(speech: Speech, *pieces: bytes, keeps: bool = True) -> typing.Callable[[socket.socket], object]:
    """Answers two calls, then sends the pieces at the next one."""

    def behave(sock: socket.socket) -> None:
        warm_up(sock, speech)
        peers.answering(*pieces)(sock)
        while keeps and sock.recv(65536):
            pass

    return behave


def both(
    speech: Speech, *pieces: bytes, keeps: bool = True, timeout: float | None = None
) -> tuple[Ended, Watched]:
    """Gives what a third call comes to, which is the same in both ways, and the channel that has made it in C."""
    seen = []
    for way in WAYS:
        again = replying(speech, speech.reply())
        with (
            peers.server(replying(speech, *pieces, keeps=keeps), again) as port,
            Watched(port, way, **speech.options) as channel,
        ):
            stub = services.ClientStub(channel)
            assert [stub.divide(1), stub.divide(1)] == [2.0, 2.0]
            channel.unsent = 0
            third = rpc.with_options(stub, timeout=timeout)
            seen.append((ended(channel, lambda: third.divide(1)), channel))  # noqa: B023
    assert seen[0][0] == seen[1][0]
    return seen[0]


def reply(speech: Speech, content: bytes, call_id: int = 3) -> bytes:
    return speech.reply(content, call_id)


def test_usual_replies_stay_in_c(speech: Speech) -> None:
    found, channel = both(speech, reply(speech, RETURNED))
    assert (found, channel.unsent, channel.sent) == (Ended(2.0, "", 1, 1), 0, 0)
    found, channel = both(speech, reply(speech, RAISED))
    assert found == Ended(None, "InvalidOperation: no ['raised by divide at there']", 1, 1)
    assert (channel.unsent, channel.sent) == (0, 0)


def odd_replies(speech: Speech) -> dict[str, tuple[bytes, ...]]:
    """Gives what a server may send instead of a usual reply."""
    usual = reply(speech, RETURNED)
    replies = {
        "a fault": (speech.fault(rpc.FaultCode.RESOURCE_EXHAUSTED, "later", 3),),
        "no time": (speech.fault(rpc.FaultCode.DEADLINE_EXCEEDED, "slow", 3),),
        "unavailable": (speech.fault(rpc.FaultCode.UNAVAILABLE, "full", 3),),
        "no kind": (reply(speech, b"\x09\0\0\0\0"),),
        "no value": (reply(speech, b"\1"),),
        "no float": (reply(speech, b"\1\x40\0"),),
        "no text": (reply(speech, b"\2\0\0\0\1\xff"),),
        "more than a value": (reply(speech, RETURNED + b"more"),),
        "in two parts": (usual[:3], usual[3:]),
        "two at once": (usual + usual,),
        "half of one": (usual[:4],),
        "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        "TLS": (b"\x15\3\3\0\2\2\x28",),
    }
    if speech.is_framed:
        goaway = frames.encode_goaway(0, "leaving")
        replies |= {
            "another call's": (reply(speech, RETURNED, 7),),
            "one that had its reply": (reply(speech, RETURNED, 2), usual),
            "a fault for all": (speech.fault(rpc.FaultCode.UNAVAILABLE, "full", 0),),
            "flags": (usual[:5] + b"\x80" + usual[6:],),
            "a goaway": (
                frames.pack_head(len(goaway) + frames.OVERHEAD, frames.GOAWAY << 8, 0) + goaway,
                usual,
            ),
            "an empty frame": (frames.pack_head(frames.OVERHEAD, frames.REPLY << 8, 3),),
        }
    return replies


ODD = sorted(odd_replies(FRAMED))


@pytest.mark.parametrize("keeps", [True, False], ids=["goes on", "ends"])
@pytest.mark.parametrize("name", ODD)
def test_what_is_no_usual_reply(speech: Speech, name: str, keeps: bool) -> None:
    pieces = odd_replies(speech).get(name)
    if pieces is None:
        pytest.skip("plain messages have none such")
    found, channel = both(speech, *pieces, keeps=keeps, timeout=1.0)
    assert found.result in (None, 2.0)
    assert channel.unsent + channel.sent >= 1


def test_the_end_instead_of_a_reply(speech: Speech) -> None:
    found, channel = both(speech, keeps=False)
    assert found.error.startswith("ConnectionLost: divide at there: ")
    assert (found.open, found.idle, channel.unsent, channel.sent) == (0, 0, 0, 1)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_reply(speech: Speech, data: st.DataObject) -> None:
    content = bytearray(reply(speech, data.draw(st.sampled_from([RETURNED, RAISED]))))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    both(speech, bytes(content[:cut]), bytes(content[cut:]), keeps=False)


def test_no_reply_in_time(speech: Speech) -> None:
    found, channel = both(speech, timeout=0.05)
    assert found.error.startswith("DeadlineExceeded: divide at there: no reply within the call's time")
    assert channel.unsent == 1  # whose time the socket did not have yet


def test_no_reply_in_time_again(speech: Speech) -> None:
    seen = []
    for way in WAYS:

        def behave(sock: socket.socket) -> None:
            warm_up(sock, speech)
            while sock.recv(65536):
                pass

        with peers.server(behave) as port, Watched(port, way, **speech.options) as channel:
            stub = rpc.with_options(services.ClientStub(channel), timeout=0.2)
            assert [stub.divide(1), stub.divide(1)] == [2.0, 2.0]
            seen.append(ended(channel, lambda: stub.divide(1)))  # noqa: B023
            if way == "in C":
                assert channel.sent == 1
    assert seen[0] == seen[1]
    assert seen[0].error.startswith("DeadlineExceeded")


@pytest.mark.parametrize("way", WAYS)
def test_deadlines_are_those_of_the_call(speech: Speech, server: services.ThreadServer, way: str) -> None:
    with Watched(server.port, way, timeout=30.0, **speech.options) as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        with rpc.deadline(20):
            assert stub.divide(3) == 3.0
            assert rpc.with_options(stub, timeout=10).divide(4) == 4.0
        assert contextvars.Context().run(stub.divide, 5) == 5.0
        with rpc.deadline(0.001):
            threading.Event().wait(0.01)
            found = ended(channel, lambda: stub.divide(6))
        assert found.error.startswith("DeadlineExceeded: divide at there: the time was up before the call")
        assert (found.open, found.idle) == (1, 1)


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_argument_is_not_sent(speech: Speech, server: services.ThreadServer, way: str) -> None:
    with Watched(server.port, way, **speech.options) as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        for wrong in (2**31, "one", None):
            found = ended(channel, lambda: stub.divide(wrong))  # type: ignore[arg-type]  # noqa: B023
            assert found.error.startswith("EncodeError: divide at there: "), found
            assert (found.open, found.idle) == (1, 1)
        assert stub.divide(8, 2) == 4.0


@pytest.mark.parametrize("way", WAYS)
def test_a_call_inside_the_encoding_of_a_call(
    speech: Speech, server: services.ThreadServer, way: str
) -> None:
    with Watched(server.port, way, **speech.options) as channel:
        stub = services.ClientStub(channel)

        class Asked:
            """A number that nobody knows before it has been asked for."""

            def __index__(self) -> int:
                return int(stub.divide(8, 2))

        stub.divide(1)
        assert stub.divide(typing.cast(int, Asked()), 2) == 2.0
        assert len(channel._open) == len(channel._idle) <= 2


@pytest.mark.parametrize("size", [0, 5_000, 70_000, 1 << 20])
@pytest.mark.parametrize("way", WAYS)
def test_values_of_any_length(speech: Speech, server: services.ThreadServer, way: str, size: int) -> None:
    data = bytes(range(256)) * (size // 256)
    with Watched(server.port, way, **speech.options) as channel:
        stub = services.ClientStub(channel)
        for _ in range(5):
            assert stub.echo(data) == data
        assert (len(channel._open), len(channel._idle)) == (1, 1)
        if way == "in C" and (speech.is_framed or size < 4096):
            assert channel.unsent <= 2


def test_channels_that_have_to_look_at_each_call_do(server: services.ThreadServer) -> None:
    options: list[dict[str, typing.Any]] = [
        {"max_connections": 2},
        {"multiplex": True},
        {"interceptors": [lambda call: contextlib.nullcontext()]},
    ]
    for each in options:
        with rpc.Channel("127.0.0.1", server.port, **each) as channel:
            assert channel._usual is None
            assert services.ClientStub(channel).divide(4, 2) == 2.0


def test_a_connection_that_was_not_used_for_a_moment_is_looked_at(
    speech: Speech, server: services.ThreadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "TRUSTED", -1.0)
    with Watched(server.port, "in C", **speech.options) as channel:
        stub = services.ClientStub(channel)
        for _ in range(3):
            stub.divide(1)
        assert (channel.unsent, channel.sent) == (3, 0)


def test_old_connections_are_let_go(
    speech: Speech, server: services.ThreadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Watched(server.port, "in C", **speech.options) as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        (old,) = channel._open
        taken = channel._idle.pop()
        stub.divide(1)
        channel._idle.insert(0, taken)
        old.used -= pool_module.IDLE_TIME + 1
        stub.divide(1)
        assert old.is_closed
        assert channel._open == set(channel._idle) != {old}
        assert channel.unsent == 2


def test_a_channel_that_is_closed_during_a_call(
    speech: Speech, server: services.ThreadServer, handlers: services.Handlers
) -> None:
    with Watched(server.port, "in C", **speech.options) as channel:
        stub = services.ClientStub(channel)
        handlers.go_on.set()
        stub.wait(1)
        handlers.go_on.clear()
        failures: list[BaseException] = []

        def call() -> None:
            try:
                stub.wait(2)
            except rpc.RpcError as error:
                failures.append(error)

        assert handlers.entered.acquire(timeout=10)
        thread = threading.Thread(target=call)
        thread.start()
        assert handlers.entered.acquire(timeout=10)
        channel.close()
        thread.join(10)
        assert isinstance(failures[0], rpc.Cancelled)
        assert channel.sent == 1
        assert not channel._open
        with pytest.raises(rpc.Unavailable, match="the channel is closed"):
            stub.divide(1)


def test_a_signal_whose_handler_raises_leaves_nothing_behind(
    speech: Speech, server: services.ThreadServer, handlers: services.Handlers
) -> None:
    with Watched(server.port, "in C", **speech.options) as channel:
        stub = services.ClientStub(channel)
        handlers.go_on.set()
        stub.wait(1)
        handlers.go_on.clear()

        def handle(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, handle)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                stub.wait(2)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert not channel._open
        handlers.go_on.set()
        assert stub.divide(4, 2) == 2.0


def test_nothing_that_was_raised_waits_for_the_collector(
    speech: Speech, server: services.ThreadServer
) -> None:
    gc.disable()
    try:
        with Watched(server.port, "in C", **speech.options) as channel:
            stub = services.ClientStub(channel)
            seen = []
            for _ in range(3):
                try:
                    stub.divide(1, 0)
                except InvalidOperation as error:
                    seen.append(weakref.ref(error))
            assert [found() for found in seen] == [None] * 3
            assert (channel.unsent, channel.sent) == (1, 0)
            alive = weakref.ref(channel)
        del stub, channel
        assert alive() is None
    finally:
        gc.enable()


def test_an_exception_in_an_exception_has_its_context(speech: Speech, server: services.ThreadServer) -> None:
    with Watched(server.port, "in C", **speech.options) as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        outer = ValueError("outer")
        try:
            raise outer
        except ValueError:
            with pytest.raises(InvalidOperation) as caught:
                stub.divide(1, 0)
        assert caught.value.__context__ is outer


def test_round_trips_keep_no_memory(speech: Speech, server: services.ThreadServer) -> None:
    with Watched(server.port, "in C", **speech.options) as channel:
        stub = services.ClientStub(channel)

        def work() -> None:
            for _ in range(300):
                stub.divide(4, 2)
                ended(channel, lambda: stub.divide(1, 0))
                ended(channel, lambda: stub.divide(2**40))

        work()
        gc.collect()
        before = sys.getallocatedblocks()
        work()
        gc.collect()
        assert sys.getallocatedblocks() - before < 200


CALLS: dict[str, typing.Any] = {
    "routes": {},
    "idle": [],
    "limits": rpc.Limits(),
    "undecided": None,
    "deadline": contextvars.ContextVar("deadline", default=None),
    "forks": [0],
    "trusted": 1.0,
    "kept": 1.0,
    "is_framed": True,
}


@pytest.mark.parametrize(
    "wrong",
    [{"routes": []}, {"idle": ()}, {"deadline": None}, {"forks": []}, {"forks": None}, {"trusted": "long"}],
    ids=str,
)
def test_arguments_that_make_no_calls(wrong: dict[str, typing.Any]) -> None:
    assert turns.calls is not None
    with pytest.raises((TypeError, ValueError)):
        turns.calls(**CALLS | wrong)


class Left:
    """A channel that is left everything."""

    def _call(self, *args: object) -> tuple[object, ...]:
        return args


ROUTE = (bytes, bytes, None, "")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({}, id="no route"),
        pytest.param({"routes": {"divide": 1}}, id="no tuple"),
        pytest.param({"routes": {"divide": (1, 2, 3)}}, id="a short one"),
        pytest.param({"routes": {"divide": ROUTE}}, id="no connection"),
        pytest.param(
            {"routes": {"divide": (bytes, bytes, "soon", "")}, "idle": [turns.Line()]}, id="no seconds"
        ),
        pytest.param({"routes": {"divide": ROUTE}, "idle": [object()]}, id="what is no connection"),
        pytest.param({"routes": {"divide": ROUTE}, "idle": [turns.Line()]}, id="one that takes nothing"),
        pytest.param(
            {"routes": {"divide": ROUTE}, "deadline": contextvars.ContextVar("unset")}, id="no deadline known"
        ),
    ],
)
def test_what_is_not_known_is_left_to_the_channel(changed: dict[str, typing.Any]) -> None:
    assert turns.calls is not None
    made = turns.calls(**CALLS | changed)
    call = functools.partial(made, typing.cast(rpc.Channel, Left()), typing.cast(typing.Any, "divide"))
    assert call((1,), None) == ("divide", (1,), None, None, None, None)
    with pytest.raises(TypeError):
        made("too", "few")  # type: ignore[call-arg, arg-type]
