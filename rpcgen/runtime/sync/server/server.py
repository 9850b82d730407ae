"""Blocking servers, as a program sees them: made, bound, serving, shut down.

    NEW ──bind──▶ BOUND ──serve, start──▶ SERVING ──shutdown, signal──▶ CLOSED

It registers once it is bound. However it ends, it is withdrawn first and drained: for a moment
it goes on as before, until clients have heard of it; then the loop lets the running calls end.

What a client's program needs not is loaded when a server is made: generated modules hold
server classes, and clients import generated modules.
"""

from __future__ import annotations

import functools
import os
import typing

from rpcgen.runtime.sync.server.announcing import PATIENCE
from rpcgen.runtime.sync.server.bound import Bound, State, settings

if typing.TYPE_CHECKING:
    import threading
    import types

    from rpcgen.runtime.stubs import ServerStub
    from rpcgen.runtime.sync.options import ServerOptions, ThreadServerOptions
    from rpcgen.runtime.sync.server.loop import Loop


class Server(Bound):
    """Serves one connection at a time, framed or plain, in the thread that calls ``serve``.

    Any stubs, of several files too, on one address::

        rpc.Server("127.0.0.1", 7000, service.ServerStub(Handlers()), other.ServerStub(…)).serve()

    Args:
        host: A name or an address to listen at, ``""`` for all, or ``unix:///path``.
        port: 0 takes a free one; None with ``unix:///path``.
        *stubs: What is served.
        limits: What is accepted from clients.
        backlog: Connections that the system keeps until they are accepted.
        grace: Seconds that running calls have left after SIGINT, SIGTERM or the end of ``with``.
        name: Of its threads.
        authenticate: Given a client's credentials, it gives who that is, for ``rpc.context().identity``, or
            raises PermissionError with the reason why it is not let in. It must not wait.
        plain: Whether clients are served that speak plain messages, which carry no credentials. None:
            unless ``authenticate`` is given.
        tls: Certificates: all clients speak TLS then.
        interceptors: Around every handler; the first is the outermost. See ``rpc.Interceptor``.
        compress: Names of algorithms (``"zstd"``, ``"lz4"``, ``"gzip"``) to compress replies by that gain by it;
            the first that the client understands is used. None by default: on a quick network compressing
            takes longer than sending.
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
        ValueError: Host and port name no address, two stubs serve the same, an option is out of its range,
            or the registry's URL is wrong.
        OSError: A certificate cannot be read; the message names it.
        ImportError: The registry's package is not installed.
    """

    _max_workers = 0
    _max_calls = 1

    def __init__(
        self, host: str, port: int | None, *stubs: ServerStub, **options: typing.Unpack[ServerOptions]
    ) -> None:
        from rpcgen.runtime.dispatch import Dispatcher

        # How many calls run at once is decided here: those that must wait are not refused by the session.
        self._settings = settings(type(self).__name__, stubs, dict(options), calls=2**31)
        super().__init__(host, port, stubs, self._settings.backlog)
        self._dispatcher = Dispatcher(stubs, self._settings.limits, self._settings.interceptors)
        self._loop: Loop | None = None
        self._thread: threading.Thread | None = None

    def serve(self) -> None:
        """Serves until ``shutdown`` or, in the main thread, until SIGINT or SIGTERM.

        On the first signal the server withdraws and drains, and running calls get its
        ``grace``; a second one ends at once.

        Raises:
            OSError: As ``bind``.
            ValueError: The registry does not take the server.
            RuntimeError: The server serves already or is closed.
        """
        from rpcgen.runtime.sync.server.signals import stopping_on_signals

        loop = self._begin()

        def stop(gracefully: bool) -> None:
            if gracefully:
                self._ask_to_stop(loop, self._settings.grace)
            else:
                loop.ask_to_stop(0)

        with stopping_on_signals(stop, loop.is_called):
            self._announce(loop)
            self._run(loop)

    def start(self) -> typing.Self:
        """Serves in a thread of its own and returns; ``with server: …`` does so, too.

        A registry has five seconds to register it; then it goes on trying in the background.

        Raises:
            OSError: As ``bind``.
            ValueError: The registry does not take the server.
            RuntimeError: The server serves already or is closed.
        """
        import threading

        loop = self._begin()
        self._announce(loop)
        thread = threading.Thread(target=self._run, args=(loop,), name=self._settings.name, daemon=True)
        try:
            thread.start()
        except BaseException:
            self._give_up(loop)
            raise
        self._thread = thread
        if self._settings.announcement is not None:
            try:
                self._settings.announcement.wait(PATIENCE)
            except BaseException:  # the user's, who does not want to wait
                self.close()
                raise
        return self

    def shutdown(self, grace: float = 10.0) -> bool:
        """Withdraws, drains, closes idle connections, lets running calls end; from any thread, handlers too.

        Args:
            grace: Seconds that running calls have left after that; then their connections are
                closed. 0: no draining either.

        Returns:
            Whether all ended in time. In a handler, its own call does not count. A ``Server``
            cannot cut short the handler that its one thread is in: its client is let go.
        """
        with self._lock:
            loop, state = self._loop, self._state
            self._state = State.CLOSED
        if loop is None:
            if state is not State.CLOSED:
                self._end()
            return True
        self._ask_to_stop(loop, grace)
        if loop.is_mine():
            return True  # it stops once this handler, of a call or of a signal, has returned
        if self._settings.announcement is not None:
            self._settings.announcement.withdraw()
        done = loop.stop(grace, self._settings.drain if grace else 0.0)
        if self._thread is not None and done:
            import threading

            if self._thread is not threading.current_thread() and not loop.is_called():
                self._thread.join()
        return done

    def close(self) -> None:
        """Shuts down without grace. Again is harmless."""
        self.shutdown(0)

    def leave(self) -> None:
        """Makes ``rpc.health`` say no, ahead of a shutdown."""
        self._dispatcher.serving = False

    def __enter__(self) -> typing.Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.shutdown(self._settings.grace)

    def _begin(self) -> Loop:
        # A server must not have to load modules once it has run out of descriptors.
        import difflib  # noqa: F401

        import rpcgen.runtime.wire.compiled  # noqa: F401
        from rpcgen.runtime.sync.server.loop import Loop

        self.bind()
        with self._lock:
            if self._state is not State.BOUND or self._listener is None:
                raise RuntimeError(f"the server {self._state.value}")
            loop = Loop(
                self._listener,
                self._dispatcher,
                self._settings,
                self._max_workers,
                self._max_calls,
                share=self._share,
            )
            self._loop = loop
            self._state = State.SERVING
        return loop

    def _announce(self, loop: Loop) -> None:
        import logging

        intro = self.intro()
        if self._share is not None:
            logging.getLogger("rpcgen").debug("%s in process %d", intro, os.getpid())
        elif self._settings.announcement is None:
            logging.getLogger("rpcgen").info("%s, registered nowhere", intro)
        else:
            try:
                self._settings.announcement.announce(self.address, intro, self._settings.name)
            except BaseException:
                self._give_up(loop)
                raise

    def _give_up(self, loop: Loop) -> None:
        """Ends a server whose loop does not run."""
        loop.close()
        self._end()

    def _ask_to_stop(self, loop: Loop, grace: float) -> None:
        """Begins to withdraw, and to stop after that; safe in a signal handler."""
        self._dispatcher.serving = False
        stop = functools.partial(loop.ask_to_stop, grace, self._settings.drain if grace else 0.0)
        if self._settings.announcement is None:
            stop()
        else:
            self._settings.announcement.ask_to_withdraw(stop)

    def _run(self, loop: Loop) -> None:
        try:
            loop.run()
        finally:
            self._end()

    def _end(self) -> None:
        """What every end comes to, that of a loop that failed, too."""
        try:
            if self._settings.announcement is not None:
                self._settings.announcement.close()
        finally:
            self.unbind()


class ThreadServer(Server):
    """Serves many connections; a call runs in one of a bounded number of threads.

    Idle connections take no thread. Used as ``Server``, which says what arguments and
    methods mean.

    Args:
        max_workers: Calls that run at once; threads are started when they are needed.
        max_calls: That run, or wait for a thread, at once. Further ones are refused as ``Unavailable``: certainly
            not started, so that clients of several servers turn to another one.
    """

    def __init__(
        self, host: str, port: int | None, *stubs: ServerStub, **options: typing.Unpack[ThreadServerOptions]
    ) -> None:
        self._max_workers = options.pop("max_workers", 64)
        self._max_calls = options.pop("max_calls", 10_000)
        for name, number in (("max_workers", self._max_workers), ("max_calls", self._max_calls)):
            if number < 1:
                raise ValueError(f"{name} is at least 1, not {number!r}")
        super().__init__(host, port, *stubs, **options)  # type: ignore[misc]
