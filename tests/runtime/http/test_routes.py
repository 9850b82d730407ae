"""What requests ask for and what answers them, without a server."""

from __future__ import annotations

import asyncio
import threading
import typing

import features
import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.http import routes
from rpcgen.runtime.wire.forms import parse
from tests.support import services
from tests.support.aio import Handlers, runs
from tests.support.http import BINARY, JSON, Answer, Client, served
from tests.support.waiting import PATIENCE

STUBS: tuple[typing.Any, ...] = (
    services.BaseServerStub(services.BaseHandlers("b")),
    services.DirectoryServerStub(services.DirectoryHandlers("d")),
)


class SafeProtocol(rpc.MessageProtocol[str]):
    """@idempotent string safe(1: int number, 2: list<string> words = [], 3: string? word)"""

    name = "safe"
    params = (
        rpc.Param(1, "number", rpc.INT),
        rpc.Param(2, "words", rpc.ListOf(rpc.STRING), default=[]),
        rpc.Param(3, "word", rpc.OptionalOf(rpc.STRING)),
    )
    returns = rpc.STRING
    raises = (services.InvalidOperation,)
    idempotent = True


class SafeStub(rpc.ServerStub):
    """Dispatches calls of safe."""

    protocols = (SafeProtocol,)


class Safe:
    """Says what it was given."""

    @rpc.inline
    def safe(self, number: int, words: list[str], word: str | None) -> str:
        if number < 0:
            raise services.InvalidOperation("negative")
        return f"{number} {words} {word}"


def stub(**actions: typing.Callable[[], object]) -> rpc.ServerStub:
    return services.ServerStub(Handlers(**actions))


def error(answer: Answer) -> typing.Any:
    return answer.json["error"]


@runs
async def test_the_path_says_the_method() -> None:
    async with served(stub(), *STUBS) as client:
        answer = await client.call("divide", num1=200, num2=100)
        assert (answer.status, answer.json) == (200, {"result": 2.0})
        assert answer.headers == {"content-length": "14", "content-type": "application/json"}
        assert (await client.call("divide", num1=3)).json == {"result": 3.0}
        assert (await client.call("Directory.ping")).json == {"result": "d"}
        assert (await client.call("Base.ping")).json == {"result": "b"}
        assert (await client.call("Directory.class", **{"if": 4})).json == {"result": 4}
        assert (await client.call("rpc.health")).json == {"result": True}
        assert (await client.call("rpc.describe")).json["result"].startswith("// file: service.idl\n")
        assert (await client.call("old")).json == {"result": None}
        assert (await client.call("echo", data="AP8=")).json == {"result": "AP8="}


