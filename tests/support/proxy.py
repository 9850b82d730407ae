"""A TCP proxy whose owner decides what passes: all, nothing, byte by byte, or the end."""

from __future__ import annotations

import contextlib
import socket
import threading
import types
import typing


class Proxy:
    """Passes connections on to a server, on a port of its own, while ``with`` lasts.

    Args:
        port: The server's, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        """Where new connections lead; while nothing listens there they end at once."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.swallows_replies = False
        self.cuts_replies_after: int | None = None
        """Bytes of the next reply, after which its connection ends."""
        self.loses_reply_to: bytes | None = None
        """Bytes in a request: it is passed on, its reply is not, and its connection ends. Once."""
        self.piece = 65536
        """Bytes that it passes on at once."""
        self.accepted = 0
        self.lost = threading.Event()
        """Set once the reply to ``loses_reply_to`` has been lost."""
        self._losing: socket.socket | None = None
        self.passed = threading.Semaphore(0)
        """Released by each piece that a client sent."""

    def __enter__(self) -> typing.Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """Ends every connection that is open now."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _start(self, work: typing.Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            self._start(self._pass, client, server, True)
            self._start(self._pass, server, client, False)

    def _pass(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if from_client and self.loses_reply_to is not None and self.loses_reply_to in data:
                    self.loses_reply_to, self._losing = None, target
                if not from_client and source is self._losing:
                    self._losing = None
                    self.lost.set()
                    break
                if self.swallows_replies and not from_client:
                    continue
                cut = None if from_client else self.cuts_replies_after
                if cut is not None:
                    target.sendall(data[:cut])
                    self.cuts_replies_after = cut = max(0, cut - len(data))
                    if not cut:
                        break
                    continue
                for start in range(0, len(data), self.piece):
                    target.sendall(data[start : start + self.piece])
                if from_client:
                    self.passed.release()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        if not from_client:
            source.close()
            target.close()
