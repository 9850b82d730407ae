"""The times by which many calls are to have ended, by one timer of the loop.

A timer of its own, set and taken back, costs asyncio as much as half a call; and nearly all calls end in time.
"""

from __future__ import annotations

import heapq
import typing
from time import monotonic

if typing.TYPE_CHECKING:
    import asyncio
    import collections.abc

Item = typing.TypeVar("Item")

_FEW = 64
"""So many entries of calls that have ended are not worth a tidying up."""


class Deadlines(typing.Generic[Item]):
    """Does something to each call that is still there when its time is up.

    Args:
        loop: The running one.
        expire: Does it.
    """

    __slots__ = ("_alive", "_count", "_due", "_expire", "_heap", "_loop", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, expire: collections.abc.Callable[[Item], None]
    ) -> None:
        self._loop = loop
        self._expire = expire
        self._alive: dict[int, Item] = {}
        self._heap: list[tuple[float, int]] = []
        """Of those that are there, and of some that have ended."""
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        """When the timer rings."""

    def add(self, end: float, item: Item) -> int:
        """Takes a call; gives its number, for ``discard``.

        Args:
            end: On the clock of ``time.monotonic``.
            item: What ``expire`` is given.
        """
        self._count = number = self._count + 1
        self._alive[number] = item
        heapq.heappush(self._heap, (end, number))
        if end < self._due:
            self._set(end)
        return number

    def discard(self, number: int) -> None:
        """Lets a call go that has ended, or whose time is up."""
        self._alive.pop(number, None)
        if len(self._heap) > _FEW + 2 * len(self._alive):
            self._heap = [entry for entry in self._heap if entry[1] in self._alive]
            heapq.heapify(self._heap)

    def clear(self) -> None:
        """Lets all go."""
        self._alive.clear()
        self._heap.clear()
        self._due = float("inf")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, end: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = end
        self._timer = self._loop.call_later(max(0.0, end - monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        # What is added meanwhile is seen below.
        self._due = float("-inf")
        now = monotonic()
        try:
            while self._heap and (self._heap[0][0] <= now or self._heap[0][1] not in self._alive):
                item = self._alive.pop(heapq.heappop(self._heap)[1], None)
                if item is not None:
                    self._expire(item)
        finally:
            self._due = float("inf")
            if self._heap:
                self._set(self._heap[0][0])
