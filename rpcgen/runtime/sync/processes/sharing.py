"""One listening socket, several processes: who accepts.

All are woken when a connection comes, and the first would take it, which on a quiet machine
is mostly the same one. So each writes how many connections it has into memory that all share,
and one that has more than another leaves it to those that have fewer, for a moment: if they
are busy, or stopped, it takes it after all.
"""

from __future__ import annotations

MOMENT = 0.005
"""Seconds, of the length of Python's turns between threads: so long a process that works may take to accept."""

_NOBODY = 0xFFFF_FFFF


class Shares:
    """How many connections each process has. Made before they are forked.

    Args:
        places: Processes at most.
    """

    def __init__(self, places: int) -> None:
        import mmap

        self._counts = memoryview(mmap.mmap(-1, 4 * places)).cast("I")
        for place in range(places):
            self.vacate(place)

    def vacate(self, place: int) -> None:
        """Takes note that there is no process at a place."""
        self._counts[place] = _NOBODY

    def share(self, place: int) -> Share:
        """Gives the share of a process that begins there."""
        self._counts[place] = 0
        return Share(self._counts, place)


class Share:
    """What one process does; see ``Shares``, which makes it."""

    def __init__(self, counts: memoryview[int], place: int) -> None:
        self._counts = counts
        self._place = place
        self._has_left = False

    def count(self, connections: int) -> None:
        """Takes note of how many connections the process has now."""
        self._counts[self._place] = connections

    def leaves(self, connections: int) -> bool:
        """Says whether to leave what there is to accept to others for a moment; never twice in a row.

        Args:
            connections: That the process has.
        """
        self.count(connections)
        self._has_left = not self._has_left and connections > min(self._counts)
        return self._has_left
