"""An ASGI application asked without a server: one request at a time, everything that it sends looked at."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import json
import typing

from rpcgen import runtime as rpc

if typing.TYPE_CHECKING:
    from rpcgen.runtime.http.application import Application
    from rpcgen.runtime.http.messages import Message

JSON = {"content-type": "application/json"}
BINARY = {"content-type": "binary"}


class Answer(typing.NamedTuple):
    """What the application sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> typing.Any:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        """Of problem details; what is there twice is the same."""
        problem = self.json
        assert self.headers["content-type"] == "application/problem+json"
        assert problem["status"] == self.status
        assert problem["error"]["message"] == problem["detail"]
        return typing.cast(str, problem["detail"])


class Client:
    """Asks an application.

    Args:
        app: It is closed by ``close`` alone.
        root: Where it is mounted.
    """

    def __init__(self, app: Application, root: str = "") -> None:
        self.app = app
        self._root = root
        self.leave = asyncio.Event()
        """Set: the client leaves."""

    async def ask(
        self,
        method: str,
        url: str,
        *pieces: bytes,
        headers: collections.abc.Mapping[str, str] | collections.abc.Sequence[tuple[str, str]] = (),
        **scope: object,
    ) -> Answer:
        """Sends a request, its body in these pieces; what is not said stays out."""
        path, _, query = url.partition("?")
        pairs = headers.items() if isinstance(headers, collections.abc.Mapping) else headers
        asked: dict[str, typing.Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": self._root + path,
            "query_string": query.encode(),
            "root_path": self._root,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
            "client": ("127.0.0.1", 1234),
            "server": ("127.0.0.1", 80),
            **scope,
        }
        messages: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
            for number, piece in enumerate(pieces, 1)
        ] or [{"type": "http.request"}]
        sent: list[Message] = []

        async def receive() -> Message:
            if messages:
                return messages.pop(0)
            await self.leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(asked, receive, send)
        start, *bodies = sent
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
        found: dict[str, str] = {}
        for name, value in start["headers"]:
            assert name == name.lower()
            assert name.decode() not in found or name == b"vary"
            found[name.decode()] = value.decode("latin-1")
        body = b"".join(message["body"] for message in bodies)
        if method != "HEAD" and start["status"] != 204:
            assert int(found["content-length"]) == len(body)
        return Answer(start["status"], found, body)

    async def call(
        self, name: str, headers: collections.abc.Mapping[str, str] = {}, /, **args: typing.Any
    ) -> Answer:
        """Calls a method by its path, in JSON."""
        body = json.dumps(args).encode()
        return await self.ask("POST", f"/{name.replace('.', '/')}", body, headers={**JSON, **headers})

    async def post(self, url: str, body: object, **headers: str) -> Answer:
        """Posts JSON, written here or already."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("POST", url, data, headers={**JSON, **more})


@contextlib.asynccontextmanager
async def served(
    *stubs: rpc.ServerStub, **options: typing.Unpack[rpc.http.AsgiOptions]
) -> collections.abc.AsyncIterator[Client]:
    """Makes an application and gives what asks it."""
    app = rpc.http.asgi(*stubs, **options)
    try:
        yield Client(app)
    finally:
        await app.close()
