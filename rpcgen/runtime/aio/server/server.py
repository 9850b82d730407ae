"""An asyncio server, as a program sees it: made, bound, serving, shut down.

    NEW ──bind──▶ BOUND ──start, serve──▶ SERVING ──shutdown, signal──▶ CLOSED

It registers, withdraws and drains as blocking servers do. Generated modules hold server classes, and
clients import generated modules: what serving needs is loaded when a server is made.
"""

from __future__ import annotations

import contextlib
import os
import typing

from rpcgen.runtime.sync.server.announcing import PATIENCE
from rpcgen.runtime.sync.server.bound import Bound, State, settings

if typing.TYPE_CHECKING:
    import asyncio
    import types

    from rpcgen.runtime.aio.options import AsyncServerOptions
    from rpcgen.runtime.aio.server.serving import Serving
    from rpcgen.runtime.announce import Announcement
    from rpcgen.runtime.stubs import ServerStub


class AsyncServer(Bound):
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
        authenticate: Given the credentials that a client says in its HELLO, it gives who the client is, for
            ``rpc.context().identity``, or raises PermissionError with the reason, which the client is told. It
            is called in the event loop and must not wait.
        plain: Whether clients that speak plain messages are served; None: unless there is ``authenticate``,
            for they have no credentials.
        tls: ``rpc.TLS`` or an ``ssl.SSLContext``: it speaks TLS alone then. With ``rpc.TLS(ca=…)`` clients must
            show a certificate of that authority.
        interceptors: What is done around each call, in the event loop, asynchronously or not; see
            ``rpc.Interceptor``. The function inside still runs where it would.
        compress: Names of algorithms (gzip, zstd, lz4) to compress replies by, the best one first.
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
        OSError: A certificate cannot be read; the message names it.
        ImportError: The registry's package is not installed.
    """

    def __init__(
        self, host: str, port: int | None, *stubs: ServerStub, **options: typing.Unpack[AsyncServerOptions]
    ) -> None:
        from rpcgen.runtime.aio.server.dispatch import AsyncDispatcher

        inline = options.pop("inline", False)
        self._max_workers = at_least_one("max_workers", options.pop("max_workers", 64))
        self._connection_calls = at_least_one("connection_calls", options.pop("connection_calls", 1000))
        self._max_calls = at_least_one("max_calls", options.pop("max_calls", 10_000))
        # How many calls run at once is decided here: those that must wait are not refused by the session.
        self._settings = settings(type(self).__name__, stubs, dict(options), calls=2**31)
        super().__init__(host, port, stubs, self._settings.backlog)
        self._dispatcher = AsyncDispatcher(
            stubs, self._settings.limits, self._settings.interceptors, inline=inline
        )
        self._serving: Serving | None = None
        self._stopping: asyncio.Task[bool] | None = None
        self._hurry: asyncio.Event | None = None
        """Set when those who wait are to be closed at once."""

    async def start(self) -> typing.Self:
        """Serves in the running event loop from now on; ``async with server: …`` does so, too.

        A registry has five seconds to register it; then it goes on trying in the background.

        Raises:
            OSError: As ``bind``.
            ValueError: The registry does not take the server.
            RuntimeError: The server serves already or is closed.
        """
        import asyncio

        from rpcgen.runtime.aio.server.serving import Serving

        self.bind()
        if self._state is not State.BOUND or self._listener is None:
            raise RuntimeError(f"the server {self._state.value}")
        self._state = State.SERVING
        self._hurry = asyncio.Event()
        self._serving = Serving(
            self._dispatcher,
            self._settings,
            self._share,
            max_workers=self._max_workers,
            connection_calls=self._connection_calls,
            max_calls=self._max_calls,
        )
        try:
            self._serving.start(self._listener)
            self._announce()
            if self._settings.announcement is not None:
                await asyncio.to_thread(self._settings.announcement.wait, PATIENCE)
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
        from rpcgen.runtime.aio.server.signals import heeding_signals

        if self._state is not State.SERVING:
            await self.start()
        assert self._serving is not None
        with heeding_signals(self._heed_signal):
            try:
                await self._serving.closed.wait()
            finally:
                if self._stopping is None:
                    await self.close()
        await self.stop(self._settings.grace)

    def run(self) -> None:
        """Serves from a plain program: ``serve`` in an event loop of its own, uvloop's where that is installed.

        Raises:
            OSError, ValueError, RuntimeError: As ``serve``.
        """
        import asyncio

        from rpcgen.runtime.aio.server.loops import quickest_loop

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

        stopping = self.stop(grace)
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
        await self.shutdown(self._settings.grace)

    def leave(self) -> None:
        """Makes ``rpc.health`` say no, ahead of a shutdown."""
        self._dispatcher.serving = False

    def stop(self, grace: float) -> asyncio.Task[bool]:
        """Begins what ``shutdown`` does, in its loop; once, and in a hurry as soon as there is no grace any more."""
        import asyncio

        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._end(grace))
        elif not grace and self._hurry is not None:
            self._hurry.set()
        return self._stopping

    def _heed_signal(self, is_first: bool) -> None:
        self.stop(self._settings.grace if is_first else 0.0)

    async def _end(self, grace: float) -> bool:
        import asyncio

        self.leave()
        self._state = State.CLOSED
        announcement = self._settings.announcement
        in_time = True
        if announcement is not None:
            await self._withdraw(announcement)
        if self._serving is not None and self._hurry is not None:
            hurry = self._hurry
            if not grace:
                hurry.set()
            elif self._settings.drain:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(hurry.wait(), self._settings.drain)
            in_time = await self._serving.drain(grace, hurry)
        if announcement is not None:
            await asyncio.to_thread(announcement.close)
        self.unbind()
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

        intro, announcement = self.intro(), self._settings.announcement
        if self._share is not None:
            logging.getLogger("rpcgen").debug("%s in process %d", intro, os.getpid())
        elif announcement is None:
            logging.getLogger("rpcgen").info("%s, registered nowhere", intro)
        else:
            announcement.announce(self.address, intro, self._settings.name)


def at_least_one(name: str, number: int) -> int:
    """Gives the option's number back.

    Raises:
        ValueError: It is 0 or less.
    """
    if number < 1:
        raise ValueError(f"{name} is at least 1, not {number!r}")
    return number
