"""What must hold of any bytes, one function a target. Whatever one raises is a fault of rpcgen.

The first bytes of an input choose the circumstances, the others are what comes.
"""

from __future__ import annotations

import typing

from fuzz.schemas import codecs
from rpcgen import runtime as rpc
from rpcgen.runtime.discovery.embedded.protocol import (
    BadRequest,
    Lines,
    Oversized,
    read_request,
    refused,
)
from rpcgen.runtime.wire.client import ClientSession
from rpcgen.runtime.wire.events import CALL, ENDED, Event
from rpcgen.runtime.wire.hello import Terms
from rpcgen.runtime.wire.plain import CallReader
from rpcgen.runtime.wire.server import ServerSession
from rpcgen.runtime.wire.session import Session
from tests.support.framed import HELLO, PREFACE, frame, in_pieces, plain, sent
from tests.support.schemas import normal, outcome

LIMITS = rpc.Limits(name=20, message=20_000, items=2_000, nesting=8, metadata=200)

Target: typing.TypeAlias = typing.Callable[[bytes], None]


def server_session(data: bytes) -> None:
    """Any split gives a server the same events, and it answers what it was asked."""
    circumstances, step, stream = _parted(data)
    terms = Terms(LIMITS if circumstances & 1 else rpc.Limits(), calls=3 if circumstances & 2 else 10_000)
    if circumstances & 4:
        stream = PREFACE + HELLO + stream

    def made() -> ServerSession:
        return ServerSession(terms)

    for session, events in _both(made, stream, step, into=bool(circumstances & 8)):
        for event in events:
            if event[0] == CALL and not event[6] and not session.is_closed:
                session.send_reply(event[1], b"\1")
        _end(session, events)


def client_session(data: bytes) -> None:
    """Any split gives a client the same events; each caller hears once what became of his call."""
    circumstances, step, stream = _parted(data)
    if circumstances & 4:
        stream = HELLO + stream
    terms = Terms(LIMITS if circumstances & 1 else rpc.Limits(), compress=("gzip",), compress_from=64)

    def made() -> ClientSession:
        client = ClientSession(terms)
        for number in range(5):
            client.send_call("divide", bytes(number), caller=number)
        client.send_call("log", b"", no_reply=True)
        sent(client)
        if circumstances & 16:
            client.ping()
            client.cancel(2)
        return client

    for session, events in _both(made, stream, step, into=bool(circumstances & 8)):
        events += _end(session, events)
        told: list[int] = []
        for event in events:
            if event[0] in (2, 3):
                told.append(typing.cast(int, event[1]))
            elif event[0] == 7:
                told += event[3]
            elif event[0] == ENDED:
                told += event[2] + event[3]
        expected = [0, 2, 3, 4] if circumstances & 16 else list(range(5))
        assert sorted(told) == expected, told


def plain_calls(data: bytes) -> None:
    """Any split gives the same calls, and then the same error."""
    circumstances, step, stream = _parted(data)
    limits = LIMITS if circumstances & 1 else rpc.Limits()
    found = []
    for size in (max(1, len(stream)), step):
        reader, calls = CallReader(limits), []
        try:
            for begin in range(0, len(stream), size):
                call = reader.take(stream[begin : begin + size])
                while call is not None:
                    calls.append((call[0], bytes(call[1])))
                    call = reader.next_call()
        except rpc.ProtocolError:
            calls.append(("ProtocolError", b""))
        found.append(calls)
    assert found[0] == found[1], found


def arguments(data: bytes) -> None:
    """All codecs find the same in a call's arguments; what they find, they can write, and read again."""
    made, block = codecs(data[0] if data else 0), data[1:]
    expected = outcome(made.reference.decode_args, block, LIMITS)
    for codec in made.others:
        assert outcome(codec.decode_args, block, LIMITS) == expected
    if not _is_error(expected):
        values = made.reference.decode_args(block, LIMITS)
        # It may be more than was read: what is left out is written where the default is none.
        whole = outcome(made.reference.encode_call, values)
        for codec in made.others:
            assert outcome(codec.encode_call, values) == whole
        if not _is_error(whole):
            again = made.reference.encode_call(values)[len("do.it") + 8 :]
            assert normal(made.reference.decode_args(again)) == normal(values)


