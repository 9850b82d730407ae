"""Blocking servers, as a program sees them: made, bound, serving, shut down.

    NEW ──bind──▶ BOUND ──serve, start──▶ SERVING ──shutdown, signal──▶ CLOSED

It registers once it is bound. However it ends, it is withdrawn first and drained: for a moment
it goes on as before, until clients have heard of it; then the loop lets the running calls end.

What a client's program needs not is loaded when a server is made: generated modules hold
server classes, and clients import generated modules.
"""

from __future__ import annotations

import enum
import functools
import os
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
    import socket
    import types

    from rpcgen.runtime.stubs import ServerStub
    from rpcgen.runtime.sync.loop import Loop
    from rpcgen.runtime.sync.options import ServerOptions, ThreadServerOptions
    from rpcgen.runtime.sync.sharing import Share


class _State(enum.Enum):
    NEW = "is not bound"
    BOUND = "is bound"
    SERVING = "serves already"
    CLOSED = "is closed"


class Server:
    """Serves one connection at a time, in the thread that calls ``serve``.

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
        ValueError: Host and port name no address, two stubs serve the same, or the registry's
            URL is wrong.
        ImportError: The registry's package is not installed.
    """

    _max_workers = 0

    def __init__(
        self, host: str, port: int | None, *stubs: ServerStub, **options: typing.Unpack[ServerOptions]
    ) -> None:
        import threading

        from rpcgen.runtime.dispatch import Dispatcher

        self._wanted = Address.of(host, port)
        check_stubs(stubs)
        self._limits = options.pop("limits", DEFAULT_LIMITS)
        self._backlog = options.pop("backlog", 1024)
        self._grace = options.pop("grace", 10.0)
        self._name = options.pop("name", "rpcgen")
        announced = {name: options.pop(name) for name in ANNOUNCED if name in options}  # type: ignore[misc]
        drain = options.pop("drain", None)
        if options:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(options)}")
        self._dispatcher = Dispatcher(stubs, self._limits)
        self._stubs = stubs
        self._announcement = announced_by(stubs, announced)
        self._drain = draining(drain, self._announcement)
        self._lock = threading.Lock()
        self._state = _State.NEW
        self._listener: socket.socket | None = None
        self._file_id: tuple[int, int] | None = None
        self._share: Share | None = None
        self._address: Address | None = None
        self._loop: Loop | None = None
        self._thread: threading.Thread | None = None

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
        """Begins to listen; calls are answered from ``serve`` or ``start`` on. Again is harmless.

        Raises:
            OSError: The address is in use or not this machine's; the message names it.
            RuntimeError: The server is closed.
        """
        from rpcgen.runtime.sync.listen import address_of, file_id, listen

        with self._lock:
            if self._state is _State.CLOSED:
                raise RuntimeError("the server is closed: make another")
            if self._state is _State.NEW:
                self._listener = listen(self._wanted, self._backlog)
                self._address = address_of(self._listener)
                self._file_id = file_id(self._address.path) if self._address.path else None
                self._state = _State.BOUND
        return self.address

    def serve(self) -> None:
        """Serves until ``shutdown`` or, in the main thread, until SIGINT or SIGTERM.

        On the first signal the server withdraws and drains, and running calls get its
        ``grace``; a second one ends at once.

        Raises:
            OSError: As ``bind``.
            ValueError: The registry does not take the server.
            RuntimeError: The server serves already or is closed.
        """
        from rpcgen.runtime.sync.signals import stopping_on_signals

        loop = self._begin()

        def stop(gracefully: bool) -> None:
            if gracefully:
                self._ask_to_stop(loop, self._grace)
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
        thread = threading.Thread(target=self._run, args=(loop,), name=self._name, daemon=True)
        try:
            thread.start()
        except BaseException:
            self._give_up(loop)
            raise
        self._thread = thread
        if self._announcement is not None:
            try:
                self._announcement.wait(PATIENCE)
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
            self._state = _State.CLOSED
        if loop is None:
            if state is not _State.CLOSED:
                self._end()
            return True
        self._ask_to_stop(loop, grace)
        if loop.is_mine():
            return True  # it stops once this handler, of a call or of a signal, has returned
        if self._announcement is not None:
            self._announcement.withdraw()
        done = loop.stop(grace, self._drain if grace else 0.0)
        if self._thread is not None and done:
            import threading

            if self._thread is not threading.current_thread() and not loop.is_called():
                self._thread.join()
        return done

    def close(self) -> None:
        """Shuts down without grace. Again is harmless."""
        self.shutdown(0)

    # For a server of several processes, which is bound in one of them and serves in the others

    def intro(self) -> str:
        """Gives how the log begins to say what is served, and where."""
        return introduction(self._stubs, self.address)

    def inherit(self, share: Share) -> None:
        """Makes it, in a process that was forked once it was bound, one of several that accept from its socket.

        The file of a Unix socket stays that of the process that bound it.
        """
        self._share = share
        self._file_id = None

    def release(self) -> None:
        """Closes the socket here, while other processes accept from it."""
        if self._listener is not None:
            self._listener.close()

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
        self.shutdown(self._grace)

    def _begin(self) -> Loop:
        # A server must not have to load modules once it has run out of descriptors.
        import difflib  # noqa: F401

        import rpcgen.runtime.wire.compiled  # noqa: F401
        from rpcgen.runtime.sync.loop import Loop

        self.bind()
        with self._lock:
            if self._state is not _State.BOUND or self._listener is None:
                raise RuntimeError(f"the server {self._state.value}")
            loop = Loop(
                self._listener,
                self._dispatcher,
                self._limits,
                self._max_workers,
                self._name,
                share=self._share,
            )
            self._loop = loop
            self._state = _State.SERVING
        return loop

    def _announce(self, loop: Loop) -> None:
        import logging

        intro = self.intro()
        if self._share is not None:
            logging.getLogger("rpcgen").debug("%s in process %d", intro, os.getpid())
        elif self._announcement is None:
            logging.getLogger("rpcgen").info("%s, registered nowhere", intro)
        else:
            try:
                self._announcement.announce(self.address, intro, self._name)
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
        stop = functools.partial(loop.ask_to_stop, grace, self._drain if grace else 0.0)
        if self._announcement is None:
            stop()
        else:
            self._announcement.ask_to_withdraw(stop)

    def _run(self, loop: Loop) -> None:
        try:
            loop.run()
        finally:
            self._end()

    def _end(self) -> None:
        """What every end comes to, that of a loop that failed, too."""
        from rpcgen.runtime.sync.listen import remove_file

        try:
            if self._announcement is not None:
                self._announcement.close()
        finally:
            with self._lock:
                self._state = _State.CLOSED
                if self._listener is not None:
                    self._listener.close()
                if self._address is not None:
                    remove_file(self._address.path, self._file_id)
                    self._file_id = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._address or self._wanted}, {self._state.name.lower()}>"


class ThreadServer(Server):
    """Serves many connections; a call runs in one of a bounded number of threads.

    Idle connections take no thread. Used as ``Server``, which says what arguments and
    methods mean.

    Args:
        max_workers: Calls that run at once; threads are started when they are needed.
    """

    def __init__(
        self, host: str, port: int | None, *stubs: ServerStub, **options: typing.Unpack[ThreadServerOptions]
    ) -> None:
        self._max_workers = options.pop("max_workers", 64)
        if self._max_workers < 1:
            raise ValueError(f"max_workers is at least 1, not {self._max_workers!r}")
        super().__init__(host, port, *stubs, **options)  # type: ignore[misc]
