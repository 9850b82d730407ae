"""Turns with long frames, which come and go in parts: whole in the end, or told as far as they went."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import itertools
import signal
import socket
import termios
import threading
import time
import typing

import pytest
from hypothesis import given, settings, strategies as st

from rpcgen.runtime.contexts import Context
from rpcgen.runtime.sync import turns
from rpcgen.runtime.sync.client.dial import set_timeout
from tests.support import framed, services
from tests.support.raw import call as raw_call, exactly, tcp_pair
from tests.support.waiting import until

if turns.serve_frames is None:
    pytest.skip("the turns in C are not built, or not chosen", allow_module_level=True)
from rpcgen.runtime.wire.tailed import Tailed

LONGEST = 1 << 24

Pair: typing.TypeAlias = tuple[socket.socket, socket.socket]
Making: typing.TypeAlias = typing.Callable[[], Pair]

PAIRS = st.sampled_from([socket.socketpair, tcp_pair])


@pytest.fixture(params=[socket.socketpair, tcp_pair], ids=["unix", "tcp"])
def link(request: pytest.FixtureRequest) -> typing.Iterator[Pair]:
    """As ``pair``, of either kind; its reader is woken by any byte afterwards."""
    one, other = request.param()
    with one, other:
        for each in (one, other):
            set_timeout(each, socket.SO_RCVTIMEO, 20)
        yield one, other
        assert woken_by(one) == 1


def woken_by(sock: socket.socket) -> int:
    """Gives how many bytes must have come for a thread to be woken."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) if sock.fileno() >= 0 else 1


def pending(sock: socket.socket) -> int:
    """Gives how many bytes have come that nobody has received."""
    count = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, count)
    return count[0]


class Served:
    serving: object = True


def echo_frame(data: bytes) -> typing.Any:
    """Gives the frame of a call, in two pieces where the data is long."""
    return services.EchoProtocol.codec().encode_frame((data,))


AT_ONCE = 80_000
"""Bytes that sockets' buffers take whole; the sender of more may have to wait, and be late however quick it is."""

SERVERS_QUIET, CLIENTS_QUIET = 0.005, 0.05
"""Seconds; what nothing follows for so long is late."""


def may_be_late(message: bytes, cuts: typing.Sequence[int], began: float, quiet: float) -> bool:
    """Says whether a part may not have come in time: it was cut, or its sender had to wait, and so has the reader."""
    return bool(cuts) or (len(message) > AT_ONCE and time.monotonic() - began >= quiet)


def replying(
    sock: socket.socket, size: int, parts: typing.Sequence[bytes]
) -> tuple[threading.Thread, list[bytes]]:
    """Reads so many bytes and answers in these parts; gives the thread, and what it will have read."""
    got: list[bytes] = []

    def work() -> None:
        got.append(exactly(sock, size))
        with contextlib.suppress(OSError):  # nobody takes the rest
            for part in parts:
                sock.sendall(part)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, got


def talking(
    sock: socket.socket, parts: typing.Sequence[bytes], replied: int
) -> tuple[threading.Thread, list[bytes]]:
    """Sends these parts, reads so many bytes and says that no more comes; gives the thread, and what it will have read.

    What comes at once is there when this returns.
    """
    got: list[bytes] = []
    if len(parts) == 1 and len(parts[0]) <= AT_ONCE:
        sock.sendall(parts[0])
        parts = ()

    def work() -> None:
        with contextlib.suppress(OSError):  # nobody takes the rest
            for part in parts:
                sock.sendall(part)
            got.append(exactly(sock, replied))
            sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, got


def answering(replied: int) -> tuple[typing.Callable[[typing.Any], typing.Any], list[typing.Any]]:
    """Gives an answer that ends with so many bytes, and the arguments that it will have been given."""
    blocks: list[typing.Any] = []

    def answer(given: typing.Any) -> typing.Any:
        blocks.append(given)
        tail = b"r" * replied
        return Tailed(b"\x01head", tail) if replied >= 65_536 else b"\x01head" + tail

    return answer, blocks


SIZES = st.sampled_from([0, 10, 4_000, 5_000, 16_300, 16_384, 20_000, 65_530, 65_536, 70_000, 400_000])


