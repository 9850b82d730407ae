"""A connection's turns, in C and in Python: what is told when something is not as usual."""

from __future__ import annotations

import collections.abc
import errno
import os
import signal
import socket
import threading
import typing

import pytest

from rpcgen.runtime.contexts import Context
from rpcgen.runtime.sync import turns
from rpcgen.runtime.sync.client.dial import set_timeout
from rpcgen.runtime.wire import frames
from tests.support import services

Exchange: typing.TypeAlias = collections.abc.Callable[[int, bytes], typing.Any]
Pair: typing.TypeAlias = tuple[socket.socket, socket.socket]


@pytest.fixture(params=["c", "python"])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    if request.param == "c" and turns.serve is None:
        pytest.skip("the turns in C are not built, or not chosen")
    function = turns._exchange if request.param == "python" else turns.exchange
    return lambda fd, message: function(fd, message, 0.0, 0, LONGEST)


@pytest.fixture
def serve() -> typing.Any:
    if turns.serve is None:
        pytest.skip("the turns in C are not built, or not chosen")
    return turns.serve


def message(name: bytes, block: bytes = b"") -> bytes:
    return len(name).to_bytes(4, "big") + name + len(block).to_bytes(4, "big") + block


class Served:
    serving: object = True


def test_a_message_and_what_comes_back(exchange: Exchange, pair: Pair) -> None:
    one, other = pair
    other.send(b"back")
    assert exchange(one.fileno(), b"there") == b"back"
    assert other.recv(10) == b"there"


def test_no_more_than_one_receive(exchange: Exchange, pair: Pair) -> None:
    one, other = pair
    other.send(bytes(turns.ROOM + 5))
    assert exchange(one.fileno(), b"there") == bytes(turns.ROOM)
    assert one.recv(100) == bytes(5)


def test_the_end_of_the_connection(exchange: Exchange, pair: Pair) -> None:
    one, other = pair
    other.shutdown(socket.SHUT_WR)
    assert exchange(one.fileno(), b"there") == b""


def test_no_reply_in_time(exchange: Exchange, pair: Pair) -> None:
    one, _ = pair
    set_timeout(one, socket.SO_RCVTIMEO, 0.01)
    assert exchange(one.fileno(), b"there") == (5, errno.EAGAIN)


def test_a_broken_connection(exchange: Exchange, pair: Pair) -> None:
    one, other = pair
    other.close()
    assert exchange(one.fileno(), b"there") == (0, errno.EPIPE)


def test_no_connection_at_all(exchange: Exchange) -> None:
    assert exchange(-1, b"there") == (0, errno.EBADF)


@pytest.mark.parametrize("function", ["_exchange", "exchange"])
def test_a_message_that_finds_no_room(function: str, pair: Pair) -> None:
    one, _ = pair
    set_timeout(one, socket.SO_SNDTIMEO, 0.01)
    long = bytes(8 << 20)
    sent = getattr(turns, function)(one.fileno(), long, 0.01, 0, LONGEST)
    assert 0 < sent[0] < len(long)
    assert sent[1] in (0, errno.EAGAIN)
    assert getattr(turns, function)(one.fileno(), long, 0.01, 0, LONGEST) == (0, errno.EAGAIN)


def test_a_signal_whose_handler_returns_changes_nothing(exchange: Exchange, pair: Pair) -> None:
    one, other = pair
    handled = threading.Event()

    def handle(*_: object) -> None:
        handled.set()
        other.send(b"back")

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert exchange(one.fileno(), b"there") == b"back"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled.is_set()
    assert other.recv(10) == b"there"


