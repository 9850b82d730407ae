"""The short ways of sessions in C beside those in Python: the same bytes, events and errors, whatever happens."""

from __future__ import annotations

import collections.abc
import gc
import importlib
import sys
import types
import typing
import weakref

import pytest
from hypothesis import given, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire import client, server
from rpcgen.runtime.wire.choice import NAME
from rpcgen.runtime.wire.hello import Terms
from tests.support.framed import (
    HELLO,
    call,
    codec_kind,  # noqa: F401
    frame,
    in_pieces,
    opened_pair,
    plain,
    sent,
    text,
)

_codec = pytest.importorskip("rpcgen.runtime.wire._codec")

CHANGED = ("choice", "flow", "reader", "session", "client", "server")
"""Modules that are others where the codec in C is not used."""


def without_c() -> tuple[types.ModuleType, types.ModuleType]:
    """Gives the modules of the two ends as they are without a compiler, beside those in use."""
    package = importlib.import_module("rpcgen.runtime.wire")
    names = {f"rpcgen.runtime.wire.{name}": name for name in CHANGED}
    kept = {name: importlib.import_module(name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(NAME, "python")
        for name in names:
            del sys.modules[name]
        made = [importlib.import_module(f"rpcgen.runtime.wire.{name}") for name in ("client", "server")]
    for name, module in kept.items():
        sys.modules[name] = module
        setattr(package, names[name], module)
    return made[0], made[1]


READABLE_CLIENT, READABLE_SERVER = without_c()

Step: typing.TypeAlias = "collections.abc.Callable[[Talk], object]"


class Talk:
    """A client and a server, and what is on its way between them."""

    def __init__(self, client: types.ModuleType, server: types.ModuleType, calls: int, message: int) -> None:
        limits = rpc.Limits(message=message)
        self.client = client.ClientSession(Terms(limits))
        self.server = server.ServerSession(Terms(limits, calls=calls))
        self.pipes = {self.client: b"", self.server: b""}
        self.sent = 0

    def does(self, step: Step) -> object:
        """Gives what comes of a step, and what can be seen of both ends afterwards."""
        try:
            outcome = step(self)
        except Exception as error:
            outcome = (type(error).__name__, str(error))
        for end in (self.client, self.server):
            self.pipes[end] += sent(end)
        ends = [(end.state, end.running, end._last, end.unsent) for end in (self.client, self.server)]
        return (
            outcome,
            ends,
            dict(zip("cs", self.pipes.values(), strict=True)),
            [
                (call_id, caller if isinstance(caller, int) else "gone")
                for call_id, caller in self.client._calls.items()
            ],
        )

    def send(self, name: str, block: typing.Any, milliseconds: typing.Any, rest: typing.Any) -> object:
        self.sent += 1
        return self.client.send_call(name, block, milliseconds, caller=self.sent, **rest)

    def deliver(self, to_server: bool, size: int, cuts: list[int], into: bool) -> object:
        source, target = (self.client, self.server) if to_server else (self.server, self.client)
        data, self.pipes[source] = self.pipes[source][:size], self.pipes[source][size:]
        return plain(in_pieces(target, data, [cut % (len(data) + 1) for cut in cuts], into=into))


SIZES = st.sampled_from([0, 1, 2, 9, 60, 300, 4_000, 32_000, 33_000, 70_000])
NAMES = st.sampled_from(
    ["divide", "f", "", "größe", "Log.write", "n" * 255, "n" * 256, "ü" * 127 + "x", "\ud800"]
)
BLOCKS = st.tuples(st.sampled_from([bytes, bytearray, memoryview]), SIZES).map(
    lambda made: made[0](b"\x01" * made[1])
)
MILLISECONDS = st.sampled_from([0, 0, 1, 250, 2**32 - 1, 2**32, -1, 2**70, True, 1.5, "1", None])
METADATA = st.sampled_from([None, None, None, {}, {"key": b"value"}, {"key": 5}, {"k": bytes(70_000)}])
REST: st.SearchStrategy[dict[str, typing.Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"metadata": METADATA}),
    st.fixed_dictionaries({"metadata": METADATA, "no_reply": st.sampled_from([False, True, 0, 1])}),
)
IDS = st.one_of(st.integers(1, 12), st.sampled_from([0, -1, 2**32, 2**70, True, 1.0, "1", None]))
REPLIES = st.one_of(BLOCKS, BLOCKS, st.sampled_from([b"", b"\0", b"\0\0\0\0\x05WRONG", b"\x02\0\0\0\0"]))
DAMAGE = st.one_of(
    st.binary(max_size=30),
    st.builds(
        frame,
        st.sampled_from([1, 2, 3, 4, 5, 7, 9, 0x80]),
        st.sampled_from([0, 0, 0, 1, 2, 4, 8]),
        st.integers(0, 12),
        st.one_of(
            st.binary(max_size=40),
            st.builds(call, st.sampled_from(["f", "divide"]), st.binary(max_size=9), st.integers(0, 9)),
            st.just(b"\x02\xc3\x28\0\0\0\0"),
            st.just(b"\x01" + text("reply")),
        ),
    ),
)
CALLS: st.SearchStrategy[Step] = st.builds(
    lambda *given: lambda talk: talk.send(*given), NAMES, BLOCKS, MILLISECONDS, REST
)
ANSWERS: st.SearchStrategy[Step] = st.builds(
    lambda call_id, reply, metadata: lambda talk: talk.server.send_reply(call_id, reply, metadata),
    *(IDS, REPLIES, METADATA),
)
MOVES: st.SearchStrategy[Step] = st.builds(
    lambda *given: lambda talk: talk.deliver(*given),
    *(
        st.booleans(),
        st.sampled_from([1, 7, 50, 1_000, 10**6, 10**6]),
        st.lists(st.integers(0, 10**5), max_size=4),
    ),
    st.booleans(),
)
RARE: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda call_id: lambda talk: talk.client.cancel(call_id), st.integers(0, 12)),
    st.builds(lambda last: lambda talk: plain(talk.server.goaway("why", last=last)), st.integers(0, 5)),
    st.just(lambda talk: talk.client.goaway()),
    st.builds(
        lambda data: lambda talk: talk.pipes.__setitem__(talk.client, talk.pipes[talk.client] + data), DAMAGE
    ),
    st.builds(
        lambda data: lambda talk: talk.pipes.__setitem__(talk.server, talk.pipes[talk.server] + data), DAMAGE
    ),
)
STEPS = st.lists(st.one_of(CALLS, CALLS, ANSWERS, ANSWERS, MOVES, MOVES, MOVES, RARE), max_size=30)