class TestCall:
    @settings(max_examples=60, deadline=None)
    @given(PAIRS, SIZES, SIZES, st.booleans(), st.lists(st.integers(0, 400_000), max_size=4))
    def test_any_lengths_in_any_parts(
        self, make: Making, sent: int, replied: int, one_value: bool, cuts: list[int]
    ) -> None:
        message = echo_frame(bytes(sent))
        before = bytes(message)
        payload = (
            b"\x01" + (replied.to_bytes(4, "big") if one_value else b"\x07\x07\x07\x07") + b"r" * replied
        )
        reply = framed.frame(2, 0, 7, payload)
        places = sorted({0, len(reply), *(min(cut, len(reply)) for cut in cuts)})
        one, other = make()
        with one, other:
            thread, got = replying(other, len(before), [reply[a:b] for a, b in itertools.pairwise(places)])
            began = time.monotonic()
            found = turns.call(one.fileno(), message, 7, 0.0, LONGEST)
            one.close()
            thread.join()
            if isinstance(
                found, tuple
            ):  # the first part was not the beginning of a reply, or a part came late
                size, number, come = found
                assert (size, number) == (len(before), 0)
                assert reply.startswith(come)
                assert may_be_late(reply, cuts, began, CLIENTS_QUIET)
            else:
                assert bytes(found) == payload
                assert isinstance(found, Tailed) == (one_value and replied >= 65_536)
        assert got == [before[:6] + (7).to_bytes(4, "big") + before[10:]]

    def test_a_reply_that_stops_is_given_back_as_far_as_it_came(self, link: Pair) -> None:
        one, other = link
        for payload in (b"\x01" + bytes(100_000), b"\x01" + (100_000).to_bytes(4, "big") + bytes(100_000)):
            begun = framed.frame(2, 0, 7, payload)[:-1]
            message = echo_frame(b"x")
            thread, _ = replying(other, len(message), [begun])
            assert turns.call(one.fileno(), message, 7, 0.0, LONGEST) == (len(message), 0, begun)
            thread.join()

    def test_a_thread_that_waits_for_more_takes_what_there_is_in_the_end(self) -> None:
        one, other = tcp_pair()
        message, payload = echo_frame(b"x"), b"\x01" + (1 << 20).to_bytes(4, "big") + bytes(1 << 20)
        reply = framed.frame(2, 0, 7, payload)

        def talk() -> None:
            exactly(other, len(message))
            other.sendall(reply[:500_000])
            until(lambda: pending(one) == 0)
            other.sendall(reply[500_000:])

        with one, other:
            thread = threading.Thread(target=talk)
            thread.start()
            found = turns.call(one.fileno(), message, 7, 0.0, LONGEST)
            assert woken_by(one) == 1
            # Where the other half came too late, the first is given back.
            come = found[2] if isinstance(found, tuple) else framed.frame(2, 0, 7, bytes(found))
            assert len(come) >= 500_000
            assert come + exactly(one, len(reply) - len(come)) == reply
            thread.join()

    def test_a_reply_that_ends_with_the_connection(self, link: Pair) -> None:
        one, other = link
        begun = framed.frame(2, 0, 7, b"\x01" + bytes(50_000))[:20_000]
        other.send(begun)
        other.shutdown(socket.SHUT_WR)
        message = echo_frame(b"x")
        assert turns.call(one.fileno(), message, 7, 0.0, LONGEST) == (len(message), 0, begun)

    def test_a_reply_above_the_limit_is_given_back_at_once(self, pair: Pair) -> None:
        one, other = pair
        begun = framed.frame(2, 0, 7, b"\x01" + bytes(50_000))[:15_000]
        other.send(begun)
        message = echo_frame(b"x")
        assert turns.call(one.fileno(), message, 7, 0.0, 50_000) == (len(message), 0, begun)

    @pytest.mark.parametrize("data", [bytes(60_000), bytes(8 << 20)], ids=["one piece", "two pieces"])
    def test_the_time_is_up_while_it_is_sent(self, pair: Pair, data: bytes) -> None:
        one, _ = pair
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5_000)
        message = echo_frame(data)
        sent, number, come = typing.cast(
            "tuple[int, int, bytes]", turns.call(one.fileno(), message, 7, 0.05, LONGEST)
        )
        assert 0 < sent < len(message)
        assert (number, come) == (errno.EAGAIN, b"")

    def test_the_time_is_up_once_it_is_sent(self, pair: Pair) -> None:
        one, other = pair
        message = echo_frame(bytes(100_000))
        thread, got = replying(other, len(message), [])
        assert turns.call(one.fileno(), message, 7, 0.05, LONGEST) == (len(message), errno.EAGAIN, b"")
        thread.join()
        place = 11 + message[10]
        assert got[0][place : place + 4] == (50).to_bytes(4, "big")

    def test_the_peer_goes_while_it_is_sent(self, pair: Pair) -> None:
        one, other = pair
        other.close()
        message = echo_frame(bytes(8 << 20))
        found = turns.call(one.fileno(), message, 7, 0.0, LONGEST)
        assert isinstance(found, tuple)
        assert found[1] in (errno.EPIPE, errno.ECONNRESET)
        assert found[0] < len(message)

    @pytest.mark.parametrize("raises", [False, True])
    @pytest.mark.parametrize("where", ["sending", "receiving"])
    def test_a_signal(self, link: Pair, where: str, raises: bool) -> None:
        one, other = link
        message = echo_frame(bytes(4 << 20) if where == "sending" else b"x")
        reply = framed.frame(2, 0, 7, b"\x01" + bytes(3 << 20))

        def handle(*_: object) -> None:
            if raises:
                raise KeyboardInterrupt
            work()

        def talk() -> None:
            with contextlib.suppress(OSError):  # the call came to its end without it
                exactly(other, len(message))
                other.sendall(reply[20_000:] if is_begun else reply)

        def work() -> None:
            thread = threading.Thread(target=talk)
            thread.start()
            threads.append(thread)

        def again() -> typing.NoReturn:
            while True:  # what is given back as it came is no signal
                turns.call(one.fileno(), message, 7, 0.0, LONGEST)

        threads: list[threading.Thread] = []
        is_begun = where == "receiving"
        if is_begun:
            other.send(reply[:20_000])
        before = signal.signal(signal.SIGALRM, handle)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            if raises:
                with pytest.raises(KeyboardInterrupt):
                    again()
            else:
                found = turns.call(one.fileno(), message, 7, 0.0, LONGEST)
                assert isinstance(found, bytes) or (is_begun and isinstance(found, tuple))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            one.close()
            for thread in threads:
                thread.join()


