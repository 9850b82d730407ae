"""Who may call from browsers: pages of this origin, and those of origins that are named. Nobody else.

Browsers ask before they send what a plain form could not (a preflight); what a form could send, GET, they say
where it comes from (Sec-Fetch-Site). A page elsewhere can so neither read a result nor call anything.
"""

from __future__ import annotations

import re
import typing

from rpcgen.runtime.http.messages import Refusal, Response

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.http.messages import Request

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s,?#]+", re.ASCII)
_OWN = ("authorization", "content-type", "content-encoding", "rpc-timeout")
_META = "rpc-meta-"
_ELSEWHERE = (b"cross-site", b"same-site")
_KEPT = b"600"
"""Seconds for which a browser need not ask again."""


class Cors:
    """What is told to browsers.

    Args:
        origins: As browsers say them: ``https://app.example``, ``http://localhost:5173``; ``*``: all.

    Raises:
        ValueError: One is no origin.
    """

    def __init__(self, origins: collections.abc.Sequence[str]) -> None:
        if isinstance(origins, str):
            raise ValueError(f"cors is a sequence of origins: ({origins!r},)")
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f'{origin!r} is no origin: one is "https://app.example", without a path, or "*"'
                )
        self._all = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)
        self.is_asked = bool(origins)
        """Whether responses say who may read them."""

    def check(self, request: Request) -> None:
        """Refuses a call that a page elsewhere makes.

        Raises:
            Refusal: 403.
        """
        if request.headers.get(b"sec-fetch-site") in _ELSEWHERE and not self._allows(request):
            raise Refusal(
                403, "pages of other origins may not call this: the server's cors= names those that may"
            )

    def preflight(self, request: Request) -> Response:
        """Answers a browser that asks before it sends.

        Raises:
            Refusal: 403: that origin may not.
        """
        if not self._allows(request):
            raise Refusal(
                403, "pages of that origin may not call this: the server's cors= names those that may"
            )
        asked = request.text(b"access-control-request-headers").lower().split(",")
        names = [name.strip() for name in asked]
        allowed = ", ".join(name for name in names if name in _OWN or name.startswith(_META))
        return Response(
            204,
            b"",
            headers=[
                (b"access-control-allow-methods", b"GET, POST"),
                (b"access-control-allow-headers", allowed.encode("latin-1")),
                (b"access-control-max-age", _KEPT),
            ],
        )

    def permit(self, request: Request, response: Response) -> None:
        """Lets a page read the response, if its origin is named."""
        if not self._all:
            response.headers.append((b"vary", b"Origin"))
        if self._allows(request):
            origin = b"*" if self._all else request.headers[b"origin"]
            exposed = [
                b"retry-after",
                *(name for name, _ in response.headers if name.startswith(b"rpc-meta-")),
            ]
            response.headers += [
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", b", ".join(exposed)),
            ]

    def _allows(self, request: Request) -> bool:
        origin = request.headers.get(b"origin")
        return origin is not None and (self._all or origin in self._origins)
