"""Two sessions talk, at random, over a pipe that delivers in any pieces; a model knows what must hold.

Each call is answered exactly once, unless it was cancelled (then its caller hears nothing), or the
server has said that it was not started (then it was not), or the connection ended.
"""

from __future__ import annotations

import typing

from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rpcgen import runtime as rpc
from rpcgen.runtime.wire.client import ClientSession
from rpcgen.runtime.wire.events import CALL, CANCEL, ENDED, FAULT, GOAWAY, HELLO, PONG, REPLY, Event
from rpcgen.runtime.wire.hello import Terms
from rpcgen.runtime.wire.server import ServerSession
from rpcgen.runtime.wire.session import Session
from rpcgen.runtime.wire.states import State
from tests.support.framed import codec_kind, sent  # noqa: F401

SIZES = st.sampled_from([0, 1, 10, 63, 64, 300, 5_000, 40_000, 70_000])


def block_of(token: int, size: int) -> bytes:
    """Gives bytes that tell which call they belong to; they compress well."""
    return token.to_bytes(4, "big") + bytes([token % 256]) * size


class Talk(RuleBasedStateMachine):
    """Calls are known by tokens, which travel in their blocks and come back in their replies."""

    @initialize(
        client=st.sampled_from([(), ("gzip",)]),
        server=st.sampled_from([(), ("gzip",)]),
        calls=st.sampled_from([2, 10_000]),
        message=st.sampled_from([20_000, 2**24]),
    )
    def open(self, client: tuple[str, ...], server: tuple[str, ...], calls: int, message: int) -> None:
        limits = rpc.Limits(message=message)
        self.client = ClientSession(Terms(limits, compress=client, compress_from=64))
        self.server = ServerSession(Terms(limits, compress=server, compress_from=64, calls=calls))
        self.message = message
        self.now = 0.0
        self.pipes: dict[Session, bytearray] = {self.client: bytearray(), self.server: bytearray()}
        self.ended: dict[Session, bool] = {self.client: False, self.server: False}
        self.ids: dict[int, int] = {}  # token → call id, of calls that want a reply
        self.outcomes: dict[int, list[str]] = {}
        self.cancelled: set[int] = set()
        self.oneway: set[int] = set()
        self.refused: set[int] = set()
        self.come: dict[int, int] = {}  # call id → token, at the server, not started
        self.started: dict[int, int] = {}
        self.ever_started: set[int] = set()
        self.answered: set[int] = set()
        self.promised = 2**32 - 1
        self.token = 0

    # What programs do

    @rule(size=SIZES, oneway=st.booleans(), milliseconds=st.integers(0, 1_000), metadata=st.booleans())
    def call(self, size: int, oneway: bool, milliseconds: int, metadata: bool) -> None:
        self.token += 1
        token, extra = self.token, {"token": str(self.token).encode()} if metadata else None
        try:
            call_id = self.client.send_call(
                f"method{token % 3}",
                block_of(token, size),
                milliseconds,
                extra,
                no_reply=oneway,
                caller=token,
            )
        except rpc.Unavailable:
            assert self.client.state not in (State.GREETING, State.OPEN)
            return
        except rpc.EncodeError:
            assert size + 100 > self.message
            return
        if oneway:
            self.oneway.add(token)
        else:
            self.ids[token] = call_id
            self.outcomes[token] = []

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.ids)))
        if self.client.cancel(self.ids[token]):
            assert not self.outcomes[token]
            self.cancelled.add(token)

    @precondition(lambda self: self.come)
    @rule()
    def start(self) -> None:
        call_id = next(iter(self.come))
        self.started[call_id] = self.come.pop(call_id)
        self.ever_started.add(self.started[call_id])

    @precondition(lambda self: self.started)
    @rule(data=st.data(), size=SIZES, fails=st.booleans(), metadata=st.booleans())
    def answer(self, data: st.DataObject, size: int, fails: bool, metadata: bool) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.started)))
        token = self.started.pop(call_id)
        self.answered.add(call_id)
        extra = {"token": str(token).encode()} if metadata else None
        if fails:
            self.server.send_fault(call_id, rpc.FaultCode.INTERNAL, str(token), {"size": "x" * size}, extra)
        else:
            self.server.send_reply(call_id, b"\x01" + block_of(token, size), extra)

    @rule(end=st.sampled_from(["client", "server"]))
    def ping(self, end: str) -> None:
        self.now += 2
        session = self.client if end == "client" else self.server
        session.ping()

    @precondition(lambda self: self.token > 5)
    @rule(keep=st.integers(0, 5))
    def server_goaway(self, keep: int) -> None:
        if self.server.state in (State.PREFACE, State.GREETING):
            self.take(self.server, self.server.goaway())
            return
        last = min(max([0, *self.started, *self.answered]) + keep, self.promised, self.server._last)
        # What has been answered above an earlier promise cannot be: answers above it are not given.
        self.server.goaway("moving", last)
        if not self.server.is_closed:
            self.promised = last
            self.come = {call_id: token for call_id, token in self.come.items() if call_id <= last}

    @precondition(lambda self: self.token > 15)
    @rule()
    def client_goaway(self) -> None:
        self.client.goaway("done")

    @precondition(lambda self: self.token > 20)
    @rule(end=st.sampled_from(["client", "server"]))
    def break_off(self, end: str) -> None:
        session = self.client if end == "client" else self.server
        self.take(session, session.end(rpc.ConnectionLost("broken")))

    # What the network does

    @rule(
        end=st.sampled_from(["client", "server"]),
        count=st.integers(1, 100_000),
        flush=st.booleans(),
        into=st.booleans(),
    )
    def deliver(self, end: str, count: int, flush: bool, into: bool) -> None:
        sender, receiver = (self.client, self.server) if end == "client" else (self.server, self.client)
        pipe = self.pipes[sender]
        if flush:
            pipe += sent(sender)
        data = bytes(pipe[:count])
        del pipe[:count]
        space = receiver.space()
        if into and space is not None:
            part = data[: len(space)]
            space[: len(part)] = part
            self.take(receiver, receiver.filled(len(part), self.now))
            data = data[len(part) :]
        self.take(receiver, receiver.receive(data, self.now))

    def take(self, session: Session, events: list[Event]) -> None:
        for event in events:
            assert not self.ended[session], "an event after the end"
            if session is self.server:
                self.at_server(event)
            else:
                self.at_client(event)

    def at_server(self, event: Event) -> None:
        if event[0] == CALL:
            _, call_id, name, _, block, metadata, no_reply = event
            token = int.from_bytes(block[:4], "big")
            assert bytes(block) == block_of(token, len(block) - 4)
            assert name == f"method{token % 3}"
            assert metadata in (None, {"token": str(token).encode()})
            assert call_id <= self.promised
            assert no_reply == (token in self.oneway)
            if no_reply:
                self.oneway.remove(token)  # at most once
            else:
                assert self.ids[token] == call_id
                assert token not in self.ever_started
                assert call_id not in self.come
                self.come[call_id] = token
        elif event[0] == CANCEL:
            assert event[1] in self.come or event[1] in self.started
        elif event[0] == ENDED:
            assert sorted(event[2]) == sorted([*self.come, *self.started])
            self.ended[self.server] = True
            self.come.clear()
            self.started.clear()
            assert not isinstance(event[1], rpc.ProtocolError)
        else:
            assert event[0] in (HELLO, PONG, GOAWAY)

    def at_client(self, event: Event) -> None:
        if event[0] == REPLY:
            _, token, reply, metadata = event
            assert bytes(reply[1:5]) == token.to_bytes(4, "big")
            assert metadata in (None, {"token": str(token).encode()})
            self.settle(token, "reply")
        elif event[0] == FAULT:
            _, token, error, _ = event
            if isinstance(error, rpc.RemoteFault) and error.code is rpc.FaultCode.INTERNAL:
                assert error.message == str(token)
            elif isinstance(error, rpc.RemoteFault) and error.code is rpc.FaultCode.UNAVAILABLE:
                self.refused.add(token)
            self.settle(token, "fault")
        elif event[0] == GOAWAY:
            for token in event[3]:
                self.refused.add(token)
                self.settle(token, "not started")
        elif event[0] == ENDED:
            for token in event[2]:
                self.settle(token, "lost")
            for token in event[3]:
                self.refused.add(token)
                self.settle(token, "not started")
            self.ended[self.client] = True
            assert not isinstance(event[1], rpc.ProtocolError)
        else:
            assert event[0] in (HELLO, PONG)

    def settle(self, token: int, outcome: str) -> None:
        assert token not in self.cancelled
        self.outcomes[token].append(outcome)

    @invariant()
    def nothing_is_answered_twice_and_nothing_refused_was_started(self) -> None:
        if hasattr(self, "outcomes"):
            assert all(len(outcomes) <= 1 for outcomes in self.outcomes.values())
            assert not self.refused & self.ever_started
            assert self.server.running == len(self.come) + len(self.started)

    def teardown(self) -> None:
        if not hasattr(self, "outcomes"):
            return
        for _ in range(1_000):
            for call_id in list(self.come):
                self.start()
                self.server.send_reply(call_id, b"\x01" + block_of(self.started.pop(call_id), 0))
            for call_id, token in list(self.started.items()):
                del self.started[call_id]
                self.server.send_reply(call_id, b"\x01" + block_of(token, 0))
            self.deliver_all()
            under_way = [self.client.unsent, self.server.unsent, *map(len, self.pipes.values())]
            if not any(under_way) and not self.come:
                break
        if not any(self.ended.values()):
            assert self.client.running == self.server.running == 0
            self.all_settled()
        for session in (self.client, self.server):
            self.take(session, session.receive_end())
            assert session.is_closed
            assert session.receive(b"anything") == []
        self.all_settled()

    def deliver_all(self) -> None:
        for end in ("client", "server"):
            typing.cast(typing.Any, Talk.deliver)(self, end=end, count=10**9, flush=True, into=False)

    def all_settled(self) -> None:
        for token, outcomes in self.outcomes.items():
            assert len(outcomes) == (0 if token in self.cancelled else 1), (token, outcomes)


def test_two_sessions_keep_what_the_protocol_promises() -> None:
    run_state_machine_as_test(Talk, settings=settings(stateful_step_count=40))
