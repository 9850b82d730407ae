"""Calls in threads of their own."""

from __future__ import annotations

import threading
import typing


def in_thread(call: typing.Callable[[], object]) -> tuple[threading.Thread, list[typing.Any]]:
    """Starts a call; its result or error is in the list at the end."""
    outcome: list[typing.Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome
