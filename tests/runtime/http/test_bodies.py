"""Bodies and headers within limits; compression both ways; who may call from browsers."""

from __future__ import annotations

import asyncio
import gzip
import json
import typing
import zlib

import pytest
from hypothesis import given, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire.compression import BY_NAME, understood
from tests.support import services
from tests.support.aio import Handlers, runs
from tests.support.http import BINARY, JSON, Client, served

STUB = services.ServerStub(Handlers())
BODY = b'{"num1": 4, "num2": 2}'
CODINGS = [name for name in ("gzip", "zstd") if name in understood()]


@runs
async def test_bodies_come_in_pieces() -> None:
    async with served(STUB) as client:
        pieces = [BODY[at : at + 1] for at in range(len(BODY))]
        assert (await client.ask("POST", "/divide", *pieces, b"", headers=JSON)).json == {"result": 2.0}


@runs
async def test_long_bodies_are_refused() -> None:
    async with served(STUB, limits=rpc.Limits(message=20)) as client:
        for headers, pieces in (
            ({"content-length": "21"}, ()),
            ({"content-length": "9" * 18}, ()),
            ({}, (BODY,)),
            ({}, (BODY[:15], BODY[15:])),
        ):
            answer = await client.ask("POST", "/divide", *pieces, headers={**JSON, **headers})
            assert (answer.status, answer.detail) == (413, "a body is at most 20 bytes")
            assert answer.headers["connection"] == "close"
        answer = await client.ask("POST", "/divide", BODY, headers=JSON, http_version="2")
        assert "connection" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ([("content-length", "x")], 400, "Content-Length is no length: 'x'"),
        ([("content-length", "-1")], 400, "Content-Length is no length: '-1'"),
        ([("content-length", "9" * 19)], 400, "Content-Length is no length"),
        ([("content-length", "1"), ("content-length", "1")], 400, "the header content-length came twice"),
        ([("content-length", "1"), ("transfer-encoding", "chunked")], 400, "contradict each other"),
        ([("authorization", "a"), ("authorization", "b")], 400, "the header authorization came twice"),
        ([("x", "a" * 70_000)], 431, "headers of 70029 bytes; the limit is 65536"),
        ([(f"x{number}", "a" * 60) for number in range(1100)], 431, "the limit is 65536"),
        ([("content-encoding", "br")], 415, "Content-Encoding 'br' is not understood: use gzip"),
        ([("content-encoding", "gzip, gzip")], 415, "Content-Encoding 'gzip, gzip' is not understood"),
    ],
)
@runs
async def test_headers_that_are_refused(headers: list[tuple[str, str]], status: int, words: str) -> None:
    async with served(STUB) as client:
        answer = await client.ask("POST", "/divide", BODY, headers=[*JSON.items(), *headers])
        assert answer.status == status
        assert words in answer.detail


@runs
async def test_slow_senders_are_refused() -> None:
    async with served(STUB, limits=rpc.Limits(receive_time=0.05)) as client:
        answer = await client.ask("POST", "/divide", headers=JSON)  # says nothing, but goes on
        assert answer.status == 400

        async def never() -> typing.Any:
            await asyncio.Event().wait()

        sent: list[typing.Any] = []

        async def send(message: typing.Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/divide", "query_string": b"", "headers": []}
        scope["headers"] = [(b"content-type", b"application/json")]
        await client.app(scope, never, send)
        assert sent[0]["status"] == 408
        assert json.loads(sent[1]["body"])["detail"] == "the request took over 0.05 s to come"


@runs
async def test_clients_that_leave_while_they_send() -> None:
    async with served(STUB) as client:
        client.leave.set()
        scope = {"http_version": "1.1"}
        answer = await _cut(client, scope)
        assert answer == 499


async def _cut(client: Client, scope: dict[str, str]) -> int:
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[typing.Any] = []

    async def receive() -> typing.Any:
        return messages.pop(0)

    async def send(message: typing.Any) -> None:
        sent.append(message)
        raise OSError("gone")

    asked: dict[str, typing.Any] = {"type": "http", "method": "POST", "path": "/divide", **scope}
    asked["headers"] = [(b"content-type", b"application/json")]
    await client.app(asked, receive, send)
    status: int = sent[0]["status"]
    return status


@pytest.mark.parametrize("coding", CODINGS)
@runs
async def test_compressed_bodies(coding: str) -> None:
    compress = BY_NAME[coding].compress
    encoding = {"content-encoding": coding}
    async with served(STUB, limits=rpc.Limits(message=100_000)) as client:
        answer = await client.ask("POST", "/divide", compress(BODY), headers={**JSON, **encoding})
        assert answer.json == {"result": 2.0}
        long = b'{"num1": 4' + b" " * 50_000 + b"}"
        assert (
            await client.ask("POST", "/divide", compress(long), headers={**JSON, **encoding})
        ).status == 200
        message = services.DivideProtocol().args_encode(4, 2)
        answer = await client.ask("POST", "/", compress(message), headers={**BINARY, **encoding})
        assert answer.body == bytes.fromhex("01 40000000")
        for data, status, words in (
            (compress(b" " * 10_000_000), 413, "a body is at most 100000 bytes"),
            (compress(BODY)[:-1], 400, f"the body is not {coding} alone, and whole"),
            (compress(BODY) + b"x", 400, f"the body is not {coding}"),
            (BODY, 400, f"the body is not {coding}: "),
            (b"", 400, f"the body is not {coding}"),
        ):
            answer = await client.ask("POST", "/divide", data, headers={**JSON, **encoding})
            assert answer.status == status
            assert words in answer.detail


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        (None, ""),
        ("", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        ("gzip;q=0", ""),
        ("GZIP;q=0.5, br", "gzip"),
        ("*", CODINGS[-1]),
        ("*;q=0, gzip", "gzip"),
        ("gzip;q=x", ""),
        ("gzip, deflate, br, zstd", CODINGS[-1]),
        ("zstd;q=0.1, gzip", "gzip"),
    ],
)
@runs
async def test_compressed_responses(accepts: str | None, coding: str) -> None:
    headers = {} if accepts is None else {"accept-encoding": accepts}
    async with served(STUB) as client:
        for size in (10, 2_000, 300_000):
            answer = await client.call("echo", headers, data="A" * size + "A" * (-size % 4))
            if size == 10 or not coding:
                assert "content-encoding" not in answer.headers
                body = answer.body
            else:
                assert answer.headers["content-encoding"] == coding
                assert len(answer.body) < size / 2
                body = _expanded(coding, answer.body)
            assert len(json.loads(body)["result"]) >= size
            assert ("vary" in answer.headers) == (size > 10)
    async with served(STUB, compress=False) as client:
        assert "vary" not in (await client.call("echo", headers, data="A" * 2000)).headers


