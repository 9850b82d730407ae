"""What many threads send over one socket: whole, in order, and by one of them at a time."""

from __future__ import annotations

import socket
import threading
import typing

import pytest
from hypothesis import given, settings, strategies as st

from rpcgen.runtime.sync.client.outbox import Outbox
from tests.support.raw import exactly

Pair: typing.TypeAlias = tuple[socket.socket, socket.socket]


class Slow:
    """A socket that takes as much of a piece as it is told, and says what it was given.

    Args:
        takes: Bytes of each piece; None: no room.
    """

    def __init__(self, takes: typing.Iterable[int | None]) -> None:
        self.takes = list(takes)
        self.given: list[bytes] = []
        self.got = b""

    def send(self, view: memoryview, flags: int) -> int:
        assert flags == socket.MSG_DONTWAIT
        self.given.append(bytes(view))
        most = self.takes.pop(0) if self.takes else len(view)
        if most is None:
            raise BlockingIOError
        self.got += view[:most]
        return min(most, len(view))


def outbox(sock: typing.Any) -> Outbox:
    return Outbox(sock)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([b"a", b"bc", b"d" * 9_000, b"e" * 40_000]), min_size=1), min_size=1),
    st.lists(st.sampled_from([None, 1, 7, 20_000]), max_size=12),
)
def test_all_is_sent_in_order(rounds: list[list[bytes]], takes: list[int | None]) -> None:
    sock = Slow(takes)
    box = outbox(sock)
    for pieces in rounds:
        box.put(pieces)
        assert box.push() == (not box)
    while not box.push():
        pass
    whole = b"".join(piece for pieces in rounds for piece in pieces)
    assert sock.got == whole
    assert box.queued == box.sent == len(whole)
    assert not box
    assert not box.is_busy


def test_short_pieces_go_out_as_one_and_long_ones_as_they_are() -> None:
    sock = Slow([])
    box = outbox(sock)
    box.put([b"a", b"bc", b"d" * 20_000, b"e", b"f"])
    assert box.push()
    assert sock.given == [b"abc", b"d" * 20_000, b"ef"]


def test_who_sends_sends_what_is_put_in_meanwhile() -> None:
    class Meanwhile(Slow):
        def send(self, view: memoryview, flags: int) -> int:
            if not self.given:
                box.put([b"second"])
                assert box.is_busy
                assert box.push(), "it is left to the one who sends"
            return super().send(view, flags)

    sock = Meanwhile([])
    box = outbox(sock)
    box.put([b"first"])
    assert box.push()
    assert sock.given == [b"first", b"second"]


def test_many_threads_over_a_socket(pair: Pair) -> None:
    one, other = pair
    box = outbox(one)
    lock = threading.Lock()
    size, count, threads = 3_000, 50, 8

    def work(number: int) -> None:
        for _ in range(count):
            with lock:
                box.put([bytes((number,)) * size])
            while not box.push(waits=True):
                pass

    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(exactly(other, size * count * threads)))
    writers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in (reader, *writers):
        thread.start()
    for thread in (*writers, reader):
        thread.join()
    messages = [found[0][at : at + size] for at in range(0, len(found[0]), size)]
    assert all(len(set(message)) == 1 for message in messages), "none stands within another"
    assert sorted(message[0] for message in messages) == sorted(list(range(threads)) * count)


@pytest.mark.parametrize("error", [BrokenPipeError, KeyboardInterrupt])
def test_it_breaks(error: type[BaseException]) -> None:
    class Broken(Slow):
        def send(self, view: memoryview, flags: int) -> int:
            raise error

    box = outbox(Broken([]))
    box.put([b"lost"])
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            box.push()
    else:
        assert box.push()
    assert box.is_broken
    assert not box
    assert not box.is_busy
    assert box.push()
    assert (box.queued, box.sent) == (4, 0)
