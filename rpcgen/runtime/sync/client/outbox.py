"""What the threads of a shared connection have to send. Any puts something in; whoever finds nobody sending sends
for all.

So nobody waits for another's system call, and what several threads say at a time goes out as one piece.
"""

from __future__ import annotations

import collections
import socket
import threading
import typing

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.sync.client.line import Socket
    from rpcgen.runtime.wire.tailed import Piece

_JOINED = 16 * 1024
"""Bytes up to which short pieces are sent as one."""


class Outbox:
    """A queue of bytes, and their way to a socket.

    Args:
        sock: Connected.
    """

    __slots__ = ("_queue", "_sending", "_sock", "is_broken", "queued", "sent")

    def __init__(self, sock: Socket) -> None:
        self._sock = sock
        self._queue: collections.deque[memoryview] = collections.deque()
        self._sending = threading.Lock()
        self.queued = 0
        """Bytes that were put in since the beginning."""
        self.sent = 0
        """Bytes of those that the system has taken."""
        self.is_broken = False
        """Nothing more can be sent; who receives will find out why."""

    def __bool__(self) -> bool:
        """Whether there is something to send, and it can be."""
        return bool(self._queue) and not self.is_broken

    @property
    def is_busy(self) -> bool:
        """Whether a thread is sending."""
        return self._sending.locked()

    def put(self, pieces: collections.abc.Iterable[Piece]) -> None:
        """Adds what is to be sent after all that is there; one thread at a time."""
        for piece in pieces:
            self.queued += len(piece)
            self._queue.append(memoryview(piece))

    def push(self, *, waits: bool = False) -> bool:
        """Sends as much as there is room for, unless another thread does: that one sends on until all is gone, what is
        put in meanwhile, too.

        Args:
            waits: Wait for that one, and then look again.

        Returns:
            False if there was no room for all.
        """
        while self and self._sending.acquire(blocking=waits):
            try:
                has_room = self._send()
            except BaseException:
                self.is_broken = True  # half done, for whatever reason
                raise
            finally:
                self._sending.release()
            if not has_room:
                return False
        return True

    def _send(self) -> bool:
        while self:
            view = self._queue[0]
            if len(view) < _JOINED and len(self._queue) > 1:
                view = self._joined()
            try:
                sent = self._sock.send(view, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except OSError:
                self.is_broken = True
                break
            self.sent += sent
            if sent == len(view):
                self._queue.popleft()
            else:
                self._queue[0] = view[sent:]
        return True

    def _joined(self) -> memoryview:
        """Makes the first few short pieces one. The queue is never empty meanwhile: others look at it."""
        pieces, size = [self._queue[0]], len(self._queue[0])
        while len(pieces) < len(self._queue):
            piece = self._queue[len(pieces)]
            size += len(piece)
            if size > _JOINED:
                break
            pieces.append(piece)
        view = self._queue[len(pieces) - 1] = memoryview(b"".join(pieces))
        for _ in pieces[1:]:
            self._queue.popleft()
        return view
