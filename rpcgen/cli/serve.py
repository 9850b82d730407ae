"""``rpcgen serve``: serves a user's handlers to clients of rpcgen, over HTTP, or both, until a signal ends it.

One event loop runs it all: the server for the protocols of rpcgen, and uvicorn with the application for
HTTP. Plain functions run in threads of either.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import typing

from rpcgen.cli.arguments import COMMON, Parser
from rpcgen.cli.console import Console, plural
from rpcgen.cli.errors import CommandError, lacking
from rpcgen.cli.queues import explained, log_to_standard_error

if typing.TYPE_CHECKING:
    import argparse
    import collections.abc
    import socket

    import uvicorn

    from rpcgen.runtime.aio.server.server import AsyncServer
    from rpcgen.runtime.stubs import ServerStub

PORT = 7000

HELP = f"""\
Serves your handlers: to clients of rpcgen, over HTTP, or both.

Usage: rpcgen serve [OPTIONS] MODULE:HANDLERS --stub MODULE

MODULE:HANDLERS is a module and what handles the methods in it: an instance, a class with static
methods, or a class that is made without arguments. Modules are looked for in the current folder
first, then where Python looks. Coroutine functions are awaited, plain functions run in threads.
Ctrl-C or SIGTERM ends it: it takes nothing new, and lets what runs come to its end.

Options:
  --stub MODULE[:STUB]        the module that rpcgen compiled, and its server stub (default:
                              ServerStub); may be repeated: the handlers then handle them all
  --host HOST                 where to listen (default: 127.0.0.1; 0.0.0.0 is everywhere)
  --port PORT                 for clients of rpcgen (default: {PORT}, or none with --http alone);
                              0 takes a free one
  --http PORT                 for HTTP: curl, browsers, other languages; needs rpcgen[http]
  --cors ORIGIN               whose pages may call by HTTP, * for all; may be repeated
  --registry URL              where --port registers (default: RPCGEN_REGISTRY of the environment)
  --grace SECONDS             for what runs when it is ended (default: 10)
{COMMON}

Examples:
  rpcgen serve shop:Handlers --stub service
  rpcgen serve shop:Handlers --stub service --http 8080
  rpcgen serve shop:Handlers --stub service --port 0 --http 8080 --registry zk://zk1,zk2/rpc

Exit status: 0 ended by a signal, 2 wrong usage, handlers that cannot be used, or it cannot listen.
"""


def parser() -> Parser:
    """Makes the parser of the command's options."""
    found = Parser("serve")
    found.add_argument("handlers", nargs="?", metavar="MODULE:HANDLERS")
    found.add_argument("--stub", action="append", default=[], metavar="MODULE")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port")
    found.add_argument("--http", metavar="PORT")
    found.add_argument("--cors", action="append", default=[], metavar="ORIGIN")
    found.add_argument("--registry", metavar="URL")
    found.add_argument("--grace", type=float, default=10.0, metavar="SECONDS")
    return found


def run(words: typing.Sequence[str]) -> int:
    """Runs the command; gives its exit status."""
    arguments = parser().read(words)
    console = Console(arguments.color)
    _check(arguments)
    http_port = None if arguments.http is None else _port("--http", arguments.http)
    port = None if arguments.port is None else _port("--port", arguments.port)
    if port is None and http_port is None:
        port = PORT

    from rpcgen.cli.handlers import bound

    stubs = bound(arguments.handlers, arguments.stub)
    log_to_standard_error()
    with explained():
        server = None if port is None else _server(arguments, port, stubs)
        http = None if http_port is None else _Http(arguments, http_port, stubs)

        from rpcgen.runtime.aio.server.loops import quickest_loop

        try:
            with asyncio.Runner(loop_factory=quickest_loop()) as runner:
                runner.run(_serve(server, http, stubs, arguments.grace, console))
        finally:
            if http is not None:
                http.sock.close()
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if not arguments.handlers:
        raise CommandError(
            "handlers are missing: MODULE:HANDLERS", help="`rpcgen serve --help` says how it is used"
        )
    if not 0 <= arguments.grace < float("inf"):
        raise CommandError(f"--grace: {arguments.grace} is no number of seconds", help="one is 0 or more")
    if arguments.http is not None and not arguments.port and arguments.registry:
        raise CommandError("--registry is for --port: HTTP is not registered", help="say --port, too")
    if arguments.cors and arguments.http is None:
        raise CommandError("--cors is for --http", help="say --http, too")


