"""Forked processes: how one begins and ends, and the line on which it talks with its parent.

A child never comes back into its parent's code: it ends by ``os._exit``, having run what it
registered at exit itself, and nothing of what its parent had registered. A line is a socket
pair, so either end sees at once when the other process is gone; a message is a line of words.
"""

from __future__ import annotations

import atexit
import collections.abc
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import types
import typing

_log = logging.getLogger("rpcgen")

HANDLED: typing.Final = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
"""Signals that a child handles in its own way. They wait from its fork until ``handling`` lets them in."""

FAILED: typing.Final = 70
"""A child's status if what it ran raised an exception."""


def fork(run: collections.abc.Callable[[], int]) -> int:
    """Runs something in a new process.

    Args:
        run: Gives the status that the process ends with.

    Returns:
        The process's id.

    Raises:
        OSError: The system has no room for another process.
    """
    _flush()  # else the child would write it once more
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _be_a_child(run)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _be_a_child(run: collections.abc.Callable[[], int]) -> typing.NoReturn:
    status = FAILED
    try:
        # What an event loop of the parent waits at, the child must not write to.
        signal.set_wakeup_fd(-1)
        atexit._clear()
        try:
            status = run()
        except BaseException:
            _log.exception("process %d failed", os.getpid())
        atexit._run_exitfuncs()
        _flush()
    finally:
        os._exit(status)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed
            stream.flush()


Handler: typing.TypeAlias = "collections.abc.Callable[[int, types.FrameType | None], object] | int | None"


def handling(handlers: collections.abc.Mapping[signal.Signals, Handler]) -> None:
    """Handles signals in this way from now on, and lets in those that waited since the fork."""
    for number, handler in handlers.items():
        # None: it was not set from Python, and cannot be set again.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def ignoring(number: int, frame: types.FrameType | None) -> None:
    """Handles a signal by doing nothing. Programs that the process starts do not inherit this, as SIG_IGN."""


class Line:
    """One end of a line between two processes. Sending never waits, and is safe in a signal handler.

    Args:
        sock: One of a pair; the line's from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._data = b""
        self.ended = False
        """The other end is closed, or its process gone."""

    @classmethod
    def pair(cls) -> tuple[Line, Line]:
        """Gives both ends; each process closes the one that is not its own."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    def send(self, *words: object) -> None:
        """Sends words, which hold no spaces. What cannot be sent is lost: the other process is gone."""
        with contextlib.suppress(OSError):
            self._sock.send(" ".join(map(str, words)).encode() + b"\n")

    def receive(self) -> list[list[str]]:
        """Gives the messages that have come, each as its words."""
        try:
            data = self._sock.recv(4096)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self.ended = not data
        *lines, self._data = (self._data + data).split(b"\n")
        return [line.decode().split() for line in lines]

    def fileno(self) -> int:
        """The socket's, for ``wait``."""
        return self._sock.fileno()

    def close(self) -> None:
        """Closes this end. Again is harmless."""
        self._sock.close()


def wait(lines: collections.abc.Iterable[Line], timeout: float) -> None:
    """Waits until something comes on one of the lines.

    Args:
        lines: Those that have ended or are closed are left out.
        timeout: Seconds at most; below 0 counts as 0, and more than one second as one.
    """
    poll = select.poll()
    for line in lines:
        if not line.ended and line.fileno() >= 0:
            poll.register(line.fileno(), select.POLLIN)
    poll.poll(1000 * max(0.0, min(1.0, timeout)))
