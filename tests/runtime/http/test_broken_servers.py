"""Channels over HTTP against servers that answer what is no reply, cut, late, too much, or from elsewhere."""

from __future__ import annotations

import gzip
import socket
import time
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.http_clients import CLIENTS, BrokenServer, Client, response
from tests.support.http_service import SafeProtocol
from tests.support.waiting import PATIENCE

HALF = bytes.fromhex("01 3f000000")
SAFE = response(bytes.fromhex("01 00000001 78"))
"""The reply "x" of safe, which may run twice: the server closes the connection after it without a word."""

PROBLEM = b'{"type":"urn:x","error":{"type":"%b","message":"so it is"}}'
HTML = b"<html>hello</html>"
FEW = rpc.Limits(message=1000, metadata=100)


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    """Each of both channels."""
    return typing.cast("Client", request.param)


def chunked(*pieces: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: binary\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces
    )


@pytest.mark.parametrize(
    "sent",
    [
        response(HALF),
        response(HALF, "200 OK", "application/octet-stream"),
        response(HALF, "200 OK", "Binary; charset=x"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + response(HALF),
        b"HTTP/1.0 200 OK\r\nContent-Type: binary\r\n\r\n" + HALF,
        chunked(HALF[:1], HALF[1:3], HALF[3:]) + b"0\r\n\r\n",
        response(gzip.compress(HALF), "200 OK", "binary", "Content-Encoding: gzip"),
    ],
)
def test_replies_in_every_shape(client: Client, sent: bytes) -> None:
    with BrokenServer(sent) as server, client(server.url) as call:
        assert call(services.DivideProtocol, 1, 2) == 0.5


CASES: dict[str, tuple[bytes, type[rpc.CallError], str]] = {
    "moved": (
        response(b"", "301 Moved Permanently", "", "Location: http://elsewhere/"),
        rpc.ProtocolError,
        "answered 301 Moved Permanently and names 'http://elsewhere/'",
    ),
    "moved nowhere": (
        response(b"", "308 Permanent Redirect"),
        rpc.ProtocolError,
        "308 Permanent Redirect: nobody",
    ),
    "bad": (response(HTML, "400 Bad Request", "text/html"), rpc.ProtocolError, "is it a server of HTTP"),
    "unauthenticated": (
        response(HTML, "401 Unauthorized", "text/html"),
        rpc.RemoteFault,
        "UNAUTHENTICATED: the",
    ),
    "forbidden": (response(HTML, "403 Forbidden", "text/html"), rpc.RemoteFault, "PERMISSION_DENIED"),
    "no such path": (response(HTML, "404 Not Found", "text/html"), rpc.ProtocolError, "mounted at this path"),
    "no POST": (response(HTML, "405 Method Not Allowed"), rpc.ProtocolError, "mounted at this path"),
    "too large": (response(HTML, "413 Content Too Large"), rpc.RemoteFault, "RESOURCE_EXHAUSTED"),
    "no binary": (
        response(HTML, "415 Unsupported Media Type"),
        rpc.ProtocolError,
        "mounted at this path",
    ),
    "teapot": (response(HTML, "418 I'm a Teapot"), rpc.ProtocolError, "the server answered 418"),
    "too many": (response(HTML, "429 Too Many Requests"), rpc.RemoteFault, "RESOURCE_EXHAUSTED"),
    "failed": (
        response(HTML, "500 Internal Server Error"),
        rpc.RemoteFault,
        "INTERNAL: the server answered 500",
    ),
    "bad gateway": (response(HTML, "502 Bad Gateway"), rpc.ConnectionLost, "502 Bad Gateway.*may have run"),
    "unavailable": (response(HTML, "503 Service Unavailable"), rpc.Unavailable, "503 Service Unavailable"),
    "timeout": (response(HTML, "504 Gateway Timeout"), rpc.DeadlineExceeded, "504 Gateway Timeout"),
    "unknown status": (response(HTML, "599 What"), rpc.ProtocolError, "the server answered 599$"),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", rpc.ProtocolError, "answered 204 No Content"),
    "a page": (response(HTML, "200 OK", "text/html"), rpc.ProtocolError, "answered in 'text/html', not"),
    "no type": (response(HALF, "200 OK", ""), rpc.ProtocolError, "without a Content-Type"),
    "a fault told in JSON": (
        response(PROBLEM % b"UNAVAILABLE", "418 Odd", "application/problem+json"),
        rpc.Unavailable,
        "so it is",
    ),
    "another fault told in JSON": (
        response(PROBLEM % b"BAD_REQUEST", "400 Bad Request", "application/problem+json"),
        rpc.RemoteFault,
        "BAD_REQUEST: so it is",
    ),
    "a fault that nobody knows": (
        response(PROBLEM % b"BAD_LUCK", "400 Bad Request", "application/problem+json"),
        rpc.ProtocolError,
        "answered 400 Bad Request",
    ),
    "JSON that is none": (
        response(b"[" * 100_000, "500 Internal Server Error", "application/problem+json"),
        rpc.RemoteFault,
        "INTERNAL",
    ),
    "an empty body": (response(b""), rpc.DecodeError, "a reply has no bytes"),
    "a reply cut short, its length right": (response(HALF[:3]), rpc.DecodeError, "divide"),
    "a reply and more": (response(HALF + b"x"), rpc.DecodeError, "divide"),
    "a body cut short": (response(HALF)[:-2], rpc.ConnectionLost, "inside its reply; the call may have run"),
    "chunks cut short": (chunked(HALF), rpc.ConnectionLost, "inside its reply; the call may have run"),
    "headers cut short": (b"HTTP/1.1 200 OK\r\nConte", rpc.ConnectionLost, "inside its reply"),
    "no response": (b"", rpc.ConnectionLost, "closed the connection without a reply; the call may have run"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", rpc.ProtocolError, "is not HTTP"),
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000, rpc.ProtocolError, "is not HTTP"),
    "a length beyond the limit": (
        b"HTTP/1.1 200 OK\r\nContent-Type: binary\r\nContent-Length: 99999999999\r\n\r\n",
        rpc.ProtocolError,
        "a reply of 99999999999 bytes; the limit is 1000",
    ),
    "chunks beyond the limit": (
        chunked(*[bytes(100)] * 50) + b"0\r\n\r\n",
        rpc.ProtocolError,
        "more than 1000 bytes; the limit is 1000",
    ),
    "an endless page of an error": (
        b"HTTP/1.1 500 Oh\r\n\r\n" + b"x" * 1_000_000,
        rpc.RemoteFault,
        "INTERNAL: the server answered 500",
    ),
    "a bomb": (
        response(gzip.compress(bytes(100_000)), "200 OK", "binary", "Content-Encoding: gzip"),
        rpc.ProtocolError,
        "more than 1000 bytes",
    ),
    "gzip that is none": (
        response(HALF, "200 OK", "binary", "Content-Encoding: gzip"),
        rpc.ProtocolError,
        "the body is not gzip",
    ),
    "another coding": (
        response(HALF, "200 OK", "binary", "Content-Encoding: br"),
        rpc.ProtocolError,
        "Content-Encoding 'br', which was not asked for",
    ),
    "metadata that are none": (
        response(HALF, "200 OK", "binary", "Rpc-Meta-x: %"),
        rpc.ProtocolError,
        "rpc-meta-x is not base64",
    ),
    "metadata beyond the limit": (
        response(HALF, "200 OK", "binary", f"Rpc-Meta-x: {'AAAA' * 50}"),
        rpc.ProtocolError,
        "metadata of 151 bytes; the limit is 100",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_reply(client: Client, case: str) -> None:
    sent, kind, problem = CASES[case]
    with BrokenServer(sent, SAFE) as server, client(server.url, limits=FEW) as call:
        with pytest.raises(kind, match=problem) as error:
            call(services.DivideProtocol, 1, 2)
        assert type(error.value) is kind
        assert (error.value.method, error.value.peer) == ("divide", server.url)
        assert len(server.requests) == 1
        assert call(SafeProtocol, "x") == "x"


def dripping(data: bytes, at_once: int, interval: float = 0.02) -> typing.Callable[[socket.socket], bool]:
    """Gives what sends some of a response at once, and the rest byte by byte."""

    def drip(connection: socket.socket) -> bool:
        connection.sendall(data[:at_once])
        for byte in data[at_once:]:
            connection.sendall(bytes([byte]))
            time.sleep(interval)
        return False

    return drip


@pytest.mark.parametrize("at_once", [0, 17, 60])
def test_a_call_s_time_is_one_for_all_that_it_waits_for(client: Client, at_once: int) -> None:
    endless = response(HALF)[:-4] + b"x" * 10_000
    endless = endless.replace(b"Content-Length: 5", b"Content-Length: 900")
    with BrokenServer(dripping(endless, at_once)) as server, client(server.url) as call:
        begin = time.monotonic()
        with pytest.raises(
            rpc.DeadlineExceeded, match="no reply within the call's time; the call may have run"
        ):
            call(services.DivideProtocol, 1, 2, timeout=0.3)
        assert time.monotonic() - begin < PATIENCE / 3


def test_replies_that_take_too_long_to_come(client: Client) -> None:
    endless = response(HALF).replace(b"Content-Length: 5", b"Content-Length: 900") + b"x" * 10_000
    with (
        BrokenServer(dripping(endless, 60)) as server,
        client(server.url, limits=rpc.Limits(receive_time=0.2)) as call,
        pytest.raises(rpc.ConnectionLost, match=r"took longer than 0\.2 s to come"),
    ):
        call(services.DivideProtocol, 1, 2)


def test_a_server_that_takes_nothing(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            client(url) as call,
            pytest.raises(rpc.DeadlineExceeded, match="before the call was sent; it has not run"),
        ):
            call(services.EchoProtocol, bytes(12_000_000), timeout=0.3)


def kept(connection: socket.socket) -> bool:
    connection.sendall(response(HALF))
    return True


def test_an_idle_connection_that_the_server_has_closed(client: Client) -> None:
    with BrokenServer(SAFE) as server, client(server.url) as call:
        for _ in range(3):
            assert call(SafeProtocol, "x") == "x"
        assert server.connections == 3


def test_calls_on_a_connection_that_the_server_leaves(client: Client) -> None:
    """Whether the second call has run is unknown: it is sent again only if it may run twice."""
    with BrokenServer(kept, b"", SAFE) as server, client(server.url) as call:
        assert call(services.DivideProtocol, 1, 2) == 0.5
        assert call(SafeProtocol, "x") == "x"
        assert (server.connections, len(server.requests)) == (2, 3)
    with BrokenServer(kept, b"", response(HALF)) as server, client(server.url) as call:
        assert call(services.DivideProtocol, 1, 2) == 0.5
        with pytest.raises(rpc.ConnectionLost, match="without a reply; the call may have run"):
            call(services.DivideProtocol, 1, 2)
        assert (server.connections, len(server.requests)) == (1, 2)
    with BrokenServer(b"") as server, client(server.url) as call:
        with pytest.raises(rpc.ConnectionLost):
            call(SafeProtocol, "x")
        assert server.connections == 1


def test_a_refusal_of_what_is_still_being_sent(client: Client) -> None:
    """The server answers before it has read the body, and closes."""

    def refuse(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(response(b"", "413 Content Too Large"))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1_000_000):
                pass

    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with client(url) as call, pytest.raises(rpc.RemoteFault, match="RESOURCE_EXHAUSTED"):
            call(services.EchoProtocol, bytes(10_000_000), timeout=PATIENCE)
        thread.join(PATIENCE)
