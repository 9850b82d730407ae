"""Something that happens once, for which threads and tasks of any event loop wait alike."""

from __future__ import annotations

import contextlib
import threading
import typing

if typing.TYPE_CHECKING:
    import collections.abc


class Latch:
    """Is opened once, by any thread, and stays open."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._waiting: set[collections.abc.Callable[[], object]] = set()
        """What tells the tasks that wait."""

    @property
    def is_open(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    def open(self) -> None:
        """Lets all go on who wait. Again is harmless."""
        with self._lock:
            self._event.set()
            waiting, self._waiting = self._waiting, set()
        for tell in waiting:
            tell()

    def wait(self, timeout: float) -> bool:
        """Waits in a thread; says whether it is open.

        Args:
            timeout: Seconds at most.
        """
        return self._event.wait(timeout)

    async def wait_async(self, timeout: float) -> bool:
        """Does what ``wait`` does, in a task."""
        import asyncio

        loop = asyncio.get_running_loop()
        opened = loop.create_future()

        def note() -> None:
            if not opened.done():
                opened.set_result(None)

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
                loop.call_soon_threadsafe(note)

        with self._lock:
            if self._event.is_set():
                return True
            self._waiting.add(tell)
        try:
            await asyncio.wait([opened], timeout=timeout)
        finally:
            with self._lock:
                self._waiting.discard(tell)
        return self._event.is_set()
