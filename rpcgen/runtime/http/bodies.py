"""Bodies within limits: read whole, expanded and compressed as Content-Encoding says.

A length that is said is held against the limit before anything is read; what comes in pieces while it
comes; what is compressed while it is expanded, so that a bomb takes no more memory than the limit.
"""

from __future__ import annotations

import asyncio
import types
import typing

from rpcgen.runtime.aio.server.running import resumed
from rpcgen.runtime.errors import ProtocolError
from rpcgen.runtime.http.exchange import Reading
from rpcgen.runtime.http.messages import CLOSE, Gone, Refusal
from rpcgen.runtime.wire.compression import BY_NAME, understood, whole

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.http.exchange import Engine, Watch
    from rpcgen.runtime.http.messages import Message, Receive, Request, Response
    from rpcgen.runtime.wire.limits import Limits

WORTHWHILE = 1024
"""Bytes of a response from which on it is compressed."""

LONG = 64 * 1024
"""Bytes that are not expanded or compressed in the event loop."""

_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
"""What HTTP calls an algorithm → what we call it."""


def begun(
    request: Request, receive: Receive, limits: Limits, engine: Engine
) -> bytes | collections.abc.Awaitable[bytes]:
    """Gives a request's body, expanded; or, where it has not come yet, what is to be awaited for it, at once.

    Args:
        request: Whose headers tell its length, perhaps.
        receive: ASGI's.
        limits: Of which ``message`` counts.
        engine: Expands what is long, and tells when it takes too long.

    Raises:
        Refusal: It is longer than the limit (413), did not come in time (408), or is not compressed as it says.
        Gone: The client left.
    """
    said = request.headers.get(b"content-length", b"0")
    if not said.isdigit() or len(said) > 18:
        raise Refusal(400, f"Content-Length is no length: {said[:40].decode('latin-1')!r}")
    if int(said) > limits.message:
        raise _too_long(limits)
    coding = coding_of(request) if b"content-encoding" in request.headers else ""
    if coding:
        return _expanded(coding, _read(receive, limits, engine.here().readings), limits, engine)
    # Mostly it has come with its headers: then there is nothing to wait for.
    receiving = receive()
    if isinstance(receiving, types.CoroutineType):
        try:
            waits_for = receiving.send(None)
        except StopIteration as end:
            message = end.value
            if message["type"] == "http.request" and not message.get("more_body", False):
                piece: bytes = message.get("body", b"")
                if len(piece) > limits.message:
                    raise _too_long(limits) from None
                return piece if isinstance(piece, bytes) else bytes(piece)
            receiving = _known(message)
        else:
            receiving = resumed(receiving, waits_for)
    return _read(receive, limits, engine.here().readings, receiving)


async def _known(message: Message) -> Message:
    return message


async def _expanded(
    coding: str, reading: collections.abc.Coroutine[object, object, bytes], limits: Limits, engine: Engine
) -> bytes:
    data = await reading
    if len(data) > LONG // 16:
        return typing.cast(bytes, await engine.in_thread(expand, coding, data, limits))
    return expand(coding, data, limits)


async def _read(
    receive: Receive,
    limits: Limits,
    readings: Watch,
    receiving: collections.abc.Awaitable[Message] | None = None,
) -> bytes:
    """Gives a body as it comes; what is being received already is its begin."""
    reading = Reading()
    readings.begin(reading)
    pieces: list[bytes] = []
    size = 0
    try:
        while True:
            message = await (receiving or receive())
            receiving = None
            if message["type"] == "http.disconnect":
                raise Gone
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > limits.message:
                raise _too_long(limits)
            if not message.get("more_body", False):
                return b"".join([*pieces, piece])
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
