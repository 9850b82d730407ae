"""What a request asks for, and what answers it.

Errors have one of two shapes: problem details where the path says the method, ``{"error": …}`` where a JSON
message does, as plain messages have it. The binary route answers 200 whatever its reply says.
"""

from __future__ import annotations

import json
import typing

from rpcgen.runtime.errors import DecodeError, EncodeError, FaultCode, ProtocolError
from rpcgen.runtime.http import bodies, calling
from rpcgen.runtime.http.messages import JSON, Refusal, Response, problem
from rpcgen.runtime.http.metadata import metadata_headers
from rpcgen.runtime.http.statuses import HEADERS, STATUSES
from rpcgen.runtime.wire.codec import FAULT, RETURNED, fault
from rpcgen.runtime.wire.forms import parse, text
from rpcgen.runtime.wire.plain import CallReader, encode_fault
from rpcgen.runtime.wire.scalars import shown
from rpcgen.runtime.wire.tailed import WRITTEN

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.aio.server.dispatch import Method
    from rpcgen.runtime.contexts import Context
    from rpcgen.runtime.http.calling import Authenticate
    from rpcgen.runtime.http.cors import Cors
    from rpcgen.runtime.http.exchange import Engine
    from rpcgen.runtime.http.messages import Receive, Request
    from rpcgen.runtime.http.methods import Methods, Served
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.limits import Limits

    Page: typing.TypeAlias = collections.abc.Callable[[Request], Response]
    # Functions that give one of these save a coroutine around another.
    Responding: typing.TypeAlias = collections.abc.Coroutine[typing.Any, typing.Any, Response]
    Shape: typing.TypeAlias = collections.abc.Callable[[bytes], Response]

BINARY = (b"binary", b"application/octet-stream")
"""Content-Types of plain messages; the second one for what lets no type through that has no slash."""

_KINDS = (JSON, *BINARY)
"""Content-Types as nearly everybody writes them."""
_LONG_JSON = 16 * 1024
"""Bytes of JSON that are not read in the event loop: they take a millisecond, in which nobody else is answered."""
_NO_STORE = (b"cache-control", b"no-store")


