"""The two ends of a framed connection: rules of the protocol, any split of bytes, damage, limits."""

from __future__ import annotations

import collections.abc
import re
import sys
import types
import typing

import pytest
from hypothesis import given, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire.client import ClientSession
from rpcgen.runtime.wire.events import CALL, ENDED
from rpcgen.runtime.wire.hello import Hello, Terms, encode_hello
from rpcgen.runtime.wire.server import ServerSession
from rpcgen.runtime.wire.session import JOINED, Session
from rpcgen.runtime.wire.states import State
from tests.support.framed import (
    HELLO,
    PREFACE,
    call,
    codec_kind,  # noqa: F401
    frame,
    in_pieces,
    opened_client,
    opened_pair,
    opened_server,
    plain,
    sent,
    text,
)

CLIENT_STREAM = b"".join(
    (
        PREFACE,
        HELLO,
        frame(1, 0, 1, call("divide", b"abc", 500)),
        frame(1, 4, 2, call("Log.write", bytes(5_000))),
        frame(4, 0, 1),
        frame(5, payload=b"01234567"),
        frame(0x80, 0xFF, 77, b"from the future"),
        frame(1, 2, 4, b"\0\0\0\1" + text("k") + text("v") + call("f", bytes(range(256)) * 100)),
        frame(1, 0, 9, call("")),
        frame(7, payload=b"\0\0\0\0" + text("bye")),
        frame(5, payload=b"01234568"),
    )
)
SERVER_STREAM = b"".join(
    (
        HELLO,
        frame(2, 0, 3, b"\x01" + bytes(9_000)),
        frame(2, 0, 1, b"\x01abc"),
        frame(0xFF, 0x10, 0),
        frame(3, 0, 2, b"\x05" + text("later") + b"\0\0\0\0"),
        frame(7, payload=b"\0\0\0\5" + text("bye")),
        frame(2, 2, 4, b"\0\0\0\1" + text("k") + text("v") + b"\x02" + text("x")),
        frame(7, payload=b"\0\0\0\4" + text("now")),
        frame(3, 0, 0, b"\x09" + text("crash") + b"\0\0\0\0"),
    )
)

ILLEGAL: dict[str, tuple[bytes, str]] = {
    "a length that no frame has": (b"\0\0\0\5" + bytes(6), "length 5; the least is 6"),
    "a length beyond the limit": (b"\x7f\xff\xff\xff" + bytes(6), "length 2147483647; the limit is 16842752"),
    "a length of 2**32 - 1": (b"\xff\xff\xff\xff", "the limit is"),
    "an unknown kind": (frame(11), "kind 11"),
    "a stream's kind": (frame(9), r"kind 9 \(END\)"),
    "a second HELLO": (HELLO, r"kind 0 \(HELLO\), which is not to come while open"),
    "an unknown flag": (frame(5, 8, 0, bytes(8)), "flags 0x08"),
    "a flag of another kind": (frame(5, 1, 0, bytes(8)), "flags 0x01"),
    "a PING of a call": (frame(5, 0, 1, bytes(8)), "call id 1, not 0"),
    "a PING of 7 bytes": (frame(5, 0, 0, bytes(7)), "a PING of 7 bytes"),
    "a PONG of 9 bytes": (frame(6, 0, 0, bytes(9)), "a PONG of 9 bytes"),
    "a PONG that nobody asked for": (frame(6, 0, 0, bytes(8)), "answers no PING"),
    "a GOAWAY of 3 bytes": (frame(7, 0, 0, bytes(3)), "a GOAWAY of 3 bytes"),
    "a FAULT of nothing": (frame(3), "without a code"),
}
ILLEGAL_FROM_CLIENT: dict[str, tuple[bytes, str]] = {
    "a REPLY": (frame(2, 0, 1, b"\x01"), r"kind 2 \(REPLY\)"),
    "a FAULT of a call": (frame(3, 0, 1, b"\x01" + bytes(8)), "a FAULT for call 1, from a client"),
    "a CALL with id 0": (frame(1, 0, 0, call("f")), "call id 0"),
    "a CALL cut short": (frame(1, 0, 1, b"\x03ab\0\0\0\0"), "call 1 is cut short"),
    "a CALL of nothing": (frame(1, 0, 1), "call 1 is cut short"),
    "a name that is not UTF-8": (frame(1, 0, 1, b"\x01\xff\0\0\0\0"), "call 1 is not UTF-8"),
    "ids that do not rise": (frame(1, 0, 7, call("f")) + frame(1, 0, 7, call("f")), "id 7 after one with 7"),
    "ids that fall": (frame(1, 0, 7, call("f")) + frame(1, 4, 6, call("f")), "id 6 after one with 7"),
    "a CANCEL of what never came": (frame(4, 0, 1), "a CANCEL of call 1, which never came"),
    "a CANCEL with a payload": (frame(1, 0, 1, call("f")) + frame(4, 0, 1, b"x"), "a CANCEL of 1 bytes"),
    "metadata cut short": (frame(1, 2, 1, b"\0\0\0\1"), "metadata: a count of 1"),
    "a CALL after GOAWAY": (frame(7, payload=bytes(8)) + frame(1, 0, 1, call("f")), "while left by the peer"),
    "a compressed payload of nothing": (frame(1, 1, 1), "a compressed payload of 0 bytes"),
}
ILLEGAL_FROM_SERVER: dict[str, tuple[bytes, str]] = {
    "a CALL": (frame(1, 0, 1, call("f")), r"kind 1 \(CALL\)"),
    "a CANCEL": (frame(4, 0, 1), r"kind 4 \(CANCEL\)"),
    "a REPLY nobody waits for": (frame(2, 0, 2, b"\x01"), "an answer to call 2, which was never sent"),
    "a FAULT nobody waits for": (frame(3, 0, 2, b"\x01" + bytes(8)), "an answer to call 2"),
    "a second REPLY": (frame(2, 0, 1, b"\x01") * 2, "call 1, which was answered before"),
    "a REPLY after a FAULT": (
        frame(3, 0, 1, b"\x01" + bytes(8)) + frame(2, 0, 1, b"\x01"),
        "answered before",
    ),
    "an answer above GOAWAY": (frame(7, payload=bytes(8)) + frame(2, 0, 1, b"\x01"), "or after a GOAWAY"),
    "an empty REPLY": (frame(2, 0, 1), "call 1 that is none"),
    "a REPLY of kind 0": (frame(2, 0, 1, b"\0" + text("INTERNAL: x")), "call 1 that is none"),
    "a GOAWAY that goes up": (
        frame(7, payload=bytes(8)) + frame(7, payload=b"\0\0\0\1\0\0\0\0"),
        "up to call 1, after one up to 0",
    ),
}


