"""An asyncio server, as a program sees it: made, bound, serving, shut down.

    NEW ──bind──▶ BOUND ──start, serve──▶ SERVING ──shutdown, signal──▶ CLOSED

It registers, withdraws and drains as blocking servers do. Generated modules hold server classes, and
clients import generated modules: what serving needs is loaded when a server is made.
"""

from __future__ import annotations

import contextlib
import enum
import typing

from rpcgen.runtime.address import Address
from rpcgen.runtime.sync.announcing import (
    ANNOUNCED,
    PATIENCE,
    announced_by,
    check_stubs,
    draining,
    introduction,
)
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS

if typing.TYPE_CHECKING:
    import asyncio
    import socket
    import types

    from rpcgen.runtime.aio.options import AsyncServerOptions
    from rpcgen.runtime.aio.serving import Serving
    from rpcgen.runtime.announce import Announcement
    from rpcgen.runtime.stubs import ServerStub


class _State(enum.Enum):
    NEW = "is not bound"
    BOUND = "is bound"
    SERVING = "serves already"
    CLOSED = "is closed"


class AsyncServer:
    """Serves many connections in one event loop, framed and plain ones on one port.

    Any stubs, of several files too, on one address::

        rpc.AsyncServer("127.0.0.1", 7000, service.ServerStub(Handlers()), other.ServerStub(…)).run()

    Handlers that are coroutine functions run as tasks. Plain functions run in threads, or right in the
    event loop if they are marked ``@rpc.inline`` (or all are, by ``inline=True``). A plain function may give
    an awaitable of its result.

    Args:
        host: A name or an address to listen at, ``""`` for all, or ``unix:///path``.
        port: 0 takes a free one; None with ``unix:///path``.
        *stubs: What is served.
        limits: What is accepted from clients.
        backlog: Connections that the system keeps until they are accepted.
        grace: Seconds that running calls have left after SIGINT, SIGTERM or the end of ``async with``.
        name: Of its threads.
        inline: Plain functions run in the event loop: none of them may block.
        max_workers: Plain functions that run at once in threads; threads are started when they are needed.
        connection_calls: That run at once on one connection. Further ones wait, and nothing more is received
            from that client meanwhile: who sends too much slows down nobody else.
        max_calls: That run, or wait for a thread, at once. Further ones are refused as ``Unavailable``: certainly
            not started, so that clients of several servers turn to another one.
        registry: Where each of its services registers: ``zk://…``, ``registry://…``, or an open
            registry, which stays open. None: what ``RPCGEN_REGISTRY`` says, nowhere without it;
            ``""``: nowhere.
        advertise: Where clients reach it, if not where it listens: ``host``, ``host:port``,
            ``tcp://host:port`` or ``unix:///path``.
        weight: Its share of the calls, against the others'.
        zone: Where it stands, for clients that prefer their own.
        version: Of the program.
        metadata: Texts by name, for clients and operators.
        drain: Seconds of going on as before between withdrawing and stopping, in which clients
            turn to others. None: 0.2 if it is registered, else 0.

    Raises:
        TypeError: There are no stubs, or something else stands where one should.
        ValueError: Host and port name no address, two stubs serve the same, an option is out of its
            range, or the registry's URL is wrong.
        ImportError: The registry's package is not installed.
    """

    def __init__(
        self, host: str, port: int | None, *stubs: ServerStub, **options: typing.Unpack[AsyncServerOptions]
    ) -> None:
        from rpcgen.runtime.aio.dispatch import AsyncDispatcher

        self._wanted = Address.of(host, port)
        check_stubs(stubs)
        self._limits = options.pop("limits", DEFAULT_LIMITS)
        self._backlog = options.pop("backlog", 1024)
        self._grace = options.pop("grace", 10.0)
        self._name = options.pop("name", "rpcgen")
        inline = options.pop("inline", False)
        self._max_workers = _at_least_one("max_workers", options.pop("max_workers", 64))
        self._connection_calls = _at_least_one("connection_calls", options.pop("connection_calls", 1000))
        self._max_calls = _at_least_one("max_calls", options.pop("max_calls", 10_000))
        announced = {name: options.pop(name) for name in ANNOUNCED if name in options}  # type: ignore[misc]
        drain = options.pop("drain", None)
        if options:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(options)}")
        self._dispatcher = AsyncDispatcher(stubs, self._limits, inline=inline)
        self._stubs = stubs
        self._announcement = announced_by(stubs, announced)
        self._drain = draining(drain, self._announcement)
        self._state = _State.NEW
        self._listener: socket.socket | None = None
        self._file_id: tuple[int, int] | None = None
        self._address: Address | None = None
        self._serving: Serving | None = None
        self._stopping: asyncio.Task[bool] | None = None
        self._hurry: asyncio.Event | None = None
        """Set when those who wait are to be closed at once."""

    @property
    def address(self) -> Address:
        """Where it listens, with the port that it really has. Known once it is bound.

        Raises:
            RuntimeError: It is not bound yet.
        """
        if self._address is None:
            raise RuntimeError("the server is not bound yet: call bind(), start() or serve() first")
        return self._address

    @property
    def port(self) -> int:
        """The port of ``address``; 0 for a Unix socket."""
        return self.address.port

    def bind(self) -> Address:
        """Begins to listen; calls are answered from ``start`` or ``serve`` on. Again is harmless.

        Raises:
            OSError: The address is in use or not this machine's; the message names it.
            RuntimeError: The server is closed.
        """
        from rpcgen.runtime.sync.listen import address_of, file_id, listen

        if self._state is _State.CLOSED:
            raise RuntimeError("the server is closed: make another")
        if self._state is _State.NEW:
            self._listener = listen(self._wanted, self._backlog)
            self._address = address_of(self._listener)
            self._file_id = file_id(self._address.path) if self._address.path else None
            self._state = _State.BOUND
        return self.address

    async def start(self) -> typing.Self:
        """Serves in the running event loop from now on; ``async with server: …`` does so, too.

        A registry has five seconds to register it; then it goes on trying in the background.

        Raises:
            OSError: As ``bind``.
            ValueError: The registry does not take the server.
            RuntimeError: The server serves already or is closed.
        """
        import asyncio

        from rpcgen.runtime.aio.serving import Serving

        self.bind()
        if self._state is not _State.BOUND or self._listener is None:
            raise RuntimeError(f"the server {self._state.value}")
        self._state = _State.SERVING
        self._hurry = asyncio.Event()
        self._serving = Serving(
            self._dispatcher,
            self._limits,
            max_workers=self._max_workers,
            connection_calls=self._connection_calls,
            max_calls=self._max_calls,
            name=self._name,
        )
        try:
            await self._serving.start(self._listener, self._backlog)
            self._announce()
            if self._announcement is not None:
                await asyncio.to_thread(self._announcement.wait, PATIENCE)
        except BaseException:
            await self.close()
            raise
        return self

    async def serve(self) -> None:
        """Serves until ``shutdown`` or, in the main thread, until SIGINT or SIGTERM.

        On the first signal the server withdraws and drains, and running calls get its ``grace``; a
        second one ends at once. A task that is cancelled while it serves closes the server.

        Raises:
            OSError, ValueError, RuntimeError: As ``start``; a server that was started is served on.
        """
        from rpcgen.runtime.aio.signals import heeding_signals

        if self._state is not _State.SERVING:
            await self.start()
        assert self._serving is not None
        with heeding_signals(self._heed_signal):
            try:
                await self._serving.closed.wait()
            finally:
                if self._stopping is None:
                    await self.close()
        await self._stop(self._grace)

    def run(self) -> None:
        """Serves from a plain program: ``serve`` in an event loop of its own, uvloop's where that is installed.

        Raises:
            OSError, ValueError, RuntimeError: As ``serve``.
        """
        import asyncio

        from rpcgen.runtime.aio.loops import quickest_loop

        with asyncio.Runner(loop_factory=quickest_loop()) as runner:
            runner.run(self.serve())

    async def shutdown(self, grace: float = 10.0) -> bool:
        """Withdraws, drains, takes leave of clients (GOAWAY), lets running calls end, closes.

        Args:
            grace: Seconds that running calls have left after withdrawing and draining; then they are cancelled.
                0: no draining either.

        Returns:
            Whether all ended in time. In a handler it returns True at once, and the server stops behind it.
        """
        import asyncio

        stopping = self._stop(grace)
        if self._serving is not None and self._serving.runner.runs(asyncio.current_task()):
            return True
        return await asyncio.shield(stopping)

    async def close(self) -> None:
        """Shuts down without grace. Again is harmless."""
        await self.shutdown(0)

    async def __aenter__(self) -> typing.Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        await self.shutdown(self._grace)

    def _stop(self, grace: float) -> asyncio.Task[bool]:
        """Begins to stop, once; in a hurry if there is no grace any more."""
        import asyncio

        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._end(grace))
        elif not grace and self._hurry is not None:
            self._hurry.set()
        return self._stopping

    def _heed_signal(self, is_first: bool) -> None:
        self._stop(self._grace if is_first else 0.0)

    async def _end(self, grace: float) -> bool:
        import asyncio

        self._dispatcher.serving = False
        self._state = _State.CLOSED
        in_time = True
        if self._announcement is not None:
            await self._withdraw(self._announcement)
        if self._serving is not None and self._hurry is not None:
            hurry = self._hurry
            if not grace:
                hurry.set()
            elif self._drain:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(hurry.wait(), self._drain)
            in_time = await self._serving.drain(grace, hurry)
        if self._announcement is not None:
            await asyncio.to_thread(self._announcement.close)
        if self._listener is not None:
            from rpcgen.runtime.sync.listen import remove_file

            self._listener.close()
            remove_file(self.address.path, self._file_id)
        if self._serving is not None:
            self._serving.closed.set()
        return in_time

    async def _withdraw(self, announcement: Announcement) -> None:
        import asyncio

        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(gone.set)

        announcement.ask_to_withdraw(tell)
        await gone.wait()

    def _announce(self) -> None:
        import logging

        intro = introduction(self._stubs, self.address)
        if self._announcement is None:
            logging.getLogger("rpcgen").info("%s, registered nowhere", intro)
        else:
            self._announcement.announce(self.address, intro, self._name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._address or self._wanted}, {self._state.name.lower()}>"


def _at_least_one(name: str, number: int) -> int:
    if number < 1:
        raise ValueError(f"{name} is at least 1, not {number!r}")
    return number
