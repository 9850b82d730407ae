"""What goes with a call beside its arguments, as headers: its time, metadata, the access token.

Rpc-Timeout: 0.5            seconds that are left, decimal
Rpc-Meta-NAME: base64       a piece of metadata, both ways; what no header's name can have is %XX in NAME
Authorization: Bearer X     the access token
"""

from __future__ import annotations

import binascii
import re
import time
import typing
import urllib.parse

from rpcgen.runtime.contexts import Context
from rpcgen.runtime.errors import EncodeError
from rpcgen.runtime.http.messages import Refusal

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.http.messages import Headers, Request
    from rpcgen.runtime.wire.limits import Limits

    Authenticate: typing.TypeAlias = collections.abc.Callable[[str], str]

_META = b"rpc-meta-"
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_BEARER = "bearer "
_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789-_.~"


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


def _metadata(headers: dict[bytes, bytes], limits: Limits) -> dict[str, bytes] | None:
    made: dict[str, bytes] = {}
    size = 0
    for name in [name for name in headers if name.startswith(_META)]:
        value = headers[name]
        try:
            made[unescaped(name[9:])] = found = (
                binascii.a2b_base64(value.strip(), strict_mode=True) if value else b""
            )
        except ValueError:
            raise Refusal(400, f"{name.decode('latin-1')} is not base64, with its padding") from None
        size += len(name) - 9 + len(found)
    if size > limits.metadata:
        raise Refusal(431, f"metadata of {size} bytes; the limit is {limits.metadata}")
    # What interceptors look for, whichever way a call comes.
    if b"authorization" in headers:
        made.setdefault("authorization", headers[b"authorization"])
    return made or None


def metadata_headers(metadata: collections.abc.Mapping[str, bytes], most: int) -> Headers:
    """Gives metadata as headers.

    Args:
        metadata: By name.
        most: Bytes of names and values.

    Raises:
        EncodeError: There are more, or one is no bytes.
    """
    made: Headers = []
    size = 0
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, bytes):
            raise EncodeError(f"metadata are bytes by name, not {name!r}: {type(value).__name__}")
        made.append((_META + escaped(name), binascii.b2a_base64(value, newline=False)))
        size += len(name.encode(errors="replace")) + len(value)
    if size > most:
        raise EncodeError(f"metadata of {size} bytes; the limit is {most}")
    return made


def escaped(name: str) -> bytes:
    """Gives a name of metadata as a header's name can have it: headers do not know large from small letters."""
    if name.isascii() and all(char in _PLAIN for char in name):
        return name.encode()
    return b"".join(
        bytes((byte,)) if chr(byte) in _PLAIN else b"%%%02x" % byte for byte in name.encode(errors="replace")
    )


def unescaped(name: bytes) -> str:
    """Gives back what ``escaped`` was given."""
    if b"%" not in name:
        return name.decode("latin-1")
    return urllib.parse.unquote_to_bytes(name).decode(errors="replace")
