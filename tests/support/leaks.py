"""What a test leaves behind: threads and descriptors. Import ``no_leaks`` where each test is held to leaving none."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import typing

import pytest


def descriptors() -> set[str]:
    """What this process has open, by number and target."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return found


@pytest.fixture(autouse=True)
def no_leaks() -> typing.Iterator[None]:
    """Holds every test here to leaving no descriptor and no thread behind."""
    threads, before = set(threading.enumerate()), descriptors()
    yield
    gc.collect()
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
    assert set(threading.enumerate()) - threads == set()
    assert descriptors() - before == set()
