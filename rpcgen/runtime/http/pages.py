"""What browsers are given: the page at ``GET /``, and the document that it is made from.

The page is one file and the same for all applications: it reads openapi.json beside it. Its policy lets
nothing run but its own script, told by its hash, and nothing be asked but the server that it came from.
"""

from __future__ import annotations

import pathlib
import re
import typing

from rpcgen.runtime.http import calling
from rpcgen.runtime.http.messages import Response
from rpcgen.runtime.http.openapi import document, placed
from rpcgen.runtime.wire.forms import text

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.http.calling import Authenticate
    from rpcgen.runtime.http.messages import Headers, Request
    from rpcgen.runtime.stubs import ServerStub
    from rpcgen.runtime.wire.limits import Limits

_FRESH = (b"cache-control", b"no-cache")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class Pages:
    """Answers ``GET /`` and ``GET /openapi.json``; either is made when it is first asked for.

    Args:
        stubs: What is served.
        limits: Of requests.
        authenticate: Given a token; None: everybody may read the document. The page tells nothing that
            is not in this library.
    """

    def __init__(
        self,
        stubs: collections.abc.Sequence[ServerStub],
        limits: Limits,
        authenticate: Authenticate | None,
    ) -> None:
        self._stubs = stubs
        self._limits = limits
        self._authenticate = authenticate
        self._document = b""
        self._page = b""
        self._headers: Headers = []

    def page(self, request: Request) -> Response:
        """Answers ``GET /``."""
        if not self._page:
            self._page = pathlib.Path(__file__).with_name("page.html").read_bytes()
            self._headers = [(b"content-security-policy", _policy(self._page)), *_GUARDS]
        return Response(200, self._page, b"text/html; charset=utf-8", self._headers)

    def openapi(self, request: Request) -> Response:
        """Answers ``GET /openapi.json``.

        Raises:
            Refusal: The token is not good (401).
        """
        calling.context_of(request, self._limits, self._authenticate)
        if not self._document:
            self._document = text(document(self._stubs, has_tokens=self._authenticate is not None))
        root = request.scope.get("root_path", "").rstrip("/")
        return Response(200, placed(self._document, root), headers=[_FRESH, _NO_SNIFFING])


_GUARDS: typing.Final = (
    _FRESH,
    _NO_SNIFFING,
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


def _policy(page: bytes) -> bytes:
    hashes = {kind: _hash(page, kind) for kind in (b"script", b"style")}
    return (
        b"default-src 'none'; script-src '%(script)b'; style-src '%(style)b'; connect-src 'self'; "
        b"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        b"require-trusted-types-for 'script'"
    ) % hashes


def _hash(page: bytes, kind: bytes) -> bytes:
    import base64
    import hashlib

    found = re.search(rb"<%b>(.*?)</%b>" % (kind, kind), page, re.DOTALL)
    assert found is not None
    return b"sha256-" + base64.b64encode(hashlib.sha256(found[1]).digest())
