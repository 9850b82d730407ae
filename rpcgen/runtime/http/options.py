"""The options of the ASGI application, as a type for its ``**options``."""

from __future__ import annotations

import typing

from rpcgen.runtime.wire.limits import Limits

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.interceptors import Interceptor


class AsgiOptions(typing.TypedDict, total=False):
    """Options of ``rpc.http.asgi``, which says what they mean."""

    limits: Limits
    interceptors: collections.abc.Sequence[Interceptor]
    authenticate: collections.abc.Callable[[str], str] | None
    cors: collections.abc.Sequence[str]
    page: bool
    compress: bool
    inline: bool
    max_workers: int
    max_calls: int
