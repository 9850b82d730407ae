"""Waiting for what no event tells of: looked at again and again, with a deadline that only failures reach."""

from __future__ import annotations

import time
import typing

PATIENCE = 30.0
"""Seconds that anything may take. No test depends on its being quicker."""


def until(condition: typing.Callable[[], object], what: typing.Callable[[], object] | None = None) -> None:
    """Waits until the condition holds.

    Args:
        condition: Looked at every 10 ms.
        what: Gives what the failure shows.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never came to pass: {what() if what else condition}"
        time.sleep(0.01)