def test_a_signal_whose_handler_raises_ends_it(exchange: Exchange, pair: Pair) -> None:
    def handle(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            exchange(pair[0].fileno(), b"there")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# A framed call


Call: typing.TypeAlias = collections.abc.Callable[[int, bytes, int, float], typing.Any]

LONGEST = 1 << 24

FRAME = bytes(services.DivideProtocol.codec().encode_frame((200, 100)))


@pytest.fixture(params=["c", "python"])
def call(request: pytest.FixtureRequest) -> Call:
    if request.param == "c" and turns.serve is None:
        pytest.skip("the turns in C are not built, or not chosen")
    function = turns.call if request.param == "c" else turns._call
    return lambda fd, frame, call_id, seconds: function(fd, frame, call_id, seconds, LONGEST)


def reply(call_id: int, payload: bytes = b"\x01\x40\0\0\0", word: int = 0x200) -> bytes:
    return frames.pack_head(len(payload) + 6, word, call_id) + payload


def test_a_call_and_its_reply(call: Call, pair: Pair) -> None:
    one, other = pair
    for call_id, seconds, left in ((7, 0.0, 0), (2**32 - 1, 1.2341, 1235), (8, 1e9, 2**32 - 1), (9, 1e-9, 1)):
        other.send(reply(call_id))
        assert call(one.fileno(), FRAME, call_id, seconds) == b"\x01\x40\0\0\0"
        expected = (
            FRAME[:6] + call_id.to_bytes(4, "big") + FRAME[10:17] + left.to_bytes(4, "big") + FRAME[21:]
        )
        assert other.recv(100) == expected


@pytest.mark.parametrize(
    "odd",
    [
        reply(8),
        reply(7)[:-1],
        reply(7) + b"x",
        reply(7, b""),
        reply(7, b"\0fault"),
        reply(7, word=0x201),
        reply(7, word=0x300),
        b"\0",
    ],
    ids=lambda odd: odd.hex(),
)
def test_what_is_not_the_reply_is_given_back(call: Call, pair: Pair, odd: bytes) -> None:
    one, other = pair
    other.send(odd)
    assert call(one.fileno(), FRAME, 7, 0.0) == (len(FRAME), 0, odd)


def test_a_call_that_fails(call: Call, pair: Pair) -> None:
    one, other = pair
    assert call(one.fileno(), FRAME, 2**32, 0.0) == (0, errno.EOVERFLOW, b"")
    set_timeout(one, socket.SO_RCVTIMEO, 0.01)
    assert call(one.fileno(), FRAME, 7, 0.0) == (len(FRAME), errno.EAGAIN, b"")
    other.recv(100)
    other.shutdown(socket.SHUT_WR)
    assert call(one.fileno(), FRAME, 7, 0.0) == (len(FRAME), 0, b"")
    other.recv(100)
    other.close()
    assert call(one.fileno(), FRAME, 7, 0.0) == (0, errno.EPIPE, b"")
    assert call(-1, FRAME, 7, 0.0) == (0, errno.EBADF, b"")


def test_a_signal_during_a_call(call: Call, pair: Pair) -> None:
    one, other = pair
    answers: list[typing.Callable[[], object]] = [lambda: other.send(reply(1)), lambda: 1 / 0]
    before = signal.signal(signal.SIGALRM, lambda *_: answers.pop(0)())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert call(one.fileno(), FRAME, 1, 0.0) == b"\x01\x40\0\0\0"
        assert other.recv(100)[:10] == FRAME[:9] + b"\x01"
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(ZeroDivisionError):
            call(one.fileno(), FRAME, 2, 0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "args",
    [
        (),
        (1, FRAME, 1, 0.0),
        (1, b"short", 1, 0.0, LONGEST),
        (1, "x", 1, 0.0, LONGEST),
        (1, FRAME[:10] + b"\xff" + bytes(10), 1, 0.0, LONGEST),
        (1, FRAME, "1", 0.0, LONGEST),
        (1, FRAME, 1, "0", LONGEST),
        (1, FRAME, 1, 0.0, "1"),
    ],
)
def test_arguments_that_are_no_call(serve: typing.Any, args: tuple[typing.Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        turns.call(*args)


def test_usual_calls_are_answered_until_something_else_comes(serve: typing.Any, pair: Pair) -> None:
    one, other = pair
    answers = {"é": lambda block: b"1" + block}
    got = []

    def call() -> None:
        for block in (b"a", b"b"):
            other.send(message("é".encode(), block))
            got.append(other.recv(10))
        other.send(b"something else")

    caller = threading.Thread(target=call)
    caller.start()
    assert serve(one.fileno(), answers, int, Served(), Context(""), 255, 1000) == b"something else"
    caller.join()
    assert got == [b"1a", b"1b"]


@pytest.mark.parametrize(
    "odd",
    [
        message(b"unknown"),
        message(b"\xff"),
        message(b"known")[:-1],
        message(b"known") + b"\0",
        message(b"known") * 2,
        message(b"x" * 9),
        message(b"known", bytes(60)),
        b"\xff" * 8,
        b"\xff" * 3,
        b"",
    ],
    ids=lambda odd: odd[:12].hex(),
)
def test_anything_else_is_given_back(serve: typing.Any, pair: Pair, odd: bytes) -> None:
    one, other = pair
    if odd:
        other.send(odd)
    else:
        other.shutdown(socket.SHUT_WR)
    answers = {"known": lambda block: b"1", "x" * 9: lambda block: b"1"}
    assert serve(one.fileno(), answers, int, Served(), Context(""), 8, 50) == odd


def test_quiet(serve: typing.Any, pair: Pair) -> None:
    set_timeout(pair[0], socket.SO_RCVTIMEO, 0.01)
    assert serve(pair[0].fileno(), {}, int, Served(), Context(""), 8, 50) is None


def test_a_thread_that_is_wanted_leaves(serve: typing.Any, pair: Pair) -> None:
    one, other = pair
    stopping = Served()
    stopping.serving = False
    for waiting, served in ((lambda: 1, Served()), (int, stopping)):
        other.send(message(b"known"))
        assert serve(
            one.fileno(), {"known": lambda block: b"reply"}, waiting, served, Context(""), 8, 50
        ) == (b"reply", 5)
        assert other.recv(10) == b"reply"


def test_a_reply_that_finds_no_room(serve: typing.Any, pair: Pair) -> None:
    one, other = pair
    set_timeout(one, socket.SO_SNDTIMEO, 0.01)
    long = bytes(8 << 20)
    other.send(message(b"known"))
    reply, sent = serve(one.fileno(), {"known": lambda block: long}, int, Served(), Context(""), 8, 50)
    assert reply is long
    assert 0 < sent < len(long)
    other.send(message(b"known"))
    assert serve(one.fileno(), {"known": lambda block: long}, int, Served(), Context(""), 8, 50) == (long, 0)


def test_what_an_answer_or_a_question_raises(serve: typing.Any, pair: Pair) -> None:
    one, other = pair

    def fails(*_: object) -> typing.NoReturn:
        raise LookupError

    class Fails:
        serving = property(fails)

    for answer, waiting, served, error in (
        (fails, int, Served(), LookupError),
        (lambda block: b"1", fails, Served(), LookupError),
        (lambda block: b"1", int, Fails(), LookupError),
        (lambda block: "text", int, Served(), TypeError),
        (lambda block: b"", int, Served(), TypeError),
    ):
        other.send(message(b"known"))
        with pytest.raises(error):
            serve(one.fileno(), {"known": answer}, waiting, served, Context(""), 8, 50)


def test_a_connection_that_breaks_under_the_server(serve: typing.Any, pair: Pair) -> None:
    one, other = pair
    other.send(message(b"known"))

    def close(block: bytes) -> bytes:
        other.close()
        return b"1"

    with pytest.raises(BrokenPipeError):
        serve(one.fileno(), {"known": close}, int, Served(), Context(""), 8, 50)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        serve(-1, {}, int, Served(), Context(""), 8, 50)


@pytest.mark.parametrize(
    "args",
    [
        (),
        (1, {}, int, Served(), Context(""), 8),
        (1, [], int, Served(), Context(""), 8, 50),
        ("1", {}, int, Served(), Context(""), 8, 50),
    ],
)
def test_arguments_that_serve_nothing(serve: typing.Any, args: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        serve(*args)


@pytest.mark.parametrize(
    "args",
    [(1, b"x"), (1, "text", 0.0, 0, 9), (1, b"", 0.0, 0, 9), ("1", b"x", 0.0, 0, 9), (1, b"x", "", 0, 9)],
)
def test_arguments_that_are_no_exchange(serve: typing.Any, args: tuple[typing.Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        turns.exchange(*args)
