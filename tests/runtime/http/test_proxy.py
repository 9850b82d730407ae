"""The application behind nginx, which hands requests on in its own way: HTTP/1.0, bodies whole, an end of its own."""

from __future__ import annotations

import gzip
import pathlib
import socket
import tempfile
import typing

import httpx
import pytest

from tests.support.http_servers import server
from tests.support.nginx import nginx
from tests.support.waiting import PATIENCE, until

CALL = bytes.fromhex("00000006 646976696465 0000000a 01 000000c8 02 00000064")


@pytest.fixture(scope="module")
def sock() -> typing.Iterator[str]:
    """Where nginx listens."""
    with (
        server("uvicorn") as port,
        tempfile.TemporaryDirectory() as folder,
        nginx(pathlib.Path(folder), port) as path,
    ):
        yield path


@pytest.fixture(params=["", "/kept"])
def client(sock: str, request: pytest.FixtureRequest) -> typing.Iterator[httpx.Client]:
    """Asks nginx, which hands on by HTTP/1.0 or 1.1."""
    transport = httpx.HTTPTransport(uds=sock)
    with httpx.Client(
        transport=transport, base_url=f"http://nginx{request.param}", timeout=PATIENCE
    ) as client:
        yield client


def test_calls_of_each_way(client: httpx.Client) -> None:
    for _ in range(5):
        assert client.post("/divide", json={"num1": 200, "num2": 100}).json() == {"result": 2.0}
        answer = client.post("/", content=CALL, headers={"content-type": "binary"})
        assert answer.content == bytes.fromhex("01 40000000")
        answer = client.get("/safe", params={"word": "ü b"})
        assert (answer.json(), answer.headers["rpc-meta-length"]) == ({"result": "ü b"}, "Mw==")
    assert client.get("/healthz").status_code == 200


def test_problems_and_long_bodies_pass(client: httpx.Client) -> None:
    answer = client.post("/divide", json={"num1": 1, "num2": 0})
    assert (answer.status_code, answer.json()["error"]["type"]) == (409, "InvalidOperation")
    text = "AAAA" * 250_000
    assert client.post("/echo", json={"data": text}).json() == {"result": text}


def test_handlers_hear_of_clients_that_leave_nginx(sock: str, client: httpx.Client) -> None:
    def asked(what: str) -> int:
        return int(client.post("/run", json={"what": what}).json()["result"])

    before = asked("cancelled")
    path = client.base_url.path.rstrip("/").encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sock)
        body = b'{"number": 1}'
        connection.sendall(
            b"POST %b/wait HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (path, len(body))
            + body
        )
        until(lambda: asked("running") == 1)
    until(lambda: asked("cancelled") == before + 1)


def test_what_nginx_compresses(client: httpx.Client) -> None:
    text = "AAAA" * 1000
    answer = client.post("/echo", json={"data": text})  # httpx takes gzip: it is compressed once
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == {"result": text}
    packed = gzip.compress(b'{"num1": 200, "num2": 100}')
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert client.post("/divide", content=packed, headers=headers).json() == {"result": 2.0}
    assert client.post("/divide", json={"num1": 1}, headers={"accept-encoding": "identity"}).json() == {
        "result": 1.0
    }


def test_the_page_behind_a_prefix(client: httpx.Client) -> None:
    assert "<title>rpcgen</title>" in client.get("/").text
    assert client.get("/openapi.json").json()["paths"].keys() >= {"/divide", "/safe"}
