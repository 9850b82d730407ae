"""A line on the terminal that says what takes so long; gone without a trace when it is done.

A thread of its own draws it, so that no stage needs to know of it, and nothing is drawn at all
in the first moments, when most runs are over.
"""

from __future__ import annotations

import os
import sys
import time
import types
import typing

from rpcgen.cli.console import Console

PATIENCE, INTERVAL = 0.3, 0.1
"""Seconds before the line appears, and between two drawings of it."""


class Progress:
    """Draws from entry to exit, on a terminal only.

    Args:
        console: Tells whether standard error is one.
    """

    def __init__(self, console: Console) -> None:
        self._shown = console.interactive
        self._stage = ""
        self._started = time.monotonic()

    def stage(self, text: str) -> None:
        """Says what is being done from here on."""
        self._stage = text

    def __enter__(self) -> typing.Self:
        if self._shown:
            import threading

            self._done = threading.Event()
            self._thread = threading.Thread(target=self._draw, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if self._shown:
            self._done.set()
            self._thread.join()

    def _draw(self) -> None:
        wait, drawn = PATIENCE, False
        try:
            while not self._done.wait(wait):
                wait, drawn = INTERVAL, True
                seconds = f" {time.monotonic() - self._started:.1f} s"
                columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: it does not say
                room = columns - len(seconds) - 1
                sys.stderr.write(f"\r\x1b[K{self._stage[: max(room, 0)]}{seconds}")
                sys.stderr.flush()
            if drawn:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
        except OSError:
            return  # the terminal is gone; what is being done is not
