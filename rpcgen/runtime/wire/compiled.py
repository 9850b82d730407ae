"""Placeholder until the compiled functions stand: every message by the reference."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.plain import MethodCodec


def message(
    codec: MethodCodec, kind: str, slow: collections.abc.Callable[..., typing.Any]
) -> collections.abc.Callable[..., typing.Any]:
    return slow


def source(codec: MethodCodec) -> str:
    return ""
