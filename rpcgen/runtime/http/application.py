"""The ASGI application: from a request to the route that answers it, and from what that gives to a response.

    POST /                  Content-Type binary: a plain call message; application/json: {"name", "params"}
    POST /METHOD, /SERVICE/METHOD       the arguments as a JSON object
    GET  /METHOD, /SERVICE/METHOD       of @idempotent methods: the arguments as the query
    GET  /healthz           whether it takes calls
    GET  /, /openapi.json   a page to look at what is served and call it, and the same as OpenAPI

It stands on ASGI alone: no library is needed. Everything that is shared belongs to the loop that runs it.
"""

from __future__ import annotations

import logging
import typing

from rpcgen.runtime.aio.server.server import at_least_one
from rpcgen.runtime.http import bodies
from rpcgen.runtime.http.cors import Cors
from rpcgen.runtime.http.exchange import Engine
from rpcgen.runtime.http.messages import Gone, Refusal, Request, Response
from rpcgen.runtime.http.methods import Methods
from rpcgen.runtime.http.pages import Pages
from rpcgen.runtime.http.routes import Routes
from rpcgen.runtime.sync.server.announcing import check_stubs
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.http.messages import Headers, Receive, Scope, Send
    from rpcgen.runtime.http.options import AsgiOptions
    from rpcgen.runtime.stubs import ServerStub

_log = logging.getLogger("rpcgen")


class Application:
    """Answers HTTP requests as ASGI 3 has it: ``await app(scope, receive, send)``. Made by ``rpc.http.asgi``.

    Args:
        stubs: What is served.
        **options: As ``rpc.http.asgi`` says.

    Raises:
        TypeError, ValueError: As there.
    """

    def __init__(
        self, stubs: collections.abc.Sequence[ServerStub], **options: typing.Unpack[AsgiOptions]
    ) -> None:
        given = dict(typing.cast("dict[str, typing.Any]", options))
        self._limits = given.pop("limits", DEFAULT_LIMITS)
        max_workers = at_least_one("max_workers", given.pop("max_workers", 64))
        max_calls = at_least_one("max_calls", given.pop("max_calls", 10_000))
        self._compresses = given.pop("compress", True)
        self._cors = Cors(given.pop("cors", ()))
        interceptors, inline = tuple(given.pop("interceptors", ())), given.pop("inline", False)
        authenticate = given.pop("authenticate", None)
        has_page = given.pop("page", True)
        if given:
            raise TypeError(f"asgi has no option {', '.join(given)}")
        check_stubs(stubs)
        self._methods = Methods(stubs, self._limits, interceptors, inline=inline)
        self._engine = Engine(
            self._methods.dispatcher, max_workers, max_calls, "rpcgen-http", self._limits.receive_time
        )
        self._routes = Routes(self._methods, self._limits, authenticate, self._cors, self._engine)
        if has_page:
            pages = Pages(stubs, self._limits, authenticate)
            self._routes.pages |= {"/": pages.page, "/openapi.json": pages.openapi}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise RuntimeError(f"a scope of type {scope['type']!r}: this application answers http")

    async def close(self) -> None:
        """Cancels calls that run, and ends the threads: for programs that mount it, where no lifespan tells."""
        await self._engine.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif kind == "lifespan.shutdown":
                self._methods.dispatcher.serving = False
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request | None = None
        try:
            request = Request(scope)
            found = self._routes.respond(request, receive)
            response = found if isinstance(found, Response) else await found
            if self._compresses and len(response.body) >= bodies.WORTHWHILE:
                await self._compress(request, response)
        except Refusal as refusal:
            response = refusal.response()
        except Gone:
            response = Refusal(499, "the client has left").response()
        except Exception:
            _log.exception("a request was not answered: this is a fault of rpcgen")
            response = Refusal(500, "the server failed: see its log").response()
        if self._cors.is_asked and request is not None:
            self._cors.permit(request, response)
        body = response.body
        headers: Headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", response.kind),
            *response.headers,
        ]
        if response.status != 200:
            headers = _fitting(scope, response, headers)
        if scope["method"] == "HEAD":
            body = b""
        try:
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        except OSError:
            _log.debug("the client of %s left before its response", scope["path"])

    async def _compress(self, request: Request, response: Response) -> None:
        response.headers.append((b"vary", b"Accept-Encoding"))
        name = bodies.accepted(request)
        if not name:
            return
        if len(response.body) > bodies.LONG:
            await self._engine.in_thread(bodies.compress, name, response)
        else:
            bodies.compress(name, response)


def _fitting(scope: Scope, response: Response, headers: Headers) -> Headers:
    """Takes out the headers that a response may not have."""
    if response.status == 204:
        headers = headers[2:]  # it has no body
    if not scope.get("http_version", "1.1").startswith("1"):  # later versions have no such header
        headers = [pair for pair in headers if pair[0] != b"connection"]
    return headers