def caller() -> ClientSession:
    client = opened_client()
    client.send_call("f", b"", caller="me")
    sent(client)
    return client


def waiting_client() -> ClientSession:
    client = ClientSession()
    for number in range(1, 7):
        client.send_call("f", b"", caller=number)
    sent(client)
    return client


STREAMS: list[tuple[collections.abc.Callable[[], Session], bytes]] = [
    (ServerSession, CLIENT_STREAM),
    (waiting_client, SERVER_STREAM),
]


def assert_illegal(session: Session, data: bytes, problem: str) -> None:
    events = session.receive(data)
    assert events[-1][0] == ENDED
    error = events[-1][1]
    assert type(error) is rpc.ProtocolError
    assert re.search(problem, error.problem)
    assert session.is_closed
    last_word = sent(session)
    assert last_word[4:10] == bytes.fromhex("03 00 00000000")
    assert text(error.problem) in last_word
    assert session.receive(frame(5, payload=bytes(8))) == []
    assert session.receive_end() == []
    assert session.end() == []
    assert sent(session) == b""


@pytest.mark.parametrize("name", [*ILLEGAL, *ILLEGAL_FROM_CLIENT])
def test_a_server_ends_at_illegal_frames_and_tells_why(name: str) -> None:
    assert_illegal(opened_server(), *{**ILLEGAL, **ILLEGAL_FROM_CLIENT}[name])


@pytest.mark.parametrize("name", [*ILLEGAL, *ILLEGAL_FROM_SERVER])
def test_a_client_ends_at_illegal_frames_and_tells_why(name: str) -> None:
    assert_illegal(caller(), *{**ILLEGAL, **ILLEGAL_FROM_SERVER}[name])


@given(st.lists(st.integers(0, len(CLIENT_STREAM)), max_size=20), st.booleans())
def test_any_split_gives_a_server_the_same_events(cuts: list[int], into: bool) -> None:
    whole, split = ServerSession(), ServerSession()
    expected = plain(whole.receive(CLIENT_STREAM))
    assert [event[0] for event in expected] == [0, 1, 1, 4, 1, 1, 7]
    assert plain(in_pieces(split, CLIENT_STREAM, cuts, into=into)) == expected
    assert sent(split) == sent(whole)
    assert (split.state, split.running) == (whole.state, whole.running) == (State.LEAVING, 3)


@given(st.lists(st.integers(0, len(SERVER_STREAM)), max_size=20), st.booleans())
def test_any_split_gives_a_client_the_same_events(cuts: list[int], into: bool) -> None:
    whole, split = waiting_client(), waiting_client()
    expected = plain(whole.receive(SERVER_STREAM))
    assert [event[0] for event in expected] == [0, 2, 2, 3, 7, 2, 7, -1]
    assert expected[4] == (7, 5, "bye", [6])
    assert expected[6] == (7, 4, "now", [5])
    assert expected[7] == (-1, ("RemoteFault", "INTERNAL: crash"), [], [])
    assert plain(in_pieces(split, SERVER_STREAM, cuts, into=into)) == expected


