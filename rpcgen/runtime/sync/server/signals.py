"""SIGINT and SIGTERM, for a server that owns the main thread."""

from __future__ import annotations

import collections.abc
import contextlib
import signal
import threading
import types


@contextlib.contextmanager
def stopping_on_signals(
    stop: collections.abc.Callable[[bool], None], is_busy: collections.abc.Callable[[], bool]
) -> collections.abc.Iterator[None]:
    """Stops a server gracefully on the first signal and at once on the second.

    Outside of the main thread signals are left alone. The handlers that were there come
    back afterwards.

    Args:
        stop: Begins to stop, gracefully or not; runs in a signal handler, so it takes no lock.
        is_busy: Whether the main thread is in a handler, which nothing but an exception ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = 0

    def on_signal(number: int, frame: types.FrameType | None) -> None:
        nonlocal came
        came += 1
        stop(came == 1)
        if came > 1 and is_busy():
            raise KeyboardInterrupt

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        if came < 2:  # else it is the one from above, and has done its work
            raise
    finally:
        for number, handler in before.items():
            # None: it was not set from Python, and cannot be set back.
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
