"""Every kind of frame, both ways, against bytes written by hand."""

from __future__ import annotations

import collections.abc
import typing

import pytest
from hypothesis import given, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire import frames
from rpcgen.runtime.wire.client import ClientSession
from rpcgen.runtime.wire.decoder import Decoder
from rpcgen.runtime.wire.encoder import Encoder
from rpcgen.runtime.wire.hello import Hello, Terms, decode_hello, encode_hello
from rpcgen.runtime.wire.server import ServerSession
from rpcgen.runtime.wire.session import Session
from rpcgen.runtime.wire.states import Side, State, words_received
from rpcgen.runtime.wire.types import Misfit
from tests.support.framed import (
    HELLO,
    PREFACE,
    call,
    codec_kind,  # noqa: F401
    frame,
    opened_client,
    opened_server,
    plain,
    sent,
    text,
)

DIVIDE = bytes.fromhex("01 000000c8 02 00000064")

Do: typing.TypeAlias = "collections.abc.Callable[[typing.Any], object]"


def calling(session: ClientSession) -> ClientSession:
    session.send_call("divide", DIVIDE, caller="me")
    sent(session)
    return session


def called(session: ServerSession) -> ServerSession:
    session.receive(frame(1, 0, 1, call("divide", DIVIDE)))
    return session


CASES: dict[str, tuple[Do, str, list[typing.Any]]] = {
    "CALL": (
        lambda client: client.send_call("divide", DIVIDE, 500),
        "0000001b 01 00 00000001  06 646976696465 000001f4 01 000000c8 02 00000064",
        [(1, 1, "divide", 10.5, DIVIDE, None, False)],
    ),
    "CALL without a deadline": (
        lambda client: client.send_call("divide", DIVIDE),
        "0000001b 01 00 00000001  06 646976696465 00000000 01 000000c8 02 00000064",
        [(1, 1, "divide", None, DIVIDE, None, False)],
    ),
    "CALL without arguments": (
        lambda client: client.send_call("f", b""),
        "0000000c 01 00 00000001  01 66 00000000",
        [(1, 1, "f", None, b"", None, False)],
    ),
    "CALL, no reply wanted": (
        lambda client: client.send_call("f", b"", no_reply=True),
        "0000000c 01 04 00000001  01 66 00000000",
        [(1, 1, "f", None, b"", None, True)],
    ),
    "CALL with metadata": (
        lambda client: client.send_call("f", b"", metadata={"k": b"v", "é": b""}),
        "00000024 01 02 00000001  00000002 00000001 6b 00000001 76 00000002 c3a9 00000000  01 66 00000000",
        [(1, 1, "f", None, b"", {"k": b"v", "é": b""}, False)],
    ),
    "CANCEL": (
        lambda client: (client.send_call("f", b""), sent(client), client.cancel(1)),
        "00000006 04 00 00000001",
        [(4, 1)],
    ),
    "PING": (lambda client: client.ping(), "0000000e 05 00 00000000  0000000000000001", []),
    "GOAWAY of a client": (
        lambda client: client.goaway("bye"),
        "00000011 07 00 00000000  00000000 00000003 627965",
        [(7, 0, "bye", [])],
    ),
    "FAULT that ends the connection, of a client": (
        lambda client: client.receive(frame(8)),
        "00000048 03 00 00000000  02 00000039"
        + b"a frame of kind 8 (ITEM), which is not to come while open".hex()
        + "00000000",
        [],
    ),
}
"""What a client does, the bytes that it sends, the server's events."""

ANSWERS: dict[str, tuple[Do, str, list[typing.Any]]] = {
    "REPLY": (
        lambda server: server.send_reply(1, bytes.fromhex("01 40000000")),
        "0000000b 02 00 00000001  01 40000000",
        [(2, "me", bytes.fromhex("01 40000000"), None)],
    ),
    "REPLY that raises": (
        lambda server: server.send_reply(1, bytes.fromhex("02 00000001 78")),
        "0000000c 02 00 00000001  02 00000001 78",
        [(2, "me", bytes.fromhex("02 00000001 78"), None)],
    ),
    "REPLY with metadata": (
        lambda server: server.send_reply(1, b"\x01", {"k": b"v"}),
        "00000015 02 02 00000001  00000001 00000001 6b 00000001 76 01",
        [(2, "me", b"\x01", {"k": b"v"})],
    ),
    "FAULT": (
        lambda server: server.send_fault(1, rpc.FaultCode.BAD_REQUEST, "no", {"a": "b"}),
        "0000001b 03 00 00000001  02 00000002 6e6f 00000001 00000001 61 00000001 62",
        [(3, "me", ("RemoteFault", "BAD_REQUEST: no"), None)],
    ),
    "FAULT with metadata": (
        lambda server: server.send_fault(1, rpc.FaultCode.INTERNAL, "", None, {"k": b"v"}),
        "0000001d 03 02 00000001  00000001 00000001 6b 00000001 76 09 00000000 00000000",
        [(3, "me", ("RemoteFault", "INTERNAL: "), {"k": b"v"})],
    ),
    "a plain fault as a reply": (
        lambda server: server.send_reply(1, b"\x00" + text("UNKNOWN_METHOD: f")),
        "00000010 03 00 00000001  01 00000001 66 00000000",
        [(3, "me", ("RemoteFault", "UNKNOWN_METHOD: f"), None)],
    ),
    "PING of a server": (lambda server: server.ping(), "0000000e 05 00 00000000  0000000000000001", []),
    "GOAWAY": (
        lambda server: server.goaway("bye"),
        "00000011 07 00 00000000  00000001 00000003 627965",
        [(7, 1, "bye", [])],
    ),
    "GOAWAY of calls that have come": (
        lambda server: server.goaway("", 0),
        "0000000e 07 00 00000000  00000000 00000000",
        [(7, 0, "", ["me"])],
    ),
    "FAULT that ends the connection": (
        lambda server: server.refuse(rpc.FaultCode.RESOURCE_EXHAUSTED, "full"),
        "00000013 03 00 00000000  06 00000004 66756c6c 00000000",
        [(-1, ("RemoteFault", "RESOURCE_EXHAUSTED: full"), ["me"], [])],
    ),
}
"""What a server that has a call does, the bytes that it sends, the client's events."""


