"""Calls over HTTP: an ASGI application that answers them, and channels that make them.

Nobody here parses HTTP: servers (uvicorn, granian, hypercorn) and httpcore, the engine of httpx, do. What is
here is loaded when it is used; this module itself loads nothing.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from rpcgen.runtime.http.aio import AsyncHttpChannel as AsyncHttpChannel
    from rpcgen.runtime.http.application import Application
    from rpcgen.runtime.http.channel import HttpChannel as HttpChannel
    from rpcgen.runtime.http.options import AsgiOptions as AsgiOptions
    from rpcgen.runtime.stubs import ServerStub


def asgi(*stubs: ServerStub, **options: typing.Unpack[AsgiOptions]) -> Application:
    """Gives an ASGI application that answers the stubs' calls: ``app = rpc.http.asgi(ServerStub(Handlers()))``.

    It runs under any ASGI server, and mounts into Starlette and FastAPI. Handlers that are coroutine
    functions are awaited; plain functions run in threads, or right in the event loop where they are marked
    ``@rpc.inline`` (or all are, by ``inline=True``).

    Args:
        *stubs: What is served.
        limits: What is accepted from clients.
        interceptors: What is done around each call, in the event loop, asynchronously or not; see
            ``rpc.Interceptor``. The first is the outermost.
        authenticate: Given the token of ``Authorization: Bearer TOKEN`` (``""`` without one), it gives who the
            client is, for ``rpc.context().identity``, or raises PermissionError with the reason, which the
            client is told. It is called in the event loop and must not wait. ``rpc.Tokens({…})`` is one.
        cors: Origins whose pages may call from browsers: ``("https://app.example",)``; ``("*",)``: all.
        page: Whether ``GET /`` gives a page on which what is served can be looked at and called, and
            ``GET /openapi.json`` the same for programs. With ``authenticate`` the latter asks for a token.
        compress: Whether responses are compressed for clients that ask for it.
        inline: Plain functions run in the event loop: none of them may block.
        max_workers: Plain functions that run at once in threads; threads are started when they are needed.
        max_calls: That run, or wait for a thread, at once. Further ones are answered 503.

    Raises:
        TypeError: There are no stubs, or something else stands where one should.
        ValueError: Two stubs serve the same, an option is out of its range, or an origin is none.
    """
    from rpcgen.runtime.http.application import Application

    return Application(stubs, **options)


_HOMES = {"AsyncHttpChannel": "aio", "HttpChannel": "channel"}


def __getattr__(name: str) -> typing.Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