def serve(
    sock: socket.socket, answers: typing.Any, longest: int = LONGEST, shortest: int = LONGEST
) -> typing.Any:
    assert turns.serve_frames is not None
    return turns.serve_frames(
        sock.fileno(),
        answers,
        int,
        typing.cast(typing.Any, Served()),
        Context(""),
        [],
        lambda call_id, deadline: None,
        lambda: None,
        0,
        longest,
        shortest,
    )


def plain_serve(
    sock: socket.socket, answers: typing.Any, waiting: typing.Callable[[], int] = int
) -> typing.Any:
    assert turns.serve is not None
    served = typing.cast(typing.Any, Served())
    return turns.serve(sock.fileno(), answers, waiting, served, Context(""), 255, LONGEST)


class TestServe:
    @settings(max_examples=60, deadline=None)
    @given(PAIRS, SIZES, SIZES, st.lists(st.integers(0, 400_000), max_size=4))
    def test_any_lengths_in_any_parts(self, make: Making, sent: int, replied: int, cuts: list[int]) -> None:
        block = b"\x01\0\0\0\x03key\x02" + sent.to_bytes(4, "big") + b"c" * sent
        call = framed.frame(1, 0, 5, framed.call("put", block))
        places = sorted({0, len(call), *(min(cut, len(call)) for cut in cuts)})
        answer, blocks = answering(replied)
        one, other = make()
        with one, other:
            thread, got = talking(
                other, [call[begin:end] for begin, end in itertools.pairwise(places)], 15 + replied
            )
            began = time.monotonic()
            last, data, what = serve(one, {"put": answer})
            if blocks:
                assert (last, data, what) == (5, b"", turns.RECEIVED)
                assert blocks == [block]
                assert isinstance(blocks[0], Tailed) == (sent >= 65_536)
            else:  # parts came late: what came is given back
                assert (last, what) == (0, turns.RECEIVED)
                assert call.startswith(data)
                assert may_be_late(call, cuts, began, SERVERS_QUIET)
                one.close()
            thread.join()
        if blocks:
            assert got == [framed.frame(2, 0, 5, b"\x01head" + b"r" * replied)]

    @pytest.mark.parametrize("one_value", [False, True])
    def test_a_call_that_stops_is_given_back_as_far_as_it_came(self, link: Pair, one_value: bool) -> None:
        one, other = link
        block = b"\x01" + (100_000).to_bytes(4, "big") * one_value + bytes(100_000)
        begun = framed.frame(1, 0, 5, framed.call("put", block))[:-1]
        thread = threading.Thread(target=lambda: other.sendall(begun))
        thread.start()
        assert serve(one, {"put": lambda block: b"\x01"}) == (0, begun, turns.RECEIVED)
        thread.join()

    @pytest.mark.parametrize("name", ["put", "other"])
    def test_a_call_above_the_limit_or_of_nothing_known(self, pair: Pair, name: str) -> None:
        one, other = pair
        begun = framed.frame(1, 0, 5, framed.call(name, bytes(100_000)))[:10_000]
        other.send(begun)
        longest = 100_000 if name == "put" else LONGEST
        assert serve(one, {"put": lambda block: b"\x01"}, longest) == (0, begun, turns.RECEIVED)

    @pytest.mark.parametrize("in_two", [False, True])
    def test_a_reply_that_finds_no_room_is_given_back_with_what_was_sent(
        self, pair: Pair, in_two: bool
    ) -> None:
        one, other = pair
        set_timeout(one, socket.SO_SNDTIMEO, 0.01)
        tail = bytes(8 << 20)
        reply: typing.Any = Tailed(b"\x01", tail) if in_two else b"\x01" + tail
        whole = framed.frame(2, 0, 5, b"\x01" + tail)
        other.send(framed.frame(1, 0, 5, framed.call("put")))
        last, data, sent = serve(one, {"put": lambda block: reply})
        assert last == 5
        assert 0 < sent < len(whole)
        assert bytes(data) == whole
        assert exactly(other, sent) == whole[:sent]

    def test_a_reply_that_is_to_be_looked_at(self, pair: Pair) -> None:
        one, other = pair
        reply = b"\x01" + bytes(70_000)
        other.send(framed.frame(1, 0, 5, framed.call("put")))
        assert serve(one, {"put": lambda block: reply}, shortest=70_001) == (5, reply, turns.UNANSWERED)

    def test_the_client_has_gone(self, pair: Pair) -> None:
        one, other = pair
        other.send(framed.frame(1, 0, 5, framed.call("put")))

        def answer(block: object) -> bytes:
            other.close()
            return b"\x01" + bytes(100_000)

        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            serve(one, {"put": answer})