def replies(data: bytes) -> None:
    """All codecs find the same in a reply, and its end, however it comes."""
    made, step = codecs(data[0] if data else 0), data[1] + 1 if len(data) > 1 else 1
    reply = data[2:]
    expected = outcome(made.reference.decode_reply, reply, LIMITS)
    ends = set()
    for codec in (made.reference, *made.others):
        assert outcome(codec.decode_reply, reply, LIMITS) == expected
        for size in (max(1, len(reply)), step):
            ends.add(_end_of(codec, reply, size))
    assert len(ends) == 1, ends
    if not _is_error(expected):
        assert ends == {len(reply)}


def registry_lines(data: bytes) -> None:
    """A registry reads requests, or says in one line of JSON what is wrong; its client survives any answer."""
    import json

    import msgspec

    from rpcgen.runtime.discovery.embedded.session import Enrolment, Session as Talk
    from rpcgen.runtime.registry import Instance, Watch

    circumstances, step, stream = _parted(data)
    limit = 64 if circumstances & 1 else 64 * 1024
    found = []
    for size in (max(1, len(stream)), step):
        lines, came = Lines(limit), []
        try:
            for begin in range(0, len(stream), size):
                lines.feed(stream[begin : begin + size])
                while (line := lines.next()) is not None:
                    came.append(bytes(line))
        except Oversized:
            pass  # how much of what stands before it is given depends on when it shows
        else:
            found.append(came)
    assert len(found) < 2 or found[0] == found[1]
    for line in found[0] if found else ():
        try:
            read_request(line)
        except BadRequest as problem:
            answer = refused(str(problem))
            assert answer.count(b"\n") == 1
            assert json.loads(answer)["ok"] is False
    talk = Talk(9.0, None, 4.0)
    talk.enrol(Enrolment("k", "i", "t", 9.0, msgspec.Raw(Instance("h", 1).encode())))
    watch = Watch(lambda snapshot: None, lambda: None)
    talk.watch("k", watch)
    talk.connected(0.0)
    talk.due(0.0)
    try:
        told = talk.received(found[0] if found else [], 0.0)
    except ValueError:
        told = []  # what is no answer ends the connection
    for tell in told:
        tell()
    talk.due(1.0)


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (server_session, client_session, plain_calls, arguments, replies, registry_lines)
}


def _parted(data: bytes) -> tuple[int, int, bytes]:
    """Gives the circumstances, the size of pieces, and what comes."""
    head = data[:2].ljust(2, b"\0")
    return head[0], head[1] + 1, data[2:]


S = typing.TypeVar("S", bound=Session)


def _both(
    made: typing.Callable[[], S], stream: bytes, step: int, *, into: bool
) -> list[tuple[S, list[Event]]]:
    """Gives two sessions and their events: of the stream as a whole, and in pieces."""
    whole, pieces = made(), made()
    first = whole.receive(stream)
    second = in_pieces(pieces, stream, range(step, len(stream), step), into=into)
    assert _told(first) == _told(second)
    assert sent(whole) == sent(pieces)
    return [(whole, first), (pieces, second)]


def _told(events: list[Event]) -> list[typing.Any]:
    """Gives events without the words of what ended the session: they tell the bytes that had come by then."""
    return [
        (event[0], event[1][0], *event[2:]) if event[0] == ENDED and event[1] else event
        for event in plain(events)
    ]


def _end(session: Session, events: list[Event]) -> list[Event]:
    """Ends a session, and looks at how it ended."""
    more = session.receive_end()
    ends = [event for event in (*events, *more) if event[0] == ENDED]
    assert len(ends) == 1
    assert isinstance(ends[0][1], rpc.ProtocolError | rpc.ConnectionLost | rpc.RemoteFault | None)
    assert session.is_closed
    assert session.receive(frame(5, payload=bytes(8))) == []
    return more


def _is_error(result: typing.Any) -> bool:
    return (
        isinstance(result, tuple)
        and isinstance(result[0], type)
        and issubclass(result[0], rpc.RpcError)
        and isinstance(result[1], str)
    )


def _end_of(codec: typing.Any, reply: bytes, size: int) -> object:
    scan = codec.reply_scan(LIMITS)
    try:
        for end in (*range(size, len(reply), size), len(reply)):
            if scan.advance(reply[:end]):
                return scan.end
    except rpc.ProtocolError:
        return "ProtocolError"
    return None
