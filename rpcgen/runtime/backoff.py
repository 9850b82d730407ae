"""How long to leave alone what failed: longer each time, never the same for two who wait.

The shape of gRPC's connection backoff: a factor of 1.6, a fifth of jitter either way.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    import collections.abc

FIRST = 0.1
"""Seconds before the second try to connect."""

LONGEST = 10.0
"""Seconds."""

_FACTOR = 1.6
_JITTER = 0.2


def backoff(
    failures: int, random: collections.abc.Callable[[], float], first: float = FIRST, longest: float = LONGEST
) -> float:
    """Gives the seconds to wait.

    Args:
        failures: In a row, 1 or more.
        random: Gives a number from 0 up to 1.
        first: Seconds after the first failure, before jitter.
        longest: Seconds that no wait exceeds, jitter included.
    """
    # Beyond 64 the power is larger than any longest wait, and would overflow at last.
    wait = min(longest, first * _FACTOR ** min(failures - 1, 64))
    return min(longest, wait * (1 + _JITTER * (2 * random() - 1)))