def _port(option: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535):
        raise CommandError(f"{option}: {text!r} is no port", help="one is a number from 0 to 65535")
    return int(text)


def _server(arguments: argparse.Namespace, port: int, stubs: list[ServerStub]) -> AsyncServer:
    from rpcgen.runtime.aio.server.server import AsyncServer

    server = AsyncServer(arguments.host, port, *stubs, registry=arguments.registry, grace=arguments.grace)
    with _listening("--port"):
        server.bind()
    return server


class _Http:
    """uvicorn, and where it listens.

    Args:
        arguments: The command's.
        port: Where it is to listen.
        stubs: What is served.

    Raises:
        CommandError: uvicorn is not there, or it cannot listen.
        ValueError: An origin is none.
    """

    def __init__(self, arguments: argparse.Namespace, port: int, stubs: list[ServerStub]) -> None:
        try:
            import uvicorn
        except ImportError as error:
            raise lacking("--http", "uvicorn", "http", error) from error

        from rpcgen.runtime import http
        from rpcgen.runtime.address import Address
        from rpcgen.runtime.sync.server.listen import address_of, listen

        class Server(uvicorn.Server):
            """Leaves signals to the command, which ends more than this."""

            @contextlib.contextmanager
            def capture_signals(self) -> collections.abc.Iterator[None]:
                yield

        app = http.asgi(*stubs, cors=arguments.cors)
        config = uvicorn.Config(
            typing.cast("typing.Any", app),
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=max(1, round(arguments.grace)),
        )
        with _listening("--http"):
            self.sock: socket.socket = listen(Address.of(arguments.host, port), 1024)
        self.url = str(address_of(self.sock)).replace("tcp://", "http://")
        self.server: uvicorn.Server = Server(config)


@contextlib.contextmanager
def _listening(option: str) -> collections.abc.Iterator[None]:
    import errno

    try:
        yield
    except OSError as error:
        help = (
            f"is one running already? {option} 0 takes a free port" if error.errno == errno.EADDRINUSE else ""
        )
        raise CommandError(error.strerror or str(error), help=help) from error


async def _serve(
    server: AsyncServer | None, http: _Http | None, stubs: list[ServerStub], grace: float, console: Console
) -> None:
    from rpcgen.runtime.aio.server.signals import heeding_signals

    ending = asyncio.Event()

    def heed(is_first: bool) -> None:
        ending.set()
        if is_first:
            console.log("ending; a second signal ends it at once")
            return
        if server is not None:
            server.stop(0)
        if http is not None:
            http.server.force_exit = True

    with heeding_signals(heed):
        serving: asyncio.Task[None] | None = None
        try:
            if server is not None:
                await server.start()
            if http is not None:
                serving = asyncio.get_running_loop().create_task(http.server.serve(sockets=[http.sock]))
                serving.add_done_callback(lambda _: ending.set())
            console.find(_said(server, http, stubs))
            await ending.wait()
        finally:
            if http is not None:
                http.server.should_exit = True
            if server is not None:
                await server.stop(grace)
            if serving is not None:
                await serving


def _said(server: AsyncServer | None, http: _Http | None, stubs: list[ServerStub]) -> str:
    places = [str(server.address)] if server is not None else []
    places += [http.url] if http is not None else []
    count = sum(len(stub.protocols) for stub in stubs)
    return f"serving at {' and '.join(places)}: process {os.getpid()}, {plural(count, 'method')}"
