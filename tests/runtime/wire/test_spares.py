"""Memory that is used again: never while anybody looks into it, and never more than a little of it."""

from __future__ import annotations

import concurrent.futures
import pathlib
import resource
import threading
import typing

import pytest

from rpcgen.runtime.wire import spares

LARGE = 100_000


@pytest.fixture(autouse=True)
def nothing_kept() -> typing.Iterator[None]:
    spares._spares.clear()
    yield
    spares._spares.clear()


def where(view: memoryview) -> int:
    return id(view.obj)


def test_memory_is_used_again_once_nobody_looks_into_it() -> None:
    first = spares.room(LARGE)
    place = where(first)
    part = first[10:20]
    first.release()
    assert where(spares.room(LARGE)) != place
    part.release()
    assert place in {where(spares.room(LARGE)) for _ in range(2)}


def test_a_view_is_of_the_size_asked_for() -> None:
    spares.room(2 * LARGE).release()
    assert len(spares.room(LARGE)) == LARGE
    assert len(spares.room(0)) == 0


@pytest.mark.parametrize("size", [10, spares.LARGEST + 1])
def test_small_and_very_large_memory_is_not_kept(size: int) -> None:
    assert len(spares.room(size)) == size
    assert not spares._spares


@pytest.mark.parametrize("size", [spares.LARGEST, 4 * spares.LARGEST])
def test_memory_is_not_there_before_it_is_written(size: int) -> None:
    def resident() -> int:
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = resident()
    held = [spares.room(size) for _ in range(10)]
    assert resident() - before < size
    for view in held:
        view[:] = bytes(size)
    assert resident() - before > size


def test_a_little_is_kept_however_much_is_asked_for_at_once() -> None:
    held = [spares.room(LARGE + count) for count in range(20)]
    assert len({where(view) for view in held}) == len(held)
    assert len(spares._spares) <= 2
    del held
    assert len(spares.room(LARGE + 19)) == LARGE + 19


def test_larger_memory_takes_the_place_of_smaller() -> None:
    for _ in range(2):
        spares.room(LARGE).release()
    spares.room(3 * LARGE).release()
    place = where(spares.room(3 * LARGE))
    assert place in {where(spares.room(LARGE)) for _ in range(2)}


def test_threads_never_get_the_same_memory_at_once() -> None:
    begin = threading.Barrier(4)

    def use(number: int) -> bool:
        begin.wait(30)
        for _ in range(300):
            view = spares.room(LARGE)
            view[:4] = view[-4:] = bytes((number,)) * 4
            if bytes(view[:4]) != bytes(view[-4:]) or view[0] != number:
                return False
        return True

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert all(threads.map(use, range(4)))
