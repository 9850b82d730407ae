"""Real servers and real outsiders: uvicorn with both its parsers, granian, hypercorn; curl, httpx, raw bytes; Starlette, FastAPI."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import typing

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.aio import Handlers, runs
from tests.support.http import Client
from tests.support.http_servers import COMMANDS, server
from tests.support.waiting import PATIENCE, until

CALL = bytes.fromhex("00000006 646976696465 0000000a 01 000000c8 02 00000064")
BODY = b'{"num1":4}'
JSON = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module", params=COMMANDS)
def port(request: pytest.FixtureRequest) -> typing.Iterator[int]:
    """Where a server of each kind listens."""
    with server(request.param) as port:
        yield port


def curl(*words: str, data: bytes = b"") -> tuple[int, bytes, bytes]:
    """Runs curl; gives status, headers in lower case and body."""
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", str(PATIENCE), *words],
        input=data,
        capture_output=True,
        check=True,
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.lower(), body


def exchange(port: int, data: bytes) -> bytes:
    """Sends bytes; gives what comes until the server closes the connection, or has answered one request."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(data)
        got = b""
        while piece := sock.recv(65536):
            got += piece
            head, separator, body = got.partition(b"\r\n\r\n")
            length = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
            if separator and length and len(body) >= int(length[0].split(b":")[1]):
                break
        return got


def test_curl(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    as_json = ("-H", "Content-Type: application/json", "-d")
    assert curl(f"{url}/divide", *as_json, '{"num1": 200, "num2": 100}')[::2] == (200, b'{"result":2.0}')
    status, head, body = curl(f"{url}/divide", *as_json, '{"num1": 200, "num2": 0}')
    assert (status, json.loads(body)["error"]["type"]) == (409, "InvalidOperation")
    assert b"content-type: application/problem+json" in head
    assert curl(f"{url}/", *as_json, '{"name": "old"}')[::2] == (200, b'{"result":null}')
    status, head, body = curl(f"{url}/safe?word=a%20b")
    assert (status, body) == (200, b'{"result":"a b"}')
    assert b"rpc-meta-length: mw==" in head
    assert curl("-I", f"{url}/safe?word=x")[::2] == (200, b"")
    assert curl("--compressed", f"{url}/safe?word={'x' * 2000}")[::2] == (
        200,
        b'{"result":"%b"}' % (b"x" * 2000),
    )
    assert curl(f"{url}/divide", "-d", "num1=1")[0] == 415
    assert curl(f"{url}/nothing", *as_json, "{}")[0] == 404
    assert curl(f"{url}/healthz")[0] == 200


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_plain_messages_by_either_version(port: int, version: str) -> None:
    binary = ("-H", "Content-Type: binary", "--data-binary", "@-", f"http://127.0.0.1:{port}/")
    status, head, body = curl(version, *binary, data=CALL)
    assert (status, body) == (200, bytes.fromhex("01 40000000"))
    assert b"content-type: binary" in head
    assert curl(version, *binary, data=CALL[:-1])[2].startswith(b"\0\0\0\0")
    chunked = ("-H", "Transfer-Encoding: chunked") if version == "--http1.1" else ()
    assert curl(version, *chunked, *binary, data=CALL)[2] == bytes.fromhex("01 40000000")


def test_many_calls_on_kept_connections(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for number in range(50):
            assert client.post("/divide", json={"num1": number}).json() == {"result": number}
            answer = client.post("/", content=CALL, headers={"content-type": "binary"})
            assert answer.content == bytes.fromhex("01 40000000")

    async def at_once() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            answers = await asyncio.gather(
                *(client.post("/divide", json={"num1": number}) for number in range(100))
            )
            assert [answer.json()["result"] for answer in answers] == list(range(100))

    asyncio.run(at_once())


def test_large_bodies(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
        text = "AAAA" * 1_000_000
        assert client.post("/echo", json={"data": text}).json() == {"result": text}


def test_handlers_hear_of_clients_that_leave(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:

        def asked(what: str) -> int:
            return int(client.post("/run", json={"what": what}).json()["result"])

        before = asked("cancelled")
        with socket.create_connection(("127.0.0.1", port)) as sock:
            body = b'{"number": 1}'
            sock.sendall(
                b"POST /wait HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n" % (JSON, len(body)) + body
            )
            until(lambda: asked("running") == 1)
        until(lambda: asked("cancelled") == before + 1)
        answer = client.post("/wait", json={"number": 1}, headers={"rpc-timeout": "0.1"})
        assert answer.status_code == 504


_POST = b"POST /divide HTTP/1.1\r\nHost: x\r\n" + JSON


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (_POST + b"Content-Length: 10\r\nContent-Length: 11\r\n\r\n" + BODY, 400),
        (_POST + b"Content-Length: -1\r\n\r\n", 400),
        (_POST + b"X: " + b"a" * 70_000 + b"\r\nContent-Length: 10\r\n\r\n" + BODY, 431),
        (_POST + b"Content-Length: 99999999999\r\n\r\n" + BODY, 413),
        (_POST + b"Content-Length: 10\r\n\r\n" + BODY, 200),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\na\r\n" + BODY + b"\r\n0\r\n\r\n", 200),
        (_POST.replace(b"1.1", b"1.0") + b"Content-Length: 10\r\n\r\n" + BODY, 200),
        (CALL, 400),
    ],
)
def test_requests_as_bytes(port: int, request_: bytes, status: int) -> None:
    assert int(exchange(port, request_).split()[1]) == status


def test_a_length_beside_chunks(port: int, request: pytest.FixtureRequest) -> None:
    both = _POST + b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\na\r\n" + BODY + b"\r\n0\r\n\r\n"
    answer = exchange(port, both)
    if "granian" in request.node.name:
        # Its parser goes by the chunks alone, which the standard allows where the connection then ends.
        assert b"connection: close" in answer.lower()
    else:
        assert int(answer.split()[1]) == 400


def test_slow_senders(port: int) -> None:
    answer = exchange(port, _POST + b"Content-Length: 10\r\n\r\n" + BODY[:5])
    assert int(answer.split()[1]) == 408


def _starlette(app: typing.Any) -> typing.Any:
    return Starlette(routes=[Mount("/api/v1", app=app)])


def _fastapi(app: typing.Any) -> typing.Any:
    outer = FastAPI()
    outer.mount("/api/v1", app)
    return outer


@pytest.mark.parametrize("mounted", [_starlette, _fastapi])
@pytest.mark.parametrize("root", ["", "/proxied"])
@runs
async def test_mounted_below_a_prefix(mounted: typing.Callable[[typing.Any], typing.Any], root: str) -> None:
    """With a root, as servers have it by ``--root-path``: behind a proxy that takes a prefix away."""
    app = rpc.http.asgi(services.ServerStub(Handlers()))
    try:
        client = Client(mounted(app), root)
        assert (await client.post("/api/v1/divide", {"num1": 1})).json == {"result": 1.0}
        assert (await client.post("/api/v1/divid", {})).status == 404
        assert (await client.ask("GET", "/api/v1/healthz")).status == 200
        assert (await client.post("/api/v1/", {"name": "old"})).json == {"result": None}
        answer = await client.ask("POST", "/api/v1/", CALL, headers={"content-type": "binary"})
        assert answer.body == bytes.fromhex("01 40000000")
        assert (await client.ask("GET", "/api/v1/openapi.json")).json["servers"] == [
            {"url": f"{root}/api/v1"}
        ]
        assert b"<title>rpcgen</title>" in (await client.ask("GET", "/api/v1/")).body
    finally:
        await app.close()