@runs
async def test_declared_exceptions_and_faults_are_problem_details() -> None:
    async with served(stub(run=lambda: 1 // 0, none=lambda: None)) as client:
        answer = await client.call("divide", num1=1, num2=0)
        assert answer.status == 409
        assert answer.json == {
            "type": "urn:rpcgen:exception:InvalidOperation",
            "title": "InvalidOperation",
            "status": 409,
            "detail": "division by zero",
            "error": {"type": "InvalidOperation", "message": "division by zero"},
        }
        for what, words in (
            ("run", "run failed: see error id"),
            ("none", "run returned what does not fit its type"),
        ):
            answer = await client.call("run", what=what)
            assert answer.status == 500
            assert answer.detail.startswith(words)
            assert answer.json["type"] == "urn:rpcgen:fault:INTERNAL"


@runs
async def test_an_exception_may_say_its_status() -> None:
    class Directory:
        @staticmethod
        def find(query: str, limit: int, page: object) -> typing.NoReturn:
            raise features.NotFound(limit)

        @staticmethod
        def rest(*args: object) -> typing.Any:
            """What nobody calls here."""

        log = get = groups = everything = remove = ping = version = rest

    async with served(features.DirectoryServerStub(Directory)) as client:
        answer = await client.ask("GET", "/Directory/find?query=x&limit=7")
        assert (answer.status, answer.json["status"]) == (404, 404)
        assert answer.json["error"]["fields"] == {"id": 7, "similar": []}
        answer = await client.post("/", {"name": "Directory.find", "params": {"query": "x"}})
        assert (answer.status, error(answer)["type"]) == (404, "NotFound")
        # A method that does not exist has the same status, but is no exception.
        assert (await client.call("Directory.fnd")).json["type"] == "urn:rpcgen:fault:UNKNOWN_METHOD"


@runs
async def test_a_message_says_the_method() -> None:
    async with served(stub()) as client:
        answer = await client.post("/", {"name": "divide", "params": {"num1": 200, "num2": 100}})
        assert (answer.status, answer.json) == (200, {"result": 2.0})
        assert (await client.post("/", {"name": "old"})).json == {"result": None}
        answer = await client.post("/", {"name": "divide", "params": {"num1": 1, "num2": 0}})
        assert answer.status == 409
        assert answer.json == {"error": {"type": "InvalidOperation", "message": "division by zero"}}
        for message, status, code, words in (
            ({"name": "dvide"}, 404, "UNKNOWN_METHOD", "there is no method 'dvide'; did you mean 'divide'?"),
            ({"name": "divide"}, 400, "BAD_REQUEST", "divide: num1: is required but missing"),
            ({"params": {}}, 400, "BAD_REQUEST", 'a call is an object like {"name": "divide"'),
            ({"name": 3}, 400, "BAD_REQUEST", "a call is an object like"),
            ([], 400, "BAD_REQUEST", "a call is an object like"),
            ({"name": "old", "id": 1}, 400, "BAD_REQUEST", "a call has name and params alone, not 'id'"),
            ({"name": "old", "params": []}, 400, "BAD_REQUEST", "old: arguments must be an object"),
            (b"{", 400, "BAD_REQUEST", "no JSON: "),
        ):
            answer = await client.post("/", message)
            assert answer.status == status
            assert error(answer)["type"] == code
            assert words in error(answer)["message"]


@pytest.mark.parametrize("kind", ["binary", "Binary; x=1", "application/octet-stream"])
@runs
async def test_a_plain_message_is_answered_by_a_plain_reply(kind: str) -> None:
    call = bytes.fromhex("00000006 646976696465 0000000a 01 000000c8 02 00000064")
    async with served(stub()) as client:
        for message, reply in (
            (call, bytes.fromhex("01 40000000")),
            (services.DivideProtocol().args_encode(1, 0), b"\x02\0\0\0\x10division by zero"),
            (services.OldProtocol().args_encode(), b"\x01"),
            (services.EchoProtocol().args_encode(b"x"), b"\x01\0\0\0\x01x"),
            (services.LogProtocol().args_encode("x"), b"\x01"),
        ):
            answer = await client.ask("POST", "/", message, headers={"content-type": kind})
            assert (answer.status, answer.body) == (200, reply)
            assert answer.headers["content-type"] == kind.partition(";")[0].lower()
        for message, words in (
            (
                call.replace(b"divide", b"divids"),
                b"UNKNOWN_METHOD: there is no method 'divids'; did you mean 'divide'?",
            ),
            (call[:-1], b"BAD_REQUEST: a body of 23 bytes is not one whole call: it ends too early"),
            (call + b"\0", b"BAD_REQUEST: a body of 25 bytes is not one whole call: more follows it"),
            (call[:-6] + b"\x09" * 6, b"BAD_REQUEST: divide: "),
            (b"", b"BAD_REQUEST: a body of 0 bytes is not one whole call"),
            (b"\xff" * 30, b"BAD_REQUEST: a method's name of 4294967295 bytes; the limit is 255"),
        ):
            answer = await client.ask("POST", "/", message, headers={"content-type": kind})
            assert answer.status == 200
            assert answer.body[:1] == b"\0"
            assert words in answer.body


@runs
async def test_idempotent_methods_are_called_by_get() -> None:
    async with served(SafeStub(Safe()), stub()) as client:
        answer = await client.ask("GET", "/safe?number=3&words=a&words=%C3%BC+b&word=1")
        assert answer.json == {"result": "3 ['a', 'ü b'] 1"}
        assert answer.headers["cache-control"] == "no-store"
        assert (await client.ask("GET", "/safe?number=3&word=")).json == {"result": "3 [] "}
        answer = await client.ask("HEAD", "/safe?number=3")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "22")
        assert (await client.ask("GET", "/safe?number=-1")).status == 409
        for query, words in (
            ("", "safe: number: is required but missing"),
            ("number=x", 'safe: number: int must be -2147483648..2147483647, not "x"'),
            ("number=true", "not true"),
            ("number=1&number=2", "safe: number stands twice in the query"),
            ("number=1&wrd=2", "safe: there is no argument 'wrd'; did you mean 'word'?"),
            ("number=%ff", "the query cannot be read"),
            ("number=1&word=%ed%a0%80", "the query cannot be read"),
        ):
            answer = await client.ask("GET", f"/safe?{query}")
            assert answer.status == 400
            assert words in answer.detail
        answer = await client.ask("GET", "/divide?num1=1")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert "@idempotent" in answer.detail
        for path, allowed in (
            ("/safe", "GET, HEAD, POST"),
            ("/divide", "POST"),
            ("/", "GET, HEAD, POST"),
            ("/healthz", "GET, HEAD"),
            ("/openapi.json", "GET, HEAD"),
        ):
            answer = await client.ask("DELETE", path)
            assert (answer.status, answer.headers["allow"]) == (405, allowed)
        assert (await client.post("/healthz", {})).status == 405


BAD: list[tuple[bytes, str]] = [
    (b'{"num1": NaN}', 'divide: num1: NaN is not JSON: write it as the string "NaN"'),
    (b'{"num1": -Infinity}', "divide: num1: -Infinity is not JSON"),
    (b'{"num1": ' + b"1" * 5000 + b"}", "divide: num1: an integer of 5000 digits"),
    (b'{"num1": 1e400}', "divide: num1: int must be"),
    (b'{"num1": true}', "divide: num1: int must be -2147483648..2147483647, not true"),
    (b'{"num1": 1.0}', "divide: num1: int must be -2147483648..2147483647, not 1.0"),
    (b'{"num1": 2147483648}', "divide: num1: int must be -2147483648..2147483647, not 2147483648"),
    (b'{"num1": null}', "divide: num1: int must be"),
    (b'{"num1": 1, "num1": 2}', "divide: the key 'num1' stands twice"),
    (b'{"num1": 1, "num3": 2}', "divide: there is no argument 'num3'; did you mean 'num2'?"),
    (b"{}", "divide: num1: is required but missing"),
    (b"[1, 2]", "divide: arguments must be an object, by their names, not [1, 2]"),
    (b'"\\ud800"', "divide: a lone surrogate"),
    (b'{"num1": "\xff"}', "divide: invalid UTF-8"),
    (b"[" * 100_000, "divide: no JSON that can be read: nested too deeply"),
    (b"", "divide: the body is empty: it is a JSON object"),
]


@pytest.mark.parametrize(("body", "words"), BAD)
@runs
async def test_bad_input_is_named(body: bytes, words: str) -> None:
    async with served(stub()) as client:
        answer = await client.post("/divide", body)
        assert answer.status == 400
        assert words in answer.detail


@runs
async def test_ten_million_empty_items_are_refused() -> None:
    async with served(stub()) as client:
        answer = await client.post("/divide", b'{"num1": [' + b"[]," * 5_000_000 + b"[]]}")
        assert (answer.status, answer.detail) == (400, "divide: more than 1000000 items in a message")


@pytest.mark.parametrize(
    "path", ["/dvide", "/Directory/pong", "/Directory.ping", "/a/b/c", "//", "/divide/", "/\udcff"]
)
@runs
async def test_unknown_paths(path: str) -> None:
    async with served(stub(), *STUBS) as client:
        answer = await client.post(path, {})
        assert answer.status == 404
        assert answer.detail.startswith("there is no")
        assert answer.json["type"] == "urn:rpcgen:fault:UNKNOWN_METHOD"


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
@runs
async def test_other_types_are_refused(kind: str | None) -> None:
    async with served(stub()) as client:
        for path, accepts in (("/", "application/json, binary"), ("/divide", "application/json")):
            answer = await client.ask(
                "POST", path, b"{}", headers={} if kind is None else {"content-type": kind}
            )
            assert (answer.status, answer.headers["accept-post"]) == (415, accepts)
            assert answer.detail.startswith("Content-Type must be application/json")


@runs
async def test_oneway_calls_are_answered_at_once() -> None:
    handlers = Handlers()
    async with served(services.ServerStub(handlers)) as client:
        assert (await client.call("log", line="x")).json == {"result": None}
        assert (
            await client.ask("POST", "/", services.LogProtocol().args_encode("y"), headers=BINARY)
        ).body == b"\1"
        for _ in range(2):
            assert handlers.logged.acquire(timeout=30)
        assert handlers.lines == ["x", "y"]


@runs
async def test_health() -> None:
    async with served(stub()) as client:
        answer = await client.ask("GET", "/healthz")
        assert (answer.status, answer.json) == (200, {"status": "ok"})
        assert answer.headers["cache-control"] == "no-store"
        assert (await client.ask("HEAD", "/healthz")).status == 200
        client.app._methods.dispatcher.serving = False
        answer = await client.ask("GET", "/healthz")
        assert (answer.status, answer.json) == (503, {"status": "closing"})


@runs
async def test_mounted_somewhere() -> None:
    async with served(stub(), *STUBS) as client:
        below = Client(client.app, "/api/v1")
        assert (await below.call("divide", num1=1)).json == {"result": 1.0}
        assert (await below.call("Directory.ping")).json == {"result": "d"}
        assert (await below.post("/", {"name": "old"})).json == {"result": None}
        assert (await below.ask("POST", "", b'{"name": "old"}', headers=JSON)).json == {"result": None}
        # Servers of the earlier reading of ASGI leave the mount out of the path.
        assert (await client.ask("POST", "/old", b"{}", headers=JSON, root_path="/api")).status == 200
        assert (await client.ask("POST", "/apiold", b"{}", headers=JSON, root_path="/api")).status == 404


@runs
async def test_other_scopes() -> None:
    async with served(stub()) as client:
        sent: list[typing.Any] = []

        async def send(message: typing.Any) -> None:
            sent.append(message)

        async def receive() -> typing.Any:
            return {"type": "websocket.connect"}

        await client.app({"type": "websocket"}, receive, send)
        assert sent == [{"type": "websocket.close", "code": 1000}]
        with pytest.raises(RuntimeError, match="a scope of type 'other'"):
            await client.app({"type": "other"}, receive, send)


@runs
async def test_lifespan() -> None:
    app = rpc.http.asgi(stub())
    steps = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> typing.Any:
        return {"type": next(steps)}

    async def send(message: typing.Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not app._methods.dispatcher.serving


@pytest.mark.parametrize(
    ("stubs", "options", "words"),
    [
        ((), {}, "a server needs a stub to serve"),
        ((3,), {}, r"a server serves stubs, ServerStub\(Handlers\(\)\); not 3"),
        ((services.ServerStub,), {}, "a server serves stubs"),
        ((stub(),), {"pages": 1}, "asgi has no option pages"),
        ((stub(),), {"max_workers": 0}, "max_workers is at least 1, not 0"),
        ((stub(),), {"cors": "https://a.b"}, "cors is a sequence of origins"),
        ((stub(),), {"cors": ["https://a.b/"]}, "'https://a.b/' is no origin"),
        ((stub(), stub()), {}, "both serve the method divide"),
    ],
)
def test_what_no_application_is_made_of(stubs: typing.Any, options: typing.Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        rpc.http.asgi(*stubs, **options)


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "words"),
    [
        ("POST", "/divide?num1=4", b'{"num1":4}', 400, "the arguments of POST stand in its body, as JSON"),
        ("POST", "/?name=old", b'{"name":"old"}', 400, "nothing of the URL's query is read"),
        ("POST", "//divide", b"{}", 404, "there is nothing at '//divide': the method is at /divide"),
        ("POST", "/divide/", b"{}", 404, "there is nothing at '/divide/': the method is at /divide"),
        ("POST", "/Base%2Fping", b"{}", 404, "there is no method 'Base%2Fping'"),
        (
            "POST",
            "/divide",
            b"",
            400,
            "divide: the body is empty: it is a JSON object of the arguments, {} for none",
        ),
        ("OPTIONS", "/divide", b"", 405, "OPTIONS is not answered here: use POST"),
        ("TRACE", "/healthz", b"", 405, "TRACE is not answered here: use GET, HEAD"),
    ],
)
@runs
async def test_what_newcomers_get_wrong(method: str, url: str, body: bytes, status: int, words: str) -> None:
    async with served(services.ServerStub(Handlers())) as client:
        answer = await client.ask(method, url, body, headers=JSON)
        assert answer.status == status
        assert words in answer.detail


@runs
async def test_long_json_is_not_read_in_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(data: bytes, limits: rpc.Limits) -> object:
        if len(data) > 100_000:
            begun.set()
            assert go_on.wait(PATIENCE)
        return parse(data, limits)

    begun, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(routes, "parse", slow)
    data = "AAAA" * 30_000
    async with served(services.ServerStub(Handlers())) as client:
        for url, body in (("/echo", {"data": data}), ("/", {"name": "echo", "params": {"data": data}})):
            long = asyncio.ensure_future(client.post(url, body))
            assert await asyncio.to_thread(begun.wait, PATIENCE)
            assert (await client.call("divide", num1=1)).json == {"result": 1.0}
            assert not long.done()
            go_on.set()
            assert (await long).json == {"result": data}
            begun.clear()
            go_on.clear()