class Routes:
    """Answers requests.

    Args:
        methods: That are called.
        limits: Of requests and of metadata.
        authenticate: Given a token; None: everybody may call.
        cors: Who may call from browsers.
        engine: Runs them.
    """

    def __init__(
        self, methods: Methods, limits: Limits, authenticate: Authenticate | None, cors: Cors, engine: Engine
    ) -> None:
        self._methods = methods
        self._engine = engine
        self._limits = limits
        self._authenticate = authenticate
        self._cors = cors
        self.pages: dict[str, Page] = {"/healthz": self._health}
        """What GET answers that is no call, by path."""

    def respond(self, request: Request, receive: Receive) -> Response | Responding:
        """Gives the response to a request, or what is to be awaited for it.

        Raises:
            Refusal: It is not one that is answered.
            Gone: The client has left.
        """
        path, method = request.path, request.method
        if method == "POST" and (path not in self.pages or self._is_called(path)):
            if b"sec-fetch-site" in request.headers:
                self._cors.check(request)
            return self._post(request, receive)
        if method in ("GET", "HEAD"):
            page = self.pages.get(path)
            if page is not None:
                return page(request)
            self._cors.check(request)
            return self._get(request, receive)
        if method == "OPTIONS" and b"access-control-request-method" in request.headers:
            return self._cors.preflight(request)
        allowed = self._allowed(path)
        raise Refusal(405, f"{method} is not answered here: use {allowed.decode()}", (b"allow", allowed))

    def _is_called(self, path: str) -> bool:
        # A method may have a page's name.
        return path == "/" or path not in self.pages or self._methods.at(path) is not None

    def _allowed(self, path: str) -> bytes:
        """Gives the methods of HTTP that are answered at a path."""
        served = self._methods.at(path)
        has_get = path in self.pages or (served is not None and served.protocol.idempotent)
        return b", ".join([b"GET, HEAD"] * has_get + [b"POST"] * self._is_called(path))

    def _health(self, request: Request) -> Response:
        is_serving = self._methods.dispatcher.serving
        status = 200 if is_serving else 503
        return Response(status, text({"status": "ok" if is_serving else "closing"}), headers=[_NO_STORE])

    async def _get(self, request: Request, receive: Receive) -> Response:
        if request.path == "/":
            raise Refusal(405, "GET is not answered here", (b"allow", b"POST"))
        context = self._context(request)
        served = self._served(request.path)
        if not served.protocol.idempotent:
            raise Refusal(
                405,
                f"{served.protocol.name} is called by POST: the interface does not say that it is @idempotent",
                (b"allow", b"POST"),
            )
        try:
            args = served.arguments_of_query(request.query)
        except DecodeError as error:
            raise Refusal(400, str(error)) from None
        response = await self._call(served, args, context, receive, _in_path)
        response.headers.append(_NO_STORE)
        return response

    def _post(self, request: Request, receive: Receive) -> Responding:
        kind = request.headers.get(b"content-type", b"")
        if kind not in _KINDS:
            kind = kind.partition(b";")[0].strip().lower()
        if request.path == "/" and kind in BINARY:
            return self._binary(request, receive, kind)
        if kind != JSON:
            came = f"not {kind[:80].decode('latin-1')!r}" if kind else "and there is none"
            meant = "application/json, or binary" if request.path == "/" else "application/json"
            raise Refusal(
                415,
                f"Content-Type must be {meant}, {came}",
                (b"accept-post", meant.replace(" or", "").encode()),
            )
        if request.query:
            raise Refusal(
                400, "the arguments of POST stand in its body, as JSON: nothing of the URL's query is read"
            )
        if request.path == "/":
            return self._message(request, receive)
        return self._at_path(request, receive)

    async def _at_path(self, request: Request, receive: Receive) -> Response:
        """Answers a call whose method the path says."""
        context = self._context(request)
        served = self._served(request.path)
        data = bodies.begun(request, receive, self._limits, self._engine)
        if not isinstance(data, bytes):
            data = await data
        try:
            if len(data) > _LONG_JSON:
                args = await self._engine.in_thread(self._arguments, served, data)
            else:
                args = self._arguments(served, data)
        except DecodeError as error:
            raise Refusal(400, str(error)) from None
        return await self._call(served, args, context, receive, _in_path)

    async def _message(self, request: Request, receive: Receive) -> Response:
        """Answers a call message in JSON."""
        context = self._context(request)
        data = bodies.begun(request, receive, self._limits, self._engine)
        if not isinstance(data, bytes):
            data = await data
        is_long = len(data) > _LONG_JSON
        try:
            if is_long:
                message = await self._engine.in_thread(parse, data, self._limits)
            else:
                message = parse(data, self._limits)
            if message.__class__ is not dict or message.get("name").__class__ is not str:
                raise DecodeError('a call is an object like {"name": "divide", "params": {"num1": 200}}')
            others = message.keys() - {"name", "params"}
            if others:
                raise DecodeError(f"a call has name and params alone, not {shown(sorted(others)[0])}")
        except DecodeError as error:
            return _in_message(encode_fault(FaultCode.BAD_REQUEST, str(error)))
        served = self._methods.get(message["name"])
        if served is None:
            return _in_message(self._methods.dispatcher.unknown(message["name"][:255]))
        read, params = served.forms.read_arguments, message.get("params", {})
        try:
            args = (await self._engine.in_thread(read, params)) if is_long else read(params)
        except DecodeError as error:
            return _in_message(encode_fault(FaultCode.BAD_REQUEST, str(error)))
        return await self._call(served, args, context, receive, _in_message)

    async def _binary(self, request: Request, receive: Receive, kind: bytes) -> Response:
        context = self._context(request)
        data = bodies.begun(request, receive, self._limits, self._engine)
        if not isinstance(data, bytes):
            data = await data
        call = self._methods.usual(data) or self._unusual(data)
        if isinstance(call, bytes):
            return Response(200, call, kind, self._methods.version)
        method, block = call
        reply = self._engine.quick(method, block, context)
        if not isinstance(reply, WRITTEN):
            reply = await self._engine.rest(method, reply, block, context, receive)
        whole = bytes(reply)
        if context.reply:
            return self._with_metadata(
                whole, method, context, lambda reply: Response(200, reply, kind, self._methods.version)
            )
        return Response(200, whole, kind, self._methods.version)

    def _unusual(self, data: bytes) -> tuple[Method, Data] | bytes:
        """Gives what a plain call message says: the method and the block of its arguments; or the reply to it."""
        reader = CallReader(self._limits)
        try:
            reader.feed(data)
            call = reader.next_call()
            if call is None or reader.pending:
                raise ProtocolError(
                    f"a body of {len(data)} bytes is not one whole call: more follows it"
                    if call
                    else f"a body of {len(data)} bytes is not one whole call: it ends too early"
                )
        except ProtocolError as error:
            return encode_fault(FaultCode.BAD_REQUEST, error.problem)
        served = self._methods.get(call[0])
        if served is None:
            return self._methods.dispatcher.unknown(call[0])
        return served.binary, call[1]

    async def _call(
        self,
        served: Served,
        args: tuple[typing.Any, ...],
        context: Context,
        receive: Receive,
        shape: Shape,
    ) -> Response:
        method = served.json
        reply = self._engine.quick(method, args, context)
        if not isinstance(reply, WRITTEN):
            reply = await self._engine.rest(method, reply, args, context, receive)
        whole = bytes(reply)
        return self._with_metadata(whole, method, context, shape) if context.reply else shape(whole)

    def _with_metadata(self, reply: bytes, method: Method, context: Context, shape: Shape) -> Response:
        try:
            headers = metadata_headers(context.reply or {}, self._limits.metadata)
        except EncodeError as error:
            return shape(method.replies.failed(error))
        response = shape(reply)
        response.headers += headers
        return response

    def _context(self, request: Request) -> Context:
        return calling.context_of(request, self._limits, self._authenticate)

    def _served(self, path: str) -> Served:
        """Finds the method that a path names.

        Raises:
            Refusal: There is none (404).
        """
        served = self._methods.at(path)
        if served is None:
            meant = "/" + "/".join(filter(None, path.split("/")))
            if meant != path and self._methods.at(meant) is not None:
                raise Refusal(404, f"there is nothing at {path[:255]!r}: the method is at {meant}")
            name = path[1:].replace("/", ".")
            found = fault(self._methods.dispatcher.unknown(name[:255])[5:].decode())
            raise Refusal(404, found.message)
        return served

    def _arguments(self, served: Served, data: bytes) -> tuple[typing.Any, ...]:
        name = served.protocol.name
        if not data:
            problem = "the body is empty: it is a JSON object of the arguments, {} for none"
            raise DecodeError(problem, method=name)
        try:
            parsed = parse(data, self._limits)
        except DecodeError as error:
            raise DecodeError(error.problem, method=name) from None
        return served.forms.read_arguments(parsed)


def _in_path(reply: bytes) -> Response:
    """Gives a JSON reply to a call whose method the path says."""
    if reply[0] == RETURNED:
        return _result(reply)
    status, error = _error(reply)
    return problem(status, error, is_declared=reply[0] != FAULT)


def _in_message(reply: bytes) -> Response:
    """Gives a JSON reply to a call message."""
    if reply[0] == RETURNED:
        return _result(reply)
    status, error = _error(reply)
    return Response(status, text({"error": error}), headers=HEADERS.get(status, ()))


def _result(reply: bytes) -> Response:
    # The receipt of a oneway call says no result.
    return Response(200, b'{"result":%b}' % (reply[1:] or b"null"))


def _error(reply: bytes) -> tuple[int, dict[str, typing.Any]]:
    if reply[0] != FAULT:
        return int.from_bytes(reply[1:3], "big"), json.loads(reply[3:])
    found = fault(reply[5:].decode())
    return STATUSES[found.code], {"type": found.code.name, "message": found.message}
