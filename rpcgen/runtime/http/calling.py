"""What goes with a call beside its arguments, as headers: its time, metadata, the access token.

Rpc-Timeout: 0.5            seconds that are left, decimal
Rpc-Meta-NAME: base64       a piece of metadata, both ways; what no header's name can have is %XX in NAME
Authorization: Bearer X     the access token
"""

from __future__ import annotations

import re
import time
import typing

from rpcgen.runtime.contexts import Context
from rpcgen.runtime.errors import DecodeError
from rpcgen.runtime.http.messages import Refusal
from rpcgen.runtime.http.metadata import metadata_of

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.http.messages import Request
    from rpcgen.runtime.wire.limits import Limits

    Authenticate: typing.TypeAlias = collections.abc.Callable[[str], str]

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_BEARER = "bearer "


def context_of(request: Request, limits: Limits, authenticate: Authenticate | None) -> Context:
    """Gives the context of a call, for its handler.

    Args:
        request: The call's.
        limits: Of which ``metadata`` counts.
        authenticate: Finds out who it is.

    Raises:
        Refusal: The token is not good (401), or a header is not what it should be (400, 431).
    """
    headers = request.headers
    identity = "" if authenticate is None else _identity(headers.get(b"authorization", b""), authenticate)
    said = headers.get(b"rpc-timeout")
    deadline = None if said is None else time.monotonic() + _seconds(said)
    metadata = None
    if request.has_metadata or b"authorization" in headers:
        metadata = _metadata(headers, limits)
    return Context(request.peer, metadata, deadline, identity)


def _identity(shown: bytes, authenticate: Authenticate) -> str:
    text = shown.decode("latin-1")
    token = text[len(_BEARER) :].strip() if text[: len(_BEARER)].lower() == _BEARER else ""
    try:
        return authenticate(token)
    except PermissionError as error:
        raise Refusal(401, str(error) or "an access token is required") from None


def _seconds(said: bytes) -> float:
    text = said.decode("latin-1").strip()
    if not _SECONDS.fullmatch(text):
        raise Refusal(400, f"Rpc-Timeout is a number of seconds, like 0.5, not {text[:40]!r}")
    return float(text)


def _metadata(headers: dict[bytes, bytes], limits: Limits) -> dict[str, bytes]:
    try:
        made, size = metadata_of(headers)
    except DecodeError as error:
        raise Refusal(400, error.problem) from None
    if size > limits.metadata:
        raise Refusal(431, f"metadata of {size} bytes; the limit is {limits.metadata}")
    # What interceptors look for, whichever way a call comes.
    if b"authorization" in headers:
        made.setdefault("authorization", headers[b"authorization"])
    return made
