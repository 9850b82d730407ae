"""Tasks that wait, in line: one line for each method and set of arguments, as each has workers of its own.

A task of a method that nobody offers holds up no other, and finding the next one costs the same
with a hundred waiting as with a hundred thousand.
"""

from __future__ import annotations

import heapq
import typing

from rpcgen.runtime.records import Record

if typing.TYPE_CHECKING:
    import collections.abc

    Chosen = typing.TypeVar("Chosen")


class Shape(Record):
    """What a task needs of its worker.

    Args:
        method: On the wire; None: the task is not ours.
        tags: Of the arguments in its call.
    """

    method: str | None
    tags: bytes = b""


Rank: typing.TypeAlias = "tuple[int, int]"
"""The priority below 0, and the transaction that made the task: the smallest goes first."""


class Lines:
    """Who waits. What no longer does is found out when its turn comes."""

    def __init__(self) -> None:
        self._lines: dict[Shape, list[tuple[Rank, str]]] = {}
        self._later: list[tuple[float, Rank, str, Shape]] = []

    def add(self, task: str, shape: Shape, rank: Rank, due: float) -> None:
        """Puts a task in line.

        Args:
            task: Its name.
            shape: What it needs.
            rank: Its place.
            due: Not before, in seconds since 1970.
        """
        heapq.heappush(self._later, (due, rank, task, shape))

    def advance(self, now: float) -> None:
        """Lets those go on whose time has come."""
        while self._later and self._later[0][0] <= now:
            _, rank, task, shape = heapq.heappop(self._later)
            heapq.heappush(self._lines.setdefault(shape, []), (rank, task))

    @property
    def due(self) -> float | None:
        """When the next one's time comes; None: there is none."""
        return self._later[0][0] if self._later else None

    def take(
        self,
        waits: collections.abc.Callable[[str], bool],
        choose: collections.abc.Callable[[Shape], Chosen | None],
    ) -> tuple[str, Chosen] | None:
        """Takes the next one out for which somebody is free.

        Args:
            waits: Says whether a task still waits, and its time has come.
            choose: Gives who is to have a task of this shape; None: nobody is free.

        Returns:
            The task and what ``choose`` gave.
        """
        best: tuple[Rank, str, Shape, Chosen] | None = None
        for shape, line in list(self._lines.items()):
            while line and not waits(line[0][1]):
                heapq.heappop(line)
            if not line:
                del self._lines[shape]
                continue
            if best is not None and best[:2] < line[0]:
                continue
            chosen = choose(shape)
            if chosen is not None:
                best = (*line[0], shape, chosen)
        if best is None:
            return None
        heapq.heappop(self._lines[best[2]])
        return best[1], best[3]
