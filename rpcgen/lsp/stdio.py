"""The editor at standard input and output: bytes come by way of a thread, and go out at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import typing

_LARGEST_HEADER: typing.Final = 2**16


class Reader(asyncio.StreamReader):
    """Lets what a message has begun take its texts before the next message changes them."""

    async def readline(self) -> bytes:
        await asyncio.sleep(0)
        try:
            return await super().readline()
        except ValueError:
            logging.getLogger(__name__).error("what comes is not of the Language Server Protocol")
            return b""


class Output:
    """Where answers go."""

    def __init__(self, stream: typing.BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._stream.flush()

    def close(self) -> None:
        """Leaves the stream to the interpreter, which closes it."""


@contextlib.contextmanager
def output() -> typing.Iterator[Output]:
    """Gives standard output; what is printed meanwhile goes to standard error, and not between answers."""
    stream = sys.stdout
    sys.stdout = sys.stderr
    try:
        yield Output(stream.buffer)
    finally:
        sys.stdout = stream


def reader() -> Reader:
    """Gives what comes from standard input from now on, in the running event loop.

    Nobody waits for the thread that reads: Ctrl-C must end a server that waits for its editor. It
    reads past ``sys.stdin``, whose lock it would hold at the end of the program.
    """
    found = Reader(limit=_LARGEST_HEADER)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_feed, args=(sys.stdin.fileno(), found, loop), daemon=True).start()
    return found


def _feed(file: int, found: Reader, loop: asyncio.AbstractEventLoop) -> None:
    """Hands on what comes, until there is no more."""
    with contextlib.suppress(RuntimeError):  # the loop is closed
        with contextlib.suppress(OSError):
            while data := os.read(file, 2**16):
                loop.call_soon_threadsafe(found.feed_data, data)
        loop.call_soon_threadsafe(found.feed_eof)
