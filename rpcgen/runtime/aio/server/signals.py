"""SIGINT and SIGTERM, for an asyncio server whose loop runs in the main thread."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import signal
import threading


@contextlib.contextmanager
def heeding_signals(
    heed: collections.abc.Callable[[bool], None],
) -> collections.abc.Iterator[None]:
    """Tells of signals in the event loop; outside of the main thread signals are left alone.

    The handlers that were there come back afterwards.

    Args:
        heed: Called for each signal; told whether it is the first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    came = 0

    def on_signal() -> None:
        nonlocal came
        came += 1
        heed(came == 1)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            loop.add_signal_handler(number, on_signal)
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            # None: it was not set from Python, and cannot be set back.
            handler = before[number]
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
