"""How many calls may be tried again, so that retries do not bury servers that fail already.

Finagle's budget: a fifth of the calls and ten a second, of the last ten seconds. Calls only
add to a number; all else is worked out when a retry asks.
"""

from __future__ import annotations

SHARE = 0.2
"""Retries a call."""

A_SECOND = 10.0
"""Retries a second, whatever the calls are."""

KEPT = 10.0
"""Seconds after which what was not used is gone."""


class RetryBudget:
    """Counts calls and grants retries. The caller holds a lock around ``take`` and ``has``.

    Args:
        now: On the clock that later times are on; the budget starts full.
    """

    __slots__ = ("_at", "_calls_then", "_left", "calls")

    def __init__(self, now: float) -> None:
        self.calls = 0
        """Each call adds one. Without a lock: one lost between two threads makes no difference here."""
        self._calls_then = 0
        self._at = now
        self._left = A_SECOND * KEPT

    def take(self, now: float) -> bool:
        """Says whether a call may be tried again now, and counts it."""
        if not self.has(now):
            return False
        self._left -= 1
        return True

    def has(self, now: float) -> bool:
        """Says whether a call may be tried again now."""
        passed = max(0.0, now - self._at)
        calls = self.calls
        earned = A_SECOND * passed + SHARE * (calls - self._calls_then)
        if passed > KEPT:
            earned *= KEPT / passed
        self._left = self._left * max(0.0, 1 - passed / KEPT) + earned
        self._at = max(self._at, now)
        self._calls_then = calls
        return self._left >= 1
