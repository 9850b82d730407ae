"""A server's threads: who waits for one, and who is told to make room."""

from __future__ import annotations

import collections.abc
import threading

import pytest

from rpcgen.runtime.sync.server.workers import Workers


class Item:
    """Keeps the thread that it is handed to until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.end = threading.Event()

    def serve(self) -> None:
        self.begun.set()
        assert self.end.wait(20)


@pytest.fixture
def workers() -> collections.abc.Iterator[Workers[Item]]:
    made: Workers[Item] = Workers(2, "test", Item.serve)
    yield made
    made.stop(20.0)


def begin(workers: Workers[Item]) -> Item:
    item = Item()
    workers.hand(item)
    assert item.begun.wait(20)
    return item


def test_what_is_on_its_way_to_a_free_thread_does_not_wait(workers: Workers[Item]) -> None:
    wanted = workers.urge(2)
    for _ in range(100):
        one, other = Item(), Item()
        for item in (one, other):
            workers.hand(item)
            assert not wanted(), "before the thread has had the time to take it"
        for item in (one, other):
            item.end.set()
        while workers._free < 2:
            assert item.begun.wait(20)


def test_what_finds_no_thread_does(workers: Workers[Item]) -> None:
    busy = [begin(workers), begin(workers)]
    wanted = workers.urge(2)
    assert not wanted()
    third = Item()
    workers.hand(third)
    assert wanted()
    busy[0].end.set()
    assert third.begun.wait(20)
    assert not wanted()
    third.end.set()
    busy[1].end.set()


def test_where_connections_are_more_than_threads_the_next_one_would_wait(workers: Workers[Item]) -> None:
    one = begin(workers)
    wanted = workers.urge(3)
    assert not wanted()
    other = begin(workers)
    assert wanted()
    one.end.set()
    other.end.set()
