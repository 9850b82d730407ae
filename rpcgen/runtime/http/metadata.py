"""Metadata as headers, at both ends: ``Rpc-Meta-NAME: base64``. What no header's name can have is %XX in NAME."""

from __future__ import annotations

import binascii
import typing
import urllib.parse

from rpcgen.runtime.errors import DecodeError, EncodeError

if typing.TYPE_CHECKING:
    import collections.abc

    Headers: typing.TypeAlias = list[tuple[bytes, bytes]]

INTERFACE = b"rpc-interface"
"""The header that says which interface a server has, by its fingerprint."""

META = b"rpc-meta-"
"""What the names of metadata begin with."""

_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789-_.~"


def metadata_of(headers: collections.abc.Mapping[bytes, bytes]) -> tuple[dict[str, bytes], int]:
    """Gives the metadata among headers, and how many bytes of names and values they are.

    Args:
        headers: By name in lower case.

    Raises:
        DecodeError: A value is not base64.
    """
    made: dict[str, bytes] = {}
    size = 0
    for name in [name for name in headers if name.startswith(META)]:
        value = headers[name]
        try:
            made[unescaped(name[9:])] = found = (
                binascii.a2b_base64(value.strip(), strict_mode=True) if value else b""
            )
        except ValueError:
            raise DecodeError(f"{name.decode('latin-1')} is not base64, with its padding") from None
        size += len(name) - 9 + len(found)
    return made, size


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
        made.append((META + escaped(name), binascii.b2a_base64(value, newline=False)))
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
