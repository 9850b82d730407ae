"""Both HTTP channels under one way of calling, an application under uvicorn in a thread, and servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import socket
import threading
import typing

import uvicorn

from rpcgen import runtime as rpc
from rpcgen.runtime.http.aio import AsyncHttpChannel
from rpcgen.runtime.http.channel import HttpChannel
from tests.support.waiting import PATIENCE, until

Protocol: typing.TypeAlias = type[rpc.MessageProtocol[typing.Any]]


class Blocking:
    """Calls by a blocking channel.

    Args:
        url, **options: The channel's.
    """

    def __init__(self, url: str, **options: typing.Any) -> None:
        self.channel = rpc.connect(url, **options)
        assert isinstance(self.channel, HttpChannel)

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.channel.close()

    def __call__(
        self,
        protocol: Protocol,
        *args: object,
        timeout: float | None = None,
        metadata: dict[str, bytes] | None = None,
    ) -> typing.Any:
        return self.channel.call(protocol, args, timeout, None, metadata)


class Asyncio:
    """Calls by an asyncio channel, in a loop that runs while a call does.

    Args:
        url, **options: The channel's.
    """

    def __init__(self, url: str, **options: typing.Any) -> None:
        self.channel = rpc.connect_async(url, **options)
        assert isinstance(self.channel, AsyncHttpChannel)
        self.runner = asyncio.Runner()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self.runner:
            self.runner.run(self.channel.close())

    def __call__(
        self,
        protocol: Protocol,
        *args: object,
        timeout: float | None = None,
        metadata: dict[str, bytes] | None = None,
    ) -> typing.Any:
        call = self.channel.call(protocol, args, timeout, None, metadata)
        return self.runner.run(call, context=contextvars.copy_context())


Client: typing.TypeAlias = "type[Blocking] | type[Asyncio]"
CLIENTS: tuple[Client, ...] = (Blocking, Asyncio)


@contextlib.contextmanager
def under_uvicorn(app: object, **config: typing.Any) -> typing.Iterator[int]:
    """Runs an application in a thread; gives its port once it serves."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        made = uvicorn.Config(
            typing.cast("typing.Any", app),
            log_config=None,
            log_level="critical",
            lifespan="on",
            loop="asyncio",
            **config,
        )
        server = uvicorn.Server(made)
        thread = threading.Thread(target=server.run, args=([sock],), name="uvicorn")
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            assert server.started
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


class BrokenServer:
    """Answers each request by bytes of a test's own.

    Args:
        *responses: One for each request, the last one for all further ones: bytes, after which the connection
            is closed; or what is given the connection, and says whether it is kept.
    """

    def __init__(self, *responses: bytes | typing.Callable[[socket.socket], bool]) -> None:
        self._responses = list(responses)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.ending = threading.Event()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def __enter__(self) -> typing.Self:
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _start(self, do: typing.Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=do, args=args, name="broken-server")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while (request := self._read(connection)) is not None:
                self.requests.append(request)
                response = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
                if isinstance(response, bytes):
                    connection.sendall(response)
                    return
                if not response(connection):
                    return

    @staticmethod
    def _read(connection: socket.socket) -> bytes | None:
        data = b""
        while True:
            head, separator, body = data.partition(b"\r\n\r\n")
            if separator:
                lines = head.lower().split(b"\r\n")
                size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
                if len(body) >= size:
                    return data
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece


def response(body: bytes, status: str = "200 OK", kind: str = "binary", *headers: str) -> bytes:
    """Gives a response as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    lines += [f"Content-Type: {kind}"] if kind else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
