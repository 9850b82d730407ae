"""SHA-256 for what is no secret. ``hashlib`` loads all of OpenSSL, which costs a client's start 5 ms."""

from __future__ import annotations

import importlib
import typing

_HOMES: typing.Final = ("_sha2", "_sha256", "hashlib")
"""Python's own is in the first from 3.12 on, in the second before; a build may have neither."""


def sha256(data: bytes) -> str:
    """Gives the digest of some bytes in hexadecimal."""
    for name in _HOMES:
        try:
            found = importlib.import_module(name)
        except ImportError:
            continue
        return str(found.sha256(data).hexdigest())
    raise ImportError("this Python has no SHA-256")
