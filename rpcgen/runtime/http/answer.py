"""What an HTTP channel makes of the response to a call: a plain reply, or the error that it means. No I/O here.

A reply has status 200 and the type of plain messages. Anything else is a fault of the application that refused
the request, or what a server in between means by its status. Nothing is followed to another place.
"""

from __future__ import annotations

import contextlib
import json
import typing

from rpcgen.runtime.errors import (
    CallError,
    ConnectionLost,
    DecodeError,
    FaultCode,
    ProtocolError,
    RemoteFault,
)
from rpcgen.runtime.http.metadata import INTERFACE, metadata_of
from rpcgen.runtime.options import current_received
from rpcgen.runtime.wire.compression import checked_names, whole
from rpcgen.runtime.wire.outcomes import MAYBE, told

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.limits import Limits

CODINGS = ("gzip", "zstd")
"""Compressions that HTTP has a name for."""

_KINDS = (b"binary", b"application/octet-stream")
_LARGEST_PROBLEM = 64 * 1024

_CODES: typing.Final = {
    401: FaultCode.UNAUTHENTICATED,
    403: FaultCode.PERMISSION_DENIED,
    408: FaultCode.DEADLINE_EXCEEDED,
    413: FaultCode.RESOURCE_EXHAUSTED,
    429: FaultCode.RESOURCE_EXHAUSTED,
    431: FaultCode.RESOURCE_EXHAUSTED,
    500: FaultCode.INTERNAL,
    503: FaultCode.UNAVAILABLE,
    504: FaultCode.DEADLINE_EXCEEDED,
}
"""Status → what it means where the application does not say it itself: servers in between have no other words."""

_ELSEWHERE: typing.Final = {
    400: "is it a server of HTTP, and one of rpcgen?",
    404: "is the application mounted at this path?",
    405: "is the application mounted at this path?",
    415: "is the application mounted at this path?",
}
"""Status → what to look at, where it is not the application that answers."""

_ELSEWHERE_ALONE = (404, 405, 415)
"""An application never answers these to a plain message."""


class Answer:
    """A response, as far as it has come.

    Args:
        status: Its number.
        pairs: Its headers.
        limits: Of which ``message`` and ``metadata`` count.

    Raises:
        ProtocolError: It says that it is larger than the limit.
    """

    def __init__(
        self, status: int, pairs: collections.abc.Iterable[tuple[bytes, bytes]], limits: Limits
    ) -> None:
        self._status = status
        self._limits = limits
        self._headers = {name.lower(): value for name, value in pairs}
        kind = self._headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        self._kind = kind
        self._is_reply = status == 200 and kind in _KINDS
        self._pieces: list[bytes] = []
        self._size = 0
        said = self._headers.get(b"content-length", b"")
        if self._is_reply and said.isdigit() and (len(said) > 18 or int(said) > limits.message):
            raise self._too_long(said.decode())

    @property
    def version(self) -> bytes | None:
        """The fingerprint of the server's interface; empty: it does not say. None: somebody else may have answered."""
        return self._headers.get(INTERFACE, b"") if self._is_reply else None

    def take(self, piece: bytes) -> bool:
        """Takes what has come of the body; says whether more is wanted.

        Raises:
            ProtocolError: It is larger than the limit.
        """
        self._pieces.append(piece)
        self._size += len(piece)
        if self._is_reply:
            if self._size > self._limits.message:
                raise self._too_long(f"more than {self._limits.message}")
            return True
        return self._size < _LARGEST_PROBLEM

    def reply(self) -> bytes:
        """Gives the plain reply; its metadata go where the caller wants them.

        Raises:
            CallError: It is none, and this is what it means.
        """
        if not self._is_reply:
            raise self._meant()
        try:
            metadata, size = metadata_of(self._headers)
        except DecodeError as error:
            raise ProtocolError(error.problem) from error
        if size > self._limits.metadata:
            raise ProtocolError(f"metadata of {size} bytes; the limit is {self._limits.metadata}")
        wanted = current_received.get()
        if wanted is not None:
            wanted.update(metadata)
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        coding = self._headers.get(b"content-encoding", b"").strip().lower().decode("latin-1")
        if coding in ("", "identity"):
            return body
        if coding not in CODINGS:
            raise ProtocolError(f"a reply in Content-Encoding {coding[:40]!r}, which was not asked for")
        expanded = whole(checked_names([coding])[0], body, self._limits.message)
        if expanded is None:
            raise self._too_long(f"more than {self._limits.message}")
        return expanded

    def _too_long(self, size: str) -> ProtocolError:
        return ProtocolError(f"a reply of {size} bytes; the limit is {self._limits.message}")

    def _meant(self) -> CallError:
        """Gives what a response means that is no reply."""
        # What is not there, or takes no plain messages, is another path than that of an application.
        if self._kind == b"application/problem+json" and self._status not in _ELSEWHERE_ALONE:
            with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
                error = json.loads(b"".join(self._pieces))["error"]
                return told(RemoteFault(FaultCode[error["type"]], str(error["message"])))
        said = f"the server answered {self._status}{_phrase(self._status)}"
        if self._status in _CODES:
            return told(RemoteFault(_CODES[self._status], said))
        if self._status == 502:
            return ConnectionLost(f"{said}: the server behind it broke the connection; {MAYBE}")
        if 300 <= self._status < 400:
            where = self._headers.get(b"location", b"")[:200].decode("latin-1")
            to = f" and names {where!r}" if where else ""
            return ProtocolError(f"{said}{to}: nobody is followed elsewhere; connect to the right URL")
        if self._status == 200:
            kind = self._kind[:80].decode("latin-1")
            came = f"in {kind!r}" if kind else "without a Content-Type"
            return ProtocolError(f"the server answered {came}, not in plain messages: is it one of rpcgen?")
        hint = _ELSEWHERE.get(self._status)
        return ProtocolError(f"{said}: {hint}" if hint else said)


def _phrase(status: int) -> str:
    import http

    with contextlib.suppress(ValueError):
        return f" {http.HTTPStatus(status).phrase}"
    return ""