@pytest.mark.parametrize("name", CASES)
def test_a_client_s_frame_is_as_written_by_hand(name: str) -> None:
    do, data, events = CASES[name]
    client, server = opened_client(), opened_server()
    do(client)
    assert sent(client).hex() == bytes.fromhex(data).hex()
    if name == "CANCEL":
        called(server)
    if not name.startswith("FAULT"):
        assert plain(server.receive(bytes.fromhex(data), 10.0)) == events


@pytest.mark.parametrize("name", ANSWERS)
def test_a_server_s_frame_is_as_written_by_hand(name: str) -> None:
    do, data, events = ANSWERS[name]
    client, server = calling(opened_client()), called(opened_server())
    do(server)
    assert sent(server).hex() == bytes.fromhex(data).hex()
    assert plain(client.receive(bytes.fromhex(data))) == events


@pytest.mark.parametrize("make", [opened_client, opened_server])
def test_a_ping_is_echoed(make: collections.abc.Callable[[], Session]) -> None:
    session = make()
    assert session.receive(frame(5, payload=b"01234567")) == []
    assert sent(session) == frame(6, payload=b"01234567")


@pytest.mark.parametrize("make", [opened_client, opened_server])
def test_a_pong_is_told(make: collections.abc.Callable[[], Session]) -> None:
    session = make()
    first, second = session.ping(), session.ping()
    assert first is not None
    assert second is not None
    assert session.receive(frame(6, payload=first) + frame(6, payload=second)) == [(6, first), (6, second)]


def test_the_opening_is_as_written_by_hand() -> None:
    terms = Terms(rpc.Limits(message=1000), properties={"agent": "x"}, credentials="me")
    hello = bytes.fromhex(
        "00000032 00 00 00000000"
        "01 00000001 00000005 6167656e74 00000001 78"
        "02 00000001 00000004 677a6970"
        "03 000103e8"
        "04 00000002 6d65"
    )
    encoded = encode_hello(Hello({"agent": "x"}, ["gzip"], 66_536, "me"))
    assert encoded.hex() == hello.hex()
    assert decode_hello(hello[10:]) == Hello({"agent": "x"}, ("gzip",), 66_536, "me")
    assert decode_hello(terms.hello[10:])._replace(compressions=("gzip",)) == decode_hello(hello[10:])
    assert sent(ClientSession(terms)) == PREFACE + terms.hello


def test_a_hello_leaves_defaults_out_and_takes_what_is_new() -> None:
    assert encode_hello(Hello()) == HELLO
    assert decode_hello(b"") == Hello({}, (), 65_536, "")
    assert decode_hello(b"\x09anything") == Hello({}, (), 65_536, "")


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ("03 0000ffff", "at most 65535"),
        ("03 00", "4 bytes are needed"),
        ("00", "tag 0"),
        ("03 00010000 03 00010000", "tag 3 after 3"),
        ("04 00000001 ff", "not UTF-8"),
        ("01 00000001 00000000 00000001 ff", "not UTF-8"),
        ("02 00000002 00000001 61", "4 bytes are needed, but 0 are left"),
        ("02 00000065", "a count of 101; at most 100"),
    ],
)
def test_a_wrong_hello_is_refused(payload: str, problem: str) -> None:
    with pytest.raises(rpc.ProtocolError, match=problem):
        decode_hello(bytes.fromhex(payload))


def test_a_hello_that_no_peer_would_take_is_not_made() -> None:
    with pytest.raises(ValueError, match="65536 are accepted"):
        Terms(credentials="x" * 70_000)
    with pytest.raises(ValueError, match="HELLO: "):
        Terms(credentials="\ud800")


