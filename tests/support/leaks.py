"""What a test leaves behind: threads and descriptors. Import ``no_leaks`` where each test is held to leaving none."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import typing

import pytest

from tests.support.waiting import until


def descriptors() -> set[str]:
    """What this process has open, by number and target."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return found


def ended(thread: threading.Thread) -> bool:
    """Waits for a thread's end; says whether that was possible: another thread may be about to start it."""
    try:
        thread.join(10)
    except RuntimeError:
        return False
    return True


@pytest.fixture(autouse=True)
def no_leaks() -> typing.Iterator[None]:
    """Holds every test here to leaving no descriptor and no thread behind."""
    threads, before = set(threading.enumerate()), descriptors()
    yield
    gc.collect()
    for thread in set(threading.enumerate()) - threads:
        until(lambda thread=thread: ended(thread))  # type: ignore[misc]
    assert set(threading.enumerate()) - threads == set()
    assert descriptors() - before == set()
