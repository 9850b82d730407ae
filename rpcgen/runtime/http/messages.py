"""A request and a response, as ASGI has them, with what this room asks of them; no parsing of HTTP here."""

from __future__ import annotations

import typing

from rpcgen.runtime.http.metadata import META
from rpcgen.runtime.http.statuses import HEADERS, code_of, problem_type, title_of
from rpcgen.runtime.wire.forms import text

if typing.TYPE_CHECKING:
    import collections.abc

    Message: typing.TypeAlias = collections.abc.MutableMapping[str, typing.Any]
    Scope: typing.TypeAlias = collections.abc.MutableMapping[str, typing.Any]
    Receive: typing.TypeAlias = collections.abc.Callable[[], collections.abc.Awaitable[Message]]
    Send: typing.TypeAlias = collections.abc.Callable[[Message], collections.abc.Awaitable[None]]

    Headers: typing.TypeAlias = list[tuple[bytes, bytes]]

JSON = b"application/json"
PROBLEM = b"application/problem+json"

CLOSE = (b"connection", b"close")
"""After what cannot be read to its end."""

_HEADER_BYTES = 64 * 1024
"""Of all headers together."""


_ONCE = (b"content-length", b"rpc-timeout", b"authorization", b"content-type")


class Gone(Exception):
    """The client has left; nobody waits for a response."""


class Response:
    """What is answered.

    Args:
        status: Its number.
        body: Whole.
        kind: Its Content-Type.
        headers: Further ones, names in lower case.
    """

    __slots__ = ("body", "headers", "kind", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        kind: bytes = JSON,
        headers: collections.abc.Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self.status = status
        self.body = body
        self.kind = kind
        self.headers = [*headers]

    def __repr__(self) -> str:
        return f"<{self.status}, {len(self.body)} bytes of {self.kind.decode()}>"


class Refusal(Exception):
    """A request that is not one, or is refused before anything is called.

    Args:
        status: Of the response.
        problem: What is wrong, and the fix.
        *headers: That go with it.
    """

    def __init__(self, status: int, problem: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem
        self.headers = headers

    def response(self) -> Response:
        """Gives it as problem details."""
        error = {"type": code_of(self.status).name, "message": self.problem}
        return problem(self.status, error, *self.headers)


def problem(
    status: int, error: dict[str, typing.Any], *headers: tuple[bytes, bytes], is_declared: bool = False
) -> Response:
    """Gives problem details (RFC 9457), with the error as ``POST /`` has it in the member ``error``.

    Args:
        status: Of the response.
        error: ``type``, ``message`` and perhaps ``fields``.
        *headers: Further ones.
        is_declared: The type is an exception of the IDL.
    """
    body = {
        "type": problem_type(error["type"], is_declared=is_declared),
        "title": error["type"] if is_declared else title_of(status),
        "status": status,
        "detail": error["message"],
        "error": error,
    }
    return Response(status, text(body), PROBLEM, (*HEADERS.get(status, ()), *headers))


class Request:
    """What came, its body excepted.

    Args:
        scope: ASGI's.

    Raises:
        Refusal: Its headers are too many, or contradict each other about the body's length.
    """

    __slots__ = ("has_metadata", "headers", "method", "path", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path = _path(scope)
        pairs = [*scope["headers"]]
        headers = dict(pairs)
        if len(headers) != len(pairs):
            headers = _joined(pairs)
        self.headers: dict[bytes, bytes] = headers
        """By name in lower case; of one that came several times, the values with commas between."""
        # All at once: this is done for each call, and a loop over them takes several times as long.
        names = b"".join(headers)
        size = len(names) + len(b"".join(headers.values()))
        if size > _HEADER_BYTES:
            raise Refusal(431, f"headers of {size} bytes; the limit is {_HEADER_BYTES}", CLOSE)
        if b"transfer-encoding" in headers and b"content-length" in headers:
            raise Refusal(400, "Content-Length and Transfer-Encoding contradict each other", CLOSE)
        self.has_metadata = META in names
        """Whether some of the headers may be metadata."""

    @property
    def query(self) -> bytes:
        """What follows ``?`` in the URL."""
        return typing.cast(bytes, self.scope.get("query_string", b""))

    @property
    def peer(self) -> str:
        """The client's address; ``""`` where the server does not know it."""
        client = self.scope.get("client")
        if not client or client[1] is None:
            return ""
        host, port = client
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def text(self, name: bytes) -> str:
        """Gives a header's value; ``""`` if there is none."""
        return self.headers.get(name, b"").decode("latin-1").strip()


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    made: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in made and name in _ONCE:
            raise Refusal(400, f"the header {name.decode('latin-1')} came twice", CLOSE)
        made[name] = made[name] + b", " + value if name in made else value
    return made


def _path(scope: Scope) -> str:
    """Gives the path below where the application is mounted; servers differ in whether it includes that."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root:
        root = root.rstrip("/")
        if path == root or path.startswith(root + "/"):
            path = path[len(root) :]
    return path or "/"