FIELDS = (
    rpc.Field(1, "properties", rpc.MapOf(rpc.STRING, rpc.STRING), default={}),
    rpc.Field(2, "compressions", rpc.ListOf(rpc.STRING), default=[]),
    rpc.Field(3, "largest", rpc.UINT, default=65_536),
    rpc.Field(4, "credentials", rpc.STRING, default=""),
)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(st.dictionaries(words, words), st.lists(words), st.integers(65_536, 2**32 - 1), words)
def test_a_hello_is_a_field_block(
    properties: dict[str, str], compressions: list[str], largest: int, credentials: str
) -> None:
    hello = Hello(properties, tuple(compressions), largest, credentials)
    block = Encoder(10).block(zip(FIELDS, (properties, compressions, largest, credentials), strict=True))
    assert encode_hello(hello) == frame(0, 0, 0, block)
    assert decode_hello(block) == hello


@given(st.binary(max_size=60))
def test_a_hello_is_read_as_a_field_block_is(data: bytes) -> None:
    try:
        expected = Decoder(data, rpc.Limits()).block(FIELDS, (), len(data))
        fits = expected[2] >= 65_536
    except Misfit:
        fits = False
    if fits:
        hello = decode_hello(data)
        assert [hello.properties, list(hello.compressions), *hello[2:]] == expected
    else:
        with pytest.raises(rpc.ProtocolError):
            decode_hello(data)


def test_a_hello_shows_no_secret() -> None:
    assert "hush" not in repr(Hello(credentials="hush"))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, 0),
        (0.5, 500),
        (0.0001, 1),
        (0.5001, 501),
        (1e-300, 1),
        (1e12, 2**32 - 1),
        (float("inf"), 2**32 - 1),
    ],
)
def test_milliseconds_are_rounded_up(seconds: float | None, expected: int) -> None:
    assert frames.milliseconds_left(seconds) == expected


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_call_whose_time_is_up_is_not_sent(seconds: float) -> None:
    with pytest.raises(rpc.DeadlineExceeded):
        frames.milliseconds_left(seconds)


@pytest.mark.parametrize(
    "payload",
    ["", "01", "01 00000005 61", "01 00000000 00000001", "01 00000001 ff 00000000", "01 00000000 00000000 00",
     "01 00000000 00000002 00000001 61 00000000 00000001 61 00000000", "01 00000000 00000001 00000001 61 00000001 ff"],
)  # fmt: skip
def test_a_fault_that_is_none_is_refused(payload: str) -> None:
    with pytest.raises(rpc.ProtocolError):
        frames.decode_fault(bytes.fromhex(payload))


def test_a_fault_s_code_that_is_not_known_is_internal() -> None:
    fault = frames.decode_fault(bytes.fromhex("c8 00000000 00000000"))
    assert fault.code is rpc.FaultCode.INTERNAL


def test_a_fault_always_fits() -> None:
    details = {"a": "b" * 40_000}
    fault = frames.decode_fault(frames.encode_fault(rpc.FaultCode.INTERNAL, "é\ud800" * 9_000, details))
    assert (fault.message, fault.details) == ("é?" * 500, {})


@pytest.mark.parametrize(
    "payload", ["", "00000001", "00000001 00000001", "00000001 00000000 00", "00000001 00000001 ff"]
)
def test_a_goaway_that_is_none_is_refused(payload: str) -> None:
    with pytest.raises(rpc.ProtocolError):
        frames.decode_goaway(bytes.fromhex(payload))


@pytest.mark.parametrize("metadata", [{1: b""}, {"a": "b"}, {"\ud800": b""}, [1], {"a": bytes(101)}])
def test_metadata_that_is_none_is_not_sent(metadata: typing.Any) -> None:
    with pytest.raises(rpc.EncodeError, match="metadata"):
        frames.encode_metadata(metadata, 100)


def test_every_state_says_what_may_come() -> None:
    kinds = {
        (side, state): sorted(set(words_received(side, state).values())) for side in Side for state in State
    }
    after_goaway = [2, 3, 5, 6, 7]
    assert kinds == {
        (Side.CLIENT, State.PREFACE): [],
        (Side.CLIENT, State.GREETING): [0],
        (Side.CLIENT, State.OPEN): after_goaway,
        (Side.CLIENT, State.DRAINING): after_goaway,
        (Side.CLIENT, State.LEAVING): after_goaway,
        (Side.CLIENT, State.PARTING): after_goaway,
        (Side.CLIENT, State.CLOSED): [],
        (Side.SERVER, State.PREFACE): [],
        (Side.SERVER, State.GREETING): [0],
        (Side.SERVER, State.OPEN): [1, 3, 4, 5, 6, 7],
        (Side.SERVER, State.DRAINING): [1, 3, 4, 5, 6, 7],
        (Side.SERVER, State.LEAVING): [3, 4, 5, 6, 7],
        (Side.SERVER, State.PARTING): [3, 4, 5, 6, 7],
        (Side.SERVER, State.CLOSED): [],
    }