def _expanded(coding: str, data: bytes) -> bytes:
    return (
        gzip.decompress(data) if coding == "gzip" else BY_NAME[coding].decompressor().decompress(data, 10**7)
    )


def test_gzip_is_what_others_make_of_it() -> None:
    assert zlib.decompress(BY_NAME["gzip"].compress(b"x"), wbits=31) == b"x"


ORIGIN = "https://app.example"


@runs
async def test_pages_elsewhere_may_not_call() -> None:
    async with served(STUB) as client:
        for site in ("cross-site", "same-site"):
            for origin in ({}, {"origin": ORIGIN}):
                answer = await client.call("divide", {"sec-fetch-site": site, **origin}, num1=1)
                assert answer.status == 403
                assert "access-control-allow-origin" not in answer.headers
                assert (await client.ask("GET", "/divide", headers={"sec-fetch-site": site})).status == 403
        for site in ("same-origin", "none"):
            assert (await client.call("divide", {"sec-fetch-site": site}, num1=1)).status == 200
        assert (await client.ask("GET", "/healthz", headers={"sec-fetch-site": "cross-site"})).status == 200
        asks = {"origin": ORIGIN, "access-control-request-method": "POST"}
        assert (await client.ask("OPTIONS", "/divide", headers=asks)).status == 403
        assert (await client.ask("OPTIONS", "/divide")).status == 405


@pytest.mark.parametrize("cors", [(ORIGIN, "http://localhost:5173"), ("*",)])
@runs
async def test_pages_of_origins_that_are_named_may_call(cors: tuple[str, ...]) -> None:
    async with served(STUB, cors=cors) as client:
        asks = {
            "origin": ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "Content-Type, rpc-meta-x, x-other, authorization",
        }
        answer = await client.ask("OPTIONS", "/divide", headers=asks)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-headers"] == "content-type, rpc-meta-x, authorization"
        assert answer.headers["access-control-allow-methods"] == "GET, POST"
        shown = "*" if cors == ("*",) else ORIGIN
        assert answer.headers["access-control-allow-origin"] == shown
        for args, status in (({"num1": 1}, 200), ({"num1": 1, "num2": 0}, 409), ({}, 400)):
            answer = await client.call("divide", {"sec-fetch-site": "cross-site", "origin": ORIGIN}, **args)
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, shown)
            assert answer.headers["access-control-expose-headers"] == "retry-after"
            assert answer.headers.get("vary") == (None if shown == "*" else "Origin")
        if shown != "*":
            elsewhere = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
            assert (await client.call("divide", elsewhere, num1=1)).status == 403


@given(
    st.sampled_from(["POST", "GET", "PUT"]),
    st.sampled_from(["/", "/divide", "/echo", "/rpc/health", "/x"]) | st.text(max_size=10).map("/".__add__),
    st.sampled_from(["application/json", "binary", ""]),
    st.binary(max_size=40) | st.sampled_from([BODY, b'{"name": "divide"}', b'{"data": "AA=="}']),
    st.dictionaries(
        st.sampled_from(
            ["rpc-timeout", "rpc-meta-a", "content-encoding", "accept-encoding", "content-length", "origin"]
        ),
        st.text(st.characters(max_codepoint=255), max_size=6),
        max_size=2,
    ),
)
def test_no_request_is_our_fault(
    method: str, path: str, kind: str, body: bytes, headers: dict[str, str]
) -> None:
    async def ask() -> int:
        async with served(STUB, inline=True, cors=("*",)) as client:
            answer = await client.ask(method, path, body, headers={"content-type": kind, **headers})
            return answer.status

    assert asyncio.run(ask()) in (200, 400, 404, 405, 409, 413, 415, 431, 504)
