"""Peers that do what no peer should: servers made of a function over one accepted socket."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing

import pytest

from rpcgen.runtime.aio.client import versions as aio_versions
from rpcgen.runtime.sync.client import framed_line


@contextlib.contextmanager
def server(*behaviours: typing.Callable[[socket.socket], object]) -> typing.Iterator[int]:
    """Accepts a connection for each behaviour, in order, and closes it when that returns.

    Gives:
        The port on 127.0.0.1.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, one_flight():

        def run() -> None:
            for behaviour in behaviours:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock, contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    behaviour(sock)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()


@contextlib.contextmanager
def one_flight() -> typing.Iterator[None]:
    """Lets a client's HELLO and its first call go out together, which is what peers here take for one call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framed_line, "PATIENCE", 0.0)
        patch.setattr(aio_versions, "PATIENCE", 0.0)
        yield


def answering(*pieces: bytes) -> typing.Callable[[socket.socket], object]:
    """Reads one call, sends the pieces one by one and closes."""

    def answer(sock: socket.socket) -> None:
        sock.recv(65536)
        for piece in pieces:
            sock.sendall(piece)

    return answer


_given: set[int] = set()


def unused_port() -> int:
    """A port that nobody listens at; it was free a moment ago, and is no other's that was given before."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
