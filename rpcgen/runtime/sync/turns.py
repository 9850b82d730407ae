"""The turns of a connection, one send and one receive: in C where that is built.

The codec's choice (RPCGEN_CODEC) holds for this, too.
"""

from __future__ import annotations

import errno
import os
import typing

from rpcgen.runtime.wire.choice import choice

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Answer, Dispatcher

    Exchange: typing.TypeAlias = collections.abc.Callable[[int, bytes], bytes | tuple[int, int]]
    Serve: typing.TypeAlias = collections.abc.Callable[
        [int, dict[str, Answer], collections.abc.Callable[[], int], Dispatcher, int, int],
        bytes | tuple[bytes, int] | None,
    ]

ROOM = 16 * 1024
"""Bytes of one receive; what is longer takes further receives, into a buffer of its own size."""

WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK)


def _exchange(fd: int, message: bytes) -> bytes | tuple[int, int]:
    """Sends a message and receives once.

    Returns:
        What came, ``b""`` at the connection's end; or how many bytes were sent, and the errno
        of what failed then: 0 if only a part was sent.
    """
    sent = 0
    try:
        sent = os.write(fd, message)
        if sent != len(message):
            return sent, 0
        return os.read(fd, ROOM)
    except OSError as error:
        return sent, error.errno or errno.EIO


exchange: Exchange = _exchange
serve: Serve | None = None
"""``serve(fd, answers, waiting, dispatcher, name, message)`` receives and answers usual calls while they
follow each other. It gives what was received if that is anything else; None if nothing came in
time; a reply and the number of its bytes that were sent, if those are not all, or others wait."""

if choice().native:
    try:
        from rpcgen.runtime.sync import _turns
    except ImportError:
        pass  # only one of the two was built
    else:
        exchange, serve = _turns.exchange, _turns.serve