@pytest.mark.parametrize(("make", "stream"), STREAMS)
def test_bytes_one_by_one_give_the_same_events(
    make: collections.abc.Callable[[], Session], stream: bytes
) -> None:
    assert plain(in_pieces(make(), stream, range(len(stream)))) == plain(make().receive(stream))


@given(st.data())
def test_damage_ends_in_protocol_errors_alone(data: st.DataObject) -> None:
    make, stream = data.draw(st.sampled_from(STREAMS))
    damaged = bytearray(stream)
    for place in data.draw(st.lists(st.integers(0, len(stream) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    session, whole = make(), make()
    events = in_pieces(session, bytes(damaged), data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    assert plain(events) == plain(whole.receive(bytes(damaged)))
    ends = [event for event in events if event[0] == ENDED]
    assert ends in ([], events[-1:])
    assert session.is_closed == bool(ends)
    if ends:
        assert isinstance(ends[0][1], (rpc.ProtocolError, rpc.RemoteFault))


@given(st.binary(max_size=200), st.booleans())
def test_garbage_ends_in_protocol_errors_alone(data: bytes, opened: bool) -> None:
    for session in (opened_server(), caller()) if opened else (ServerSession(), waiting_client()):
        for event in session.receive(data):
            assert event[0] != ENDED or isinstance(event[1], (rpc.ProtocolError, rpc.RemoteFault))


# Opening


def test_the_first_call_goes_out_with_the_hello_and_the_server_s_hello_with_its_reply() -> None:
    client, server = ClientSession(), ServerSession()
    client.send_call("f", b"", caller="me")
    pieces = client.data_to_send()
    assert len(pieces) == 1
    events = server.receive(pieces[0])
    assert [event[0] for event in events] == [0, 1]
    server.send_reply(1, b"\x01")
    pieces = server.data_to_send()
    assert len(pieces) == 1
    assert [event[0] for event in client.receive(pieces[0])] == [0, 2]


@pytest.mark.parametrize("cut", range(9))
def test_an_unknown_version_is_answered_with_this_one(cut: int) -> None:
    server = ServerSession()
    events = in_pieces(server, PREFACE[:7] + b"\x02more", [cut])
    assert plain(events) == [
        (-1, ("ProtocolError", "the client speaks version 2 of framed messages; this server 1"), [], [])
    ]
    assert sent(server) == PREFACE


@pytest.mark.parametrize("cut", range(8))
def test_a_server_of_another_version_is_told_as_such(cut: int) -> None:
    client = ClientSession()
    client.send_call("f", b"", caller="me")
    sent(client)
    events = in_pieces(client, PREFACE[:7] + b"\x00", [cut])
    problem = "the server speaks framed messages up to version 0, not 1"
    assert plain(events) == [(-1, ("ProtocolError", problem), ["me"], [])]
    assert sent(client) == b""


@pytest.mark.parametrize("data", [b"\xc2", b"\xc1RPCGEM", b"GET / HTTP/1.1", b"\0\0\0\6divide"])
def test_what_does_not_begin_as_frames_do_is_refused_without_a_word(data: bytes) -> None:
    server = ServerSession()
    (event,) = server.receive(data)
    assert plain([event])[0][1][0] == "ProtocolError"
    assert sent(server) == b""


def test_a_plain_server_is_told_as_such() -> None:
    client = ClientSession()
    (event,) = client.receive(b"\x00" + text("BAD_REQUEST: the peer speaks framed messages"))
    assert 'say protocol="plain"' in str(event[1])
    (event,) = ClientSession().receive(b"\xc1RPX0000")
    assert 'say protocol="plain"' in str(event[1])
    (event,) = ClientSession().receive_end()
    assert 'say protocol="plain"' in str(event[1])


@pytest.mark.parametrize("first", [frame(1, 0, 1, call("f")), frame(5, payload=bytes(8)), frame(0x80)])
def test_the_first_frame_is_hello(first: bytes) -> None:
    assert_illegal_opening(ServerSession(), PREFACE + first)
    assert_illegal_opening(ClientSession(), first)


def assert_illegal_opening(session: Session, data: bytes) -> None:
    (event,) = session.receive(data)
    assert "but a peer's first is HELLO" in str(event[1])


def test_no_frame_above_64_kib_comes_before_hello() -> None:
    server = ServerSession()
    (event,) = server.receive(PREFACE + b"\0\1\0\1\0\0\0\0\0\0")
    assert "length 65537; the limit is 65536" in str(event[1])


def test_credentials_are_judged_before_any_call_starts() -> None:
    def check(hello: Hello) -> str:
        if hello.credentials == "good":
            return "a friend"
        raise PermissionError("who are you?")

    terms = Terms(check=check)
    server = ServerSession(terms)
    hello = encode_hello(Hello(credentials="good"))
    assert [event[0] for event in server.receive(PREFACE + hello + frame(1, 0, 1, call("f")))] == [0, 1]
    assert server.identity == "a friend"

    client = ClientSession(Terms(credentials="bad"))
    client.send_call("f", b"", caller="me")
    server = ServerSession(terms)
    events = server.receive(sent(client))
    assert plain(events) == [(-1, ("ProtocolError", "refused the client: who are you?"), [], [])]
    events = client.receive(sent(server))
    assert events[0][0] == 0
    assert plain(events[1:]) == [(-1, ("RemoteFault", "UNAUTHENTICATED: who are you?"), [], ["me"])]


@pytest.mark.parametrize(
    "failure", [OSError("the database is away"), PermissionError(13, "denied", "/database")]
)
def test_a_check_that_fails_lets_nobody_in(failure: OSError) -> None:
    def check(hello: Hello) -> str:
        raise failure

    server = ServerSession(Terms(check=check))
    (event,) = server.receive(PREFACE + HELLO)
    assert str(event[1]) == "refused the client: the credentials could not be checked"
    assert isinstance(typing.cast(Exception, event[1]).__cause__, OSError)
    assert b"database" not in sent(server)


def test_a_large_call_waits_for_hello_and_what_follows_waits_with_it() -> None:
    client = ClientSession()
    client.send_call("small", b"", caller="small")
    large = client.send_call("large", bytes(70_000), caller="large")
    late = client.send_call("late", b"", caller="late")
    assert client.cancel(late)
    first = sent(client)
    assert len(first) < 200
    assert client.unsent == 0
    server = ServerSession()
    assert [event[2] for event in plain(server.receive(first)[1:])] == ["small"]
    client.receive(sent(server))
    assert [event[:2] for event in server.receive(sent(client))] == [(1, large), (1, late), (4, late)]


def test_a_large_call_that_the_server_does_not_take_fails_alone() -> None:
    client = ClientSession()
    large = client.send_call("large", bytes(70_000), caller="large")
    other = client.send_call("large", bytes(70_000), caller="cancelled")
    client.cancel(large)
    client.cancel(other)
    client.send_call("late", b"", caller="late")
    client.send_call("large", bytes(70_000), caller="large 2")
    sent(client)
    server = ServerSession(Terms(rpc.Limits(message=1_000)))
    server.receive(PREFACE + HELLO)
    events = client.receive(sent(server))
    problem = "a call of 70010 bytes; the server accepts 66530"
    assert plain(events)[1:] == [(3, "large 2", ("EncodeError", problem), None)]
    assert [event[2] for event in plain(server.receive(sent(client)))] == ["late"]
    assert client.running == 1


@pytest.mark.parametrize("asked", [False, True])
def test_calls_that_were_never_handed_out_have_not_run(asked: bool) -> None:
    client = ClientSession()
    client.send_call("f", b"", caller="sent")
    sent(client)
    client.send_call("f", b"", caller="queued")
    client.send_call("f", bytes(70_000), caller="held")
    client.send_call("f", b"", caller="behind")
    if asked:
        sent(client)
    queued = ["queued"]
    may_have_run, not_started = (["sent", *queued], []) if asked else (["sent"], queued)
    assert plain(client.end(rpc.ConnectionLost("broken"))) == [
        (-1, ("ConnectionLost", "broken"), may_have_run, [*not_started, "held", "behind"])
    ]
    with pytest.raises(rpc.Unavailable, match="the connection is closed: the call was not sent"):
        client.send_call("f", b"")


# Calls


def test_calls_are_answered_in_any_order() -> None:
    client, server = opened_pair()
    for number in range(5):
        assert client.send_call("f", bytes([number]), caller=number) == number + 1
    for event in reversed(plain(server.receive(sent(client)))):
        server.send_reply(event[1], b"\x01" + event[4])
    assert plain(client.receive(sent(server))) == [
        (2, number, bytes([1, number]), None) for number in (4, 3, 2, 1, 0)
    ]
    assert client.running == server.running == 0


def test_a_cancelled_call_is_answered_all_the_same_and_its_caller_hears_nothing() -> None:
    client, server = opened_pair()
    first, second = client.send_call("f", b"", caller="me"), client.send_call("f", b"", caller="me too")
    assert [client.cancel(first), client.cancel(first), client.cancel(second), client.cancel(99)] == [
        True,
        False,
        True,
        False,
    ]
    data = sent(client)
    assert [event[0] for event in server.receive(data + frame(4, 0, first))] == [1, 1, 4, 4]
    assert (client.running, server.running) == (2, 2)
    server.send_reply(first, b"\x01")
    server.send_fault(second, rpc.FaultCode.CANCELLED, "")
    assert client.receive(sent(server)) == []
    assert (client.running, server.running) == (0, 0)
    assert server.receive(frame(4, 0, first)) == []


def test_a_call_is_answered_once() -> None:
    _, server = opened_pair()
    server.receive(frame(1, 0, 1, call("f")) + frame(1, 4, 2, call("f")))
    server.send_reply(1, b"\x01")
    for call_id in (1, 2, 3):
        with pytest.raises(LookupError, match=f"call {call_id} is not running"):
            server.send_reply(call_id, b"\x01")
        with pytest.raises(LookupError, match=f"call {call_id} is not running"):
            server.send_fault(call_id, rpc.FaultCode.INTERNAL, "")


def test_answers_after_the_end_are_let_fall() -> None:
    server = opened_server()
    server.receive(frame(1, 0, 1, call("f")) + frame(1, 0, 2, call("f")) + frame(4, 0, 2))
    assert plain(server.end()) == [(-1, None, [1, 2], [])]
    server.send_reply(1, b"\x01")
    server.send_fault(2, rpc.FaultCode.INTERNAL, "")
    assert sent(server) == b""
    assert server.ping() is None
    assert server.goaway() == []
    assert server.refuse(rpc.FaultCode.INTERNAL, "") == []


def test_time_counts_from_the_first_byte_of_the_frame() -> None:
    server = opened_server()
    data = frame(1, 0, 1, call("f", b"", 1_000)) + frame(1, 0, 2, call("f", bytes(9_000), 2_000))
    assert server.incomplete_since is None
    assert server.receive(data[:3], 10.0) == []
    assert server.receive(data[3:8], 11.0) == []
    assert server.incomplete_since == 10.0
    assert [event[3] for event in plain(server.receive(data[8:60], 12.0))] == [11.0]
    assert server.receive(data[60:5_000], 13.0) == []
    assert server.incomplete_since == 12.0
    assert [event[3] for event in plain(server.receive(data[5_000:], 14.0))] == [14.0]


def test_a_preface_is_incomplete_since_its_first_byte() -> None:
    server = ServerSession()
    server.receive(PREFACE[:1], 5.0)
    server.receive(PREFACE[1:5], 6.0)
    assert server.incomplete_since == 5.0
    server.receive(PREFACE[5:], 7.0)
    assert server.incomplete_since is None


def test_a_reply_that_the_client_does_not_take_is_a_fault() -> None:
    client, server = opened_pair(Terms(rpc.Limits(message=1_000)))
    client.send_call("f", b"", caller="me")
    server.receive(sent(client))
    server.send_reply(1, bytes([1]) * 70_000)
    problem = "RESOURCE_EXHAUSTED: a reply of 70000 bytes; the client accepts 66530"
    assert plain(client.receive(sent(server))) == [(3, "me", ("RemoteFault", problem), None)]


def test_a_call_that_the_server_does_not_take_is_not_sent() -> None:
    client, _ = opened_pair(None, Terms(rpc.Limits(message=1_000)))
    with pytest.raises(rpc.EncodeError, match="a message of 70006 bytes; the peer accepts 66530"):
        client.send_call("f", bytes(70_000))
    with pytest.raises(rpc.EncodeError, match="name of 256 bytes"):
        client.send_call("f" * 256, b"")
    with pytest.raises(rpc.EncodeError, match="metadata of 16397 bytes; the limit is 16384"):
        client.send_call("f", b"", metadata={"a": bytes(16_384)})
    for milliseconds in (-1, 2**32):
        with pytest.raises(ValueError, match="milliseconds are 0 to 4294967295"):
            client.send_call("f", b"", milliseconds)
        with pytest.raises(ValueError, match="milliseconds are 0 to 4294967295"):
            client.send_call("f", b"", milliseconds, no_reply=True)
    assert sent(client) == b""
    assert client.running == 0
    assert client.send_call("f", b"") == 1


def test_a_message_between_its_limit_and_a_frame_s_fails_alone() -> None:
    terms = Terms(rpc.Limits(message=1_000, metadata=10))
    client, server = opened_pair(terms)
    client.send_call("f", b"", caller="me")
    server.receive(sent(client))
    server.send_reply(1, bytes([1]) * 2_000)
    problem = "a reply of 2000 bytes; the limit is 1000"
    assert plain(client.receive(sent(server))) == [(3, "me", ("ProtocolError", problem), None)]

    client, server = opened_pair(None, terms)
    client.send_call("f", bytes(2_000), caller="me")
    client.send_call("f", bytes(2_000), no_reply=True)
    client.send_call("f", b"", metadata={"a": bytes(20)}, caller="me")
    assert server.receive(sent(client)) == []
    assert plain(client.receive(sent(server))) == [
        (3, "me", ("RemoteFault", "RESOURCE_EXHAUSTED: a call of 2000 bytes; the limit is 1000"), None),
        (3, "me", ("RemoteFault", "RESOURCE_EXHAUSTED: metadata of 33 bytes or more; the limit is 10"), None),
    ]


def test_metadata_that_cannot_be_sent_leaves_the_call_to_be_answered() -> None:
    client, server = opened_pair()
    client.send_call("f", b"", caller="me")
    server.receive(sent(client))
    with pytest.raises(rpc.EncodeError):
        server.send_reply(1, b"\x01", {"a": bytes(20_000)})
    assert server.running == 1
    server.send_reply(1, b"\x01")
    assert plain(client.receive(sent(server))) == [(2, "me", b"\x01", None)]


def test_a_name_beyond_the_limit_ends_the_connection() -> None:
    server = opened_server(Terms(rpc.Limits(name=5)))
    assert [event[0] for event in server.receive(frame(1, 0, 1, call("short")))] == [1]
    assert_illegal(server, frame(1, 0, 2, call("longer")), "name of 6 bytes too long")


def test_calls_beyond_the_limit_are_refused_as_not_started() -> None:
    client, server = opened_pair(None, Terms(calls=2))
    for number in range(4):
        client.send_call("f", b"", caller=number)
    client.cancel(1)
    assert [event[:2] for event in server.receive(sent(client))] == [(1, 1), (1, 2), (4, 1)]
    fault = ("RemoteFault", "UNAVAILABLE: more than 2 calls at once")
    assert plain(client.receive(sent(server))) == [(3, 2, fault, None), (3, 3, fault, None)]
    server.send_reply(1, b"\x01")
    client.send_call("f", b"")
    assert [event[:2] for event in server.receive(sent(client))] == [(1, 5)]
    with pytest.raises(ValueError, match="at least one call"):
        Terms(calls=0)


def test_call_ids_that_are_used_up_send_calls_elsewhere() -> None:
    client, _ = opened_pair()
    client._last = 2**32 - 2
    assert client.send_call("f", b"") == 2**32 - 1
    for no_reply in (False, True):
        with pytest.raises(rpc.Unavailable, match="used up its call ids"):
            client.send_call("f", b"", no_reply=no_reply)


# PING


def test_more_pings_than_one_a_second_over_a_minute_are_answered_with_goaway() -> None:
    client, server = opened_pair()
    for number in range(60):
        client.ping()
        assert server.receive(sent(client), number / 2) == []
        assert [event[0] for event in client.receive(sent(server))] == [6]
    client.ping()
    server.receive(sent(client), 31.0)
    assert plain(client.receive(sent(server))) == [(7, 0, "over 60 PINGs in a minute", [])]
    client.ping()
    server.receive(sent(client), 32.0)
    assert sent(server) == b""
    client.ping()
    server.receive(sent(client), 62.0)
    assert sent(server)[4] == 6


def test_who_goes_on_with_pings_after_goaway_is_left() -> None:
    server = opened_server()
    assert server.receive(frame(5, payload=bytes(8)) * 120) == []
    assert plain(server.receive(frame(5, payload=bytes(8)))) == [
        (-1, ("ProtocolError", "over 60 PINGs in a minute, and as many after GOAWAY"), [], [])
    ]


def test_a_ping_a_second_is_answered_for_ever() -> None:
    client, server = opened_pair()
    for number in range(200):
        client.ping()
        server.receive(sent(client), number * 1.01)
        assert [event[0] for event in client.receive(sent(server))] == [6]


def test_a_client_can_be_pinged_too_often_as_well() -> None:
    client = opened_client()
    client.receive(frame(5, payload=bytes(8)) * 61)
    goaway = frame(7, payload=bytes(4) + text("over 60 PINGs in a minute"))
    assert sent(client) == frame(6, payload=bytes(8)) * 60 + goaway
    assert client.state is State.DRAINING


def test_nothing_is_asked_before_hello() -> None:
    client = ClientSession()
    assert client.ping() is None
    client.goaway()
    assert sent(client) == PREFACE + client.terms.hello


# Draining


def test_goaway_answers_what_has_come_and_sends_the_rest_elsewhere() -> None:
    client, server = opened_pair()
    client.send_call("f", b"", caller="one")
    server.receive(sent(client))
    client.send_call("f", b"", caller="two")
    client.send_call("f", b"", caller="three")
    client.cancel(3)
    crossing = sent(client)
    server.goaway("a new version comes")
    assert server.state is State.DRAINING
    assert not server.is_finished
    assert plain(client.receive(sent(server))) == [(7, 1, "a new version comes", ["two"])]
    with pytest.raises(rpc.Unavailable, match="left by the peer"):
        client.send_call("f", b"")
    assert server.receive(crossing) == []
    server.send_reply(1, b"\x01")
    assert not server.is_finished
    assert plain(client.receive(sent(server))) == [(2, "one", b"\x01", None)]
    assert server.is_finished
    assert client.is_finished
    assert plain(client.receive_end()) == [(-1, None, [], [])]


def test_goaway_may_go_down_and_never_up() -> None:
    client, server = opened_pair()
    for number in range(1, 5):
        client.send_call("f", b"", caller=number)
    client.cancel(3)
    server.receive(sent(client))
    server.goaway(last=4)
    server.goaway(last=1)
    server.goaway()
    with pytest.raises(ValueError, match="up to call 2, after one up to 1"):
        server.goaway(last=2)
    assert server.running == 1
    with pytest.raises(LookupError):
        server.send_reply(2, b"\x01")
    assert plain(client.receive(sent(server))) == [(7, 4, "", []), (7, 1, "", [2, 4]), (7, 1, "", [])]


def test_a_client_says_goaway_and_gets_its_replies() -> None:
    client, server = opened_pair()
    client.send_call("f", b"", caller="me")
    client.goaway("enough")
    with pytest.raises(rpc.Unavailable, match="draining"):
        client.send_call("f", b"")
    assert [event[0] for event in server.receive(sent(client))] == [1, 7]
    server.goaway()
    assert server.state is State.PARTING
    server.send_reply(1, b"\x01")
    assert [event[0] for event in client.receive(sent(server))] == [7, 2]
    assert client.state is State.PARTING
    assert client.is_finished
    assert server.is_finished


def test_a_server_that_closes_before_hello_refuses_the_client_as_a_whole() -> None:
    client = ClientSession()
    client.send_call("f", b"", caller="me")
    data = sent(client)
    server = ServerSession()
    server.receive(data[:8])
    assert [event[0] for event in server.goaway()] == [-1]
    assert plain(client.receive(sent(server)))[1:] == [
        (-1, ("RemoteFault", "UNAVAILABLE: the server is closing"), [], ["me"])
    ]
    server = ServerSession()
    assert [event[0] for event in server.goaway("bye")] == [-1]
    assert sent(server) == b""


def test_a_refusal_that_says_that_nothing_ran_is_not_given_once_something_may_have() -> None:
    server = opened_server()
    server.receive(frame(1, 0, 1, call("f")))
    with pytest.raises(ValueError, match="UNAVAILABLE says that no call was started"):
        server.refuse(rpc.FaultCode.UNAVAILABLE, "full")
    (event,) = server.refuse(rpc.FaultCode.INTERNAL, "out of memory")
    assert plain([event]) == [(-1, ("ConnectionLost", "refused: out of memory"), [1], [])]


# Ends


def test_the_peer_s_end_is_clean_only_with_nothing_under_way() -> None:
    assert plain(opened_server().receive_end()) == [(-1, None, [], [])]
    assert plain(opened_client().receive_end()) == [(-1, None, [], [])]
    server = opened_server()
    server.receive(frame(1, 0, 1, call("f")))
    problem = ("ConnectionLost", "the peer ended the connection")
    assert plain(server.receive_end()) == [(-1, problem, [1], [])]
    assert plain(caller().receive_end()) == [(-1, problem, ["me"], [])]
    for part in (frame(5)[:2], frame(1, 0, 1, call("f", bytes(9_000)))[:5_000]):
        server = opened_server()
        server.receive(part)
        assert "inside a frame" in str(server.receive_end()[0][1])
    server = ServerSession()
    assert "before its HELLO" in str(server.receive_end()[0][1])


# What is sent


def test_small_frames_are_joined_and_large_payloads_are_not_copied() -> None:
    client, server = opened_pair()
    large = bytes(JOINED)
    client.send_call("a", b"")
    client.send_call("b", large)
    client.send_call("c", b"")
    client.send_call("d", b"")
    pieces = client.data_to_send()
    assert [len(piece) for piece in pieces] == [32, JOINED, 32]
    assert pieces[1] is large
    assert client.data_to_send() == []
    assert [event[1] for event in server.receive(b"".join(pieces))] == [1, 2, 3, 4]
    server.send_reply(1, b"\x01" * JOINED)
    server.send_reply(2, b"\x01")
    assert server.unsent == len(b"".join(server.data_to_send()))
    assert server.unsent == 0


def test_a_large_frame_is_received_where_it_stays() -> None:
    server = opened_server()
    data = frame(1, 0, 1, call("f", bytes(range(250)) * 400)) + frame(1, 0, 2, call("f"))
    assert server.space() is None
    assert server.receive(data[:1_000]) == []
    space = server.space()
    assert space is not None
    assert len(space) == 100_016 - 1_000
    space[:50_000] = data[1_000:51_000]
    assert server.filled(50_000) == []
    rest = server.space()
    assert rest is not None
    (event,) = server.receive(data[51_000:100_016])
    assert server.space() is None
    assert plain([event])[0][4] == bytes(range(250)) * 400
    assert event[0] == CALL
    assert isinstance(event[4], memoryview)
    assert [event[1] for event in server.receive(data[100_016:])] == [2]


def test_a_shell_may_send_usual_calls_by_itself() -> None:
    client, server = ClientSession(), opened_server()
    assert client.usual == -1, "the preface is to be sent"
    sent(client)
    assert client.usual == -1, "the server has said nothing"
    client.receive(HELLO)
    assert client.usual > 4096
    for number in (1, 2):
        server.receive(frame(1, 0, number, call("f")))
        server.send_reply(number, b"\x01")
        sent(server)
    client.sent(2, is_answered=True)
    assert client.running == 0
    assert client.send_call("f", b"", caller="third") == 3
    assert client.usual == -1, "something is to be sent"
    sent(client)
    assert client.usual == -1, "it is not answered"
    assert client.receive(frame(2, 0, 3, b"\x01")) == [(2, "third", b"\x01", None)]
    client.sent(5, is_answered=False, caller="fifth")
    assert client.running == 1
    assert client.receive(frame(7, 0, 0, bytes.fromhex("00000004 00000000"))) == [(7, 4, "", ["fifth"])]
    assert client.usual == -1, "the server leaves"
    client = opened_client()
    client.sent(1, is_answered=False, caller="first")
    assert client.end() == [(-1, None, ["first"], [])]
    client = opened_client()
    client.receive(frame(5)[:3])
    assert client.usual == -1, "a frame is not whole"
    assert opened_client(Terms(rpc.Limits(message=1000))).usual == -1, "replies may be too long"


def test_what_a_server_with_tls_says_is_known() -> None:
    client = ClientSession()
    (ended,) = client.receive(bytes.fromhex("15 03 03 00 02 02 46"))
    assert "an alert of TLS, which the server speaks: say tls=" in str(ended[1])


def test_a_session_says_how_it_is() -> None:
    client = caller()
    assert repr(client) == "<ClientSession: open, 1 calls>"
    assert repr(ServerSession()) == "<ServerSession: waiting for the client's preface, 0 calls>"


def test_an_idle_session_is_small() -> None:
    assert footprint(opened_server()) < 2_048
    assert footprint(opened_client()) < 2_048


# Memory


def footprint(session: Session) -> int:
    """Bytes that a session holds, without what it shares with others."""
    seen: set[int] = set()

    def size(value: object) -> int:
        if id(value) in seen or isinstance(value, (type, State, Terms)):
            return 0
        seen.add(id(value))
        inner = 0
        if isinstance(value, dict):
            inner = sum(size(key) + size(item) for key, item in value.items())
        elif isinstance(value, (list, tuple, set)) or type(value).__name__ == "deque":
            inner = sum(size(item) for item in typing.cast("list[object]", value))
        return sys.getsizeof(value) + inner

    shared = {"terms", "_words", "_heads"}
    slots = {
        name
        for cls in type(session).__mro__
        for name, value in vars(cls).items()
        if isinstance(value, types.MemberDescriptorType)
    }
    return sys.getsizeof(session) + sum(size(getattr(session, name, None)) for name in slots - shared)


frames = st.one_of(
    st.builds(frame, st.sampled_from([1, 1, 1, 3, 4, 5, 6, 7, 0x80, 2]), st.sampled_from([0, 0, 0, 1, 2, 4]),
              st.integers(0, 400), st.binary(max_size=50)),
    st.builds(lambda call_id, size: frame(1, 0, call_id, call("f", bytes(size))), st.integers(1, 2**32 - 1),
              st.sampled_from([0, 10, 5_000, 66_000])),
    st.builds(lambda kind, call_id, size: frame(kind, 0, call_id, bytes(size))[:1_000],
              st.sampled_from([1, 0x80]), st.integers(1, 2**31), st.sampled_from([60_000, 66_000, 2**24])),
    st.just(b"".join(frame(1, 0, number, call("f")) for number in range(1, 500))),
    st.just(b"".join(frame(5, 0, 0, number.to_bytes(8, "big")) for number in range(500))),
    st.just(b"".join(frame(1, 2, number, b"\0\0\0\1" + text("k" * 100) + text("") + call("f")) for number in range(1, 99))),
)  # fmt: skip


@given(st.lists(frames, max_size=12), st.integers(300, 20_000))
def test_memory_is_bounded_whatever_comes(stream: list[bytes], piece: int) -> None:
    """With a shell that does not receive while anything is unsent."""
    terms = Terms(rpc.Limits(message=1_000), calls=50)
    server = opened_server(terms)
    largest = 1_000 + 65_536 + 4
    bound = largest + 50 * 120 + 8_192
    data = b"".join(stream)
    for begin in range(0, len(data), piece):
        part = data[begin : begin + piece]
        server.receive(part)
        assert server.unsent <= 3 * len(part) + 200
        server.data_to_send()
        assert footprint(server) <= bound
