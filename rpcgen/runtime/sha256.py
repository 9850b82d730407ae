"""SHA-256 for what is no secret. ``hashlib`` loads all of OpenSSL, which costs a client's start 5 ms."""

from __future__ import annotations

import functools
import importlib
import typing

_HOMES: typing.Final = ("_sha2", "_sha256", "hashlib")
"""Python's own is in the first from 3.12 on, in the second before; a build may have neither."""


def sha256(data: bytes) -> str:
    """Gives the digest of some bytes in hexadecimal."""
    return str(_found()(data).hexdigest())


@functools.cache
def _found() -> typing.Any:
    for name in _HOMES:
        try:
            return importlib.import_module(name).sha256
        except ImportError:
            continue
    raise ImportError("this Python has no SHA-256")