class TestPlain:
    """The same in plain messages, where nothing but the method's type tells how long a reply is."""

    @settings(max_examples=60, deadline=None)
    @given(PAIRS, SIZES, SIZES, st.sampled_from([1, 2]), st.lists(st.integers(0, 400_000), max_size=4))
    def test_exchange_with_any_lengths_in_any_parts(
        self, make: Making, sent: int, replied: int, tail: int, cuts: list[int]
    ) -> None:
        message = services.EchoProtocol.codec().encode_plain((bytes(sent),))
        before = bytes(message)
        reply = b"\x01" * tail + replied.to_bytes(4, "big") + b"r" * replied
        places = sorted({0, len(reply), *(min(cut, len(reply)) for cut in cuts)})
        one, other = make()
        with one, other:
            thread, got = replying(other, len(before), [reply[a:b] for a, b in itertools.pairwise(places)])
            began = time.monotonic()
            found = turns.exchange(one.fileno(), message, 0.0, tail, LONGEST)
            one.close()
            thread.join()
        assert isinstance(found, bytes | Tailed)
        assert reply.startswith(bytes(found))
        if isinstance(found, Tailed):
            assert (found.head, found.tail) == (reply[: tail + 4], b"r" * replied)
            assert replied >= 65_536
        elif not may_be_late(reply, cuts, began, CLIENTS_QUIET):
            assert len(found) == min(len(reply), turns.ROOM)
            assert replied < 65_536
        assert got == [before]

    @pytest.mark.parametrize(
        ("begun", "tail", "longest"),
        [
            (b"\x01" + (100_000).to_bytes(4, "big") + bytes(9_000), 0, LONGEST),
            (b"\x01" + (100_000).to_bytes(4, "big") + bytes(9_000), 1, 100_004),
            (b"\x02" + (100_000).to_bytes(4, "big") + bytes(9_000), 1, LONGEST),
            (b"\x01\0" + (100_000).to_bytes(4, "big") + bytes(9_000), 2, LONGEST),
            (b"\x01" + (65_535).to_bytes(4, "big") + bytes(9_000), 1, LONGEST),
            (b"\x01" + (65_536).to_bytes(4, "big")[:3], 1, LONGEST),
        ],
        ids=["no bytes", "above the limit", "raised", "none", "not long", "too little"],
    )
    def test_what_is_not_long_bytes_is_one_receive(
        self, pair: Pair, begun: bytes, tail: int, longest: int
    ) -> None:
        one, other = pair
        other.send(begun)
        assert turns.exchange(one.fileno(), b"there", 0.0, tail, longest) == begun

    @pytest.mark.parametrize("ends", [False, True])
    def test_a_reply_that_stops_is_given_back_as_far_as_it_came(self, link: Pair, ends: bool) -> None:
        one, other = link
        begun = b"\x01" + (100_000).to_bytes(4, "big") + bytes(20_000)
        other.send(begun)
        if ends:
            other.shutdown(socket.SHUT_WR)
        assert turns.exchange(one.fileno(), b"there", 0.0, 1, LONGEST) == begun

    def test_the_time_is_up_once_it_is_sent(self, pair: Pair) -> None:
        one, other = pair
        message = bytes(100_000)
        thread, got = replying(other, len(message), [])
        assert turns.exchange(one.fileno(), message, 0.05, 1, LONGEST) == (len(message), errno.EAGAIN)
        thread.join()
        assert got == [message]

    @settings(max_examples=60, deadline=None)
    @given(PAIRS, SIZES, SIZES, st.lists(st.integers(0, 400_000), max_size=4))
    def test_serve_with_any_lengths_in_any_parts(
        self, make: Making, sent: int, replied: int, cuts: list[int]
    ) -> None:
        block = b"\x01\0\0\0\x03key\x02" + sent.to_bytes(4, "big") + b"c" * sent
        call = raw_call("put", block)
        places = sorted({0, len(call), *(min(cut, len(call)) for cut in cuts)})
        answer, blocks = answering(replied)
        one, other = make()
        with one, other:
            thread, got = talking(
                other, [call[begin:end] for begin, end in itertools.pairwise(places)], 5 + replied
            )
            began = time.monotonic()
            data = plain_serve(one, {"put": answer})
            if blocks:
                assert data == b""
                assert blocks == [block]
                assert isinstance(blocks[0], Tailed) == (sent >= 65_536)
            else:  # parts came late: what came is given back
                assert call.startswith(data)
                assert may_be_late(call, cuts, began, SERVERS_QUIET)
                one.close()
            thread.join()
        if blocks:
            assert got == [b"\x01head" + b"r" * replied]

    def test_a_call_that_stops_is_given_back_as_far_as_it_came(self, link: Pair) -> None:
        one, other = link
        begun = raw_call("put", b"\x01" + (100_000).to_bytes(4, "big") + bytes(100_000))[:-1]
        thread = threading.Thread(target=lambda: other.sendall(begun))
        thread.start()
        assert plain_serve(one, {"put": lambda block: b"\x01"}) == begun
        thread.join()

    @pytest.mark.parametrize("in_two", [False, True])
    def test_a_reply_that_finds_no_room_is_given_back_with_what_was_sent(
        self, pair: Pair, in_two: bool
    ) -> None:
        one, other = pair
        set_timeout(one, socket.SO_SNDTIMEO, 0.01)
        tail = bytes(8 << 20)
        reply: typing.Any = Tailed(b"\x01", tail) if in_two else b"\x01" + tail
        other.send(raw_call("put", b""))
        data, sent = plain_serve(one, {"put": lambda block: reply})
        assert data is reply
        assert 0 < sent < len(reply)
        assert exactly(other, sent) == bytes(reply)[:sent]

    def test_the_thread_is_wanted_elsewhere_after_a_long_reply(self, pair: Pair) -> None:
        one, other = pair
        reply: typing.Any = Tailed(b"\x01", bytes(70_000))
        thread, got = talking(other, [raw_call("put", b"")], len(reply))
        assert plain_serve(one, {"put": lambda block: reply}, lambda: 1) == (reply, len(reply))
        thread.join()
        assert got == [bytes(reply)]

    def test_the_client_has_gone(self, pair: Pair) -> None:
        one, other = pair
        other.send(raw_call("put", b""))

        def answer(block: object) -> bytes:
            other.close()
            return b"\x01" + bytes(100_000)

        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            plain_serve(one, {"put": answer})


