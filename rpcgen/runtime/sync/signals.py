"""SIGINT and SIGTERM, for a server that owns the main thread."""

from __future__ import annotations

import collections.abc
import contextlib
import signal
import threading
import types
import typing

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.loop import Loop


@contextlib.contextmanager
def stopping_on_signals(loop: Loop, grace: float) -> collections.abc.Iterator[None]:
    """Stops the loop gracefully on the first signal and at once on the second.

    Outside of the main thread signals are left alone. The handlers that were there come
    back afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = 0

    def stop(number: int, frame: types.FrameType | None) -> None:
        nonlocal came
        came += 1
        loop.ask_to_stop(grace if came == 1 else 0)
        if came > 1 and loop.is_called():
            # The main thread is in a handler, which nothing else can end.
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: it was not set from Python, and cannot be set back.
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
