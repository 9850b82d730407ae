"""Bodies within limits: read whole, expanded and compressed as Content-Encoding says.

A length that is said is held against the limit before anything is read; what comes in pieces while it
comes; what is compressed while it is expanded, so that a bomb takes no more memory than the limit.
"""

from __future__ import annotations

import asyncio
import typing

from rpcgen.runtime.errors import ProtocolError
from rpcgen.runtime.http.exchange import Reading
from rpcgen.runtime.http.messages import CLOSE, Gone, Refusal
from rpcgen.runtime.wire.compression import BY_NAME, understood, whole

if typing.TYPE_CHECKING:
    from rpcgen.runtime.http.exchange import Watch
    from rpcgen.runtime.http.messages import Receive, Request, Response
    from rpcgen.runtime.wire.limits import Limits

WORTHWHILE = 1024
"""Bytes of a response from which on it is compressed."""

LONG = 64 * 1024
"""Bytes that are not expanded or compressed in the event loop."""

_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
"""What HTTP calls an algorithm → what we call it."""


async def read(request: Request, receive: Receive, limits: Limits, readings: Watch) -> bytes:
    """Gives a request's body as it came.

    Args:
        request: Whose headers tell its length, perhaps.
        receive: ASGI's.
        limits: Of which ``message`` counts.
        readings: Tells when it takes too long.

    Raises:
        Refusal: It is longer than the limit (413), or did not come in time (408).
        Gone: The client left.
    """
    said = request.headers.get(b"content-length", b"0")
    if not said.isdigit() or len(said) > 18:
        raise Refusal(400, f"Content-Length is no length: {said[:40].decode('latin-1')!r}")
    if int(said) > limits.message:
        raise _too_long(limits)
    reading = Reading()
    readings.begin(reading)
    pieces: list[bytes] = []
    size = 0
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > limits.message:
                raise _too_long(limits)
            if not message.get("more_body", False):
                return piece if not pieces else b"".join([*pieces, piece])
            pieces.append(piece)
    except asyncio.CancelledError:
        if reading.stopped():
            raise Refusal(408, f"the request took over {limits.receive_time:g} s to come", CLOSE) from None
        raise
    finally:
        readings.end(reading)


def _too_long(limits: Limits) -> Refusal:
    # What is still to come is not read: the connection cannot be used again.
    return Refusal(413, f"a body is at most {limits.message} bytes", CLOSE)


def coding_of(request: Request) -> str:
    """Gives the algorithm by which a request's body is compressed; ``""``: by none.

    Raises:
        Refusal: By one that is not understood here, or by several (415).
    """
    if b"content-encoding" not in request.headers:
        return ""
    said = request.text(b"content-encoding").lower()
    if said in ("", "identity"):
        return ""
    name = _CODINGS.get(said, "")
    if name not in understood():
        known = ", ".join(coding for coding in ("gzip", "zstd") if coding in understood())
        raise Refusal(
            415,
            f"Content-Encoding {said[:40]!r} is not understood: use {known}, or none",
            (b"accept-encoding", known.encode()),
        )
    return name


def expand(name: str, data: bytes, limits: Limits) -> bytes:
    """Gives what was compressed.

    Args:
        name: Of the algorithm.
        data: Whole.
        limits: Of which ``message`` counts.

    Raises:
        Refusal: It is no such thing (400), or longer than the limit (413).
    """
    try:
        made = whole(name, data, limits.message)
    except ProtocolError as error:
        raise Refusal(400, error.problem) from error
    if made is None:
        raise _too_long(limits)
    return made


def accepted(request: Request) -> str:
    """Gives the algorithm by which the client would best have its response; ``""``: by none."""
    said = request.headers.get(b"accept-encoding")
    if said is None:
        return ""
    weights: dict[str, float] = {}
    for part in said.decode("latin-1").lower().split(","):
        coding, _, parameters = part.partition(";")
        weights[coding.strip()] = _weight(parameters)
    any_other = weights.get("*", 0.0)
    found = [name for name in ("zstd", "gzip") if name in understood() and weights.get(name, any_other) > 0]
    return max(found, key=lambda name: weights.get(name, any_other), default="")


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def compress(name: str, response: Response) -> None:
    """Compresses a response's body, if that makes it smaller."""
    data = BY_NAME[name].compress(response.body)
    if len(data) < len(response.body):
        response.body = data
        response.headers.append((b"content-encoding", name.encode()))