@given(STEPS, st.sampled_from([1, 3, 10_000]), st.sampled_from([20_000, 2**24]))
def test_both_do_the_same(steps: list[Step], calls: int, message: int) -> None:
    talks = [
        Talk(*modules, calls, message) for modules in ((client, server), (READABLE_CLIENT, READABLE_SERVER))
    ]
    for number, step in enumerate(steps):
        one, other = (talk.does(step) for talk in talks)
        assert one == other, number


@given(
    st.lists(
        st.builds(
            lambda call_id, name, size, late: (call_id, call(name, bytes(size), late)),
            st.integers(1, 40),
            st.sampled_from(["divide", "divide", "echo", "größe"]),
            SIZES,
            st.sampled_from([0, 500]),
        ),
        max_size=30,
    ),
    st.lists(st.integers(0, 10**5), max_size=9),
)
def test_both_take_the_same_stream(calls: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(
        frame(1, 0, call_id, payload) for call_id, payload in sorted(calls, key=lambda one: one[0])
    )
    cuts = [cut % (len(stream) + 1) for cut in cuts]
    events = []
    for modules in ((client, server), (READABLE_CLIENT, READABLE_SERVER)):
        end = modules[1].ServerSession()
        end.receive(sent(modules[0].ClientSession()))
        sent(end)
        events.append((plain(in_pieces(end, stream, cuts)), sent(end)))
    assert events[0] == events[1]


def test_those_in_use_are_in_c_and_the_others_are_not() -> None:
    if client.ClientSession.__mro__[1].__module__ != _codec.__name__:
        pytest.skip("the environment asks for Python")
    assert issubclass(server.ServerSession, _codec.ServerFlow)
    assert not issubclass(READABLE_CLIENT.ClientSession, _codec.Flow)


class TestInC:
    def test_wrong_arguments_are_refused(self) -> None:
        talk = Talk(client, server, 10, 2**24)
        end: typing.Any = talk.client
        answer: typing.Any = talk.server.send_reply
        all_wrong: list[collections.abc.Callable[[], object]] = [
            lambda: end.send_call("f"),
            lambda: end.send_call("f", b"", 0, None, False),
            lambda: end.send_call("f", b"", name="g"),
            lambda: end.send_call("f", b"", nothing=1),
            lambda: end.send_call("f", None),
            lambda: answer(1),
            lambda: answer(1, b"\1", data=5),
            lambda: answer(1, b"\1", None, None),
        ]
        for wrong in all_wrong:
            with pytest.raises(TypeError):
                wrong()

    def test_loops_judge_what_they_are_given(self) -> None:
        taker, other = opened_pair()
        if not isinstance(taker, _codec.Flow):
            pytest.skip("the environment asks for Python")
        take: typing.Any = taker._take_replies
        calls: typing.Any = other._take_calls
        bad: tuple[typing.Any, ...]
        for bad in ((), (b"", 0, []), (bytearray(), 0, [], None), (b"", "", [], None), (b"", 0, (), None)):
            with pytest.raises(TypeError):
                take(*bad)
            with pytest.raises(TypeError):
                calls(*bad)
        for place in (-1, 1, 2**70):
            with pytest.raises((ValueError, OverflowError)):
                take(b"", place, [], None)
        with pytest.raises(OverflowError):
            calls(b"", 0, [], 0.0, 0.0, 2**70)
        late = frame(1, 0, 1, call("f", b"", 5))
        with pytest.raises(TypeError):
            calls(late, 0, [], None, None, 9)
        assert other.running == 0

    def test_state_of_a_wrong_kind_does_no_harm(self) -> None:
        taker, other = opened_pair()
        if not isinstance(taker, _codec.Flow):
            pytest.skip("the environment asks for Python")
        for end, name in ((taker, "_calls"), (other, "_running")):
            setattr(end, name, 5)
        with pytest.raises(TypeError):
            taker.receive(frame(2, 0, 1, b"\1"))
        with pytest.raises(TypeError):
            taker.send_call("f", b"")
        with pytest.raises((TypeError, AttributeError)):
            other.receive(frame(1, 0, 1, call("f")))
        with pytest.raises((TypeError, AttributeError)):
            other.send_reply(1, b"\1")

    def test_a_session_that_reaches_itself_is_collected(self) -> None:
        class Caller:
            session: typing.Any

        end = client.ClientSession()
        end.receive(HELLO)
        caller = Caller()
        caller.session = end
        end.send_call("f", b"", caller=caller)
        gone = weakref.ref(caller)
        del caller, end
        gc.collect()
        assert gone() is None