class TestDeadline:
    """A call that says how long its client waits."""

    def served(
        self, sock: socket.socket, answer: typing.Any, enter: typing.Any, leave: typing.Any
    ) -> typing.Any:
        assert turns.serve_frames is not None
        served = typing.cast(typing.Any, Served())
        return turns.serve_frames(
            sock.fileno(), {"put": answer}, int, served, Context(""), [], enter, leave, 0, LONGEST, LONGEST
        )

    @pytest.mark.parametrize("size", [1, 100_000])
    def test_its_handler_runs_between_enter_and_leave(self, pair: Pair, size: int) -> None:
        one, other = pair
        said: list[typing.Any] = []

        def enter(call_id: int, deadline: float) -> Context:
            said.append((call_id, deadline))
            return Context("")

        def answer(block: object) -> bytes:
            said.append("handler")
            return b"\x01"

        got: list[bytes] = []

        def talk() -> None:
            other.sendall(framed.frame(1, 0, 5, framed.call("put", bytes(size), 2500)))
            got.append(exactly(other, 11))
            other.shutdown(socket.SHUT_WR)

        before = time.monotonic()
        thread = threading.Thread(target=talk)
        thread.start()
        assert self.served(one, answer, enter, lambda: said.append("left")) == (5, b"", turns.RECEIVED)
        thread.join()
        assert got == [framed.frame(2, 0, 5, b"\x01")]
        (call_id, deadline), *rest = said
        assert call_id == 5
        assert before + 2.5 <= deadline <= time.monotonic() + 2.5
        assert rest == ["handler", "left"]

    def test_its_time_is_up(self, pair: Pair) -> None:
        one, other = pair
        other.send(framed.frame(1, 0, 5, framed.call("put", b"", 1)))
        said: list[str] = []
        found = self.served(
            one, lambda block: said.append("run"), lambda *_: None, lambda: said.append("left")
        )
        assert found == (5, None, turns.UNANSWERED)
        assert said == []

    def test_metadata_of_its_own(self, pair: Pair) -> None:
        one, other = pair
        other.send(framed.frame(1, 0, 5, framed.call("put", b"", 1000)))
        own, said = Context(""), []

        def answer(block: object) -> bytes:
            own.reply_metadata["key"] = b"value"
            return b"\x01"

        assert self.served(one, answer, lambda *_: own, lambda: said.append("left")) == (
            5,
            b"\x01",
            turns.UNANSWERED,
        )
        assert said == [], "the caller still needs the context"

    @pytest.mark.parametrize("where", ["enter", "leave"])
    def test_what_raises(self, pair: Pair, where: str) -> None:
        one, other = pair
        other.send(framed.frame(1, 0, 5, framed.call("put", b"", 1000)))

        def fails(*_: object) -> typing.NoReturn:
            raise LookupError

        enter = fails if where == "enter" else lambda *_: Context("")
        with pytest.raises(LookupError):
            self.served(one, lambda block: b"\x01", enter, fails)
