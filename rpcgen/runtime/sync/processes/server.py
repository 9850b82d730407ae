"""A server of several processes at one address, as a program sees it: bound, serving, shut down.

    NEW ──serve, start──▶ SERVING ──shutdown, signal──▶ CLOSED

The program binds and listens; a supervisor forked from it, before it starts any thread of
ours, forks the workers, which accept from the one socket. So a connection that waits to be
accepted is no worker's yet, and is not lost with one, as it would be with a socket for each
(SO_REUSEPORT). The program keeps what needs threads, the registration: it registers once the
workers are there, and withdraws before they are told to stop. Supervisor and workers end when
the process above them is gone.
"""

from __future__ import annotations

import enum
import functools
import os
import typing

from rpcgen.runtime.address import Address
from rpcgen.runtime.sync.server.announcing import ANNOUNCED, PATIENCE, announced_by, draining

if typing.TYPE_CHECKING:
    import threading
    import types

    from rpcgen.runtime.stubs import ServerStub
    from rpcgen.runtime.sync.options import ProcessServerOptions
    from rpcgen.runtime.sync.processes.forking import Line

_BEGIN = 30.0
"""Seconds in which the workers must have begun."""

_MARGIN = 5.0
"""Seconds beyond the end that it was given after which a supervisor is taken to be stuck."""


class _State(enum.Enum):
    NEW = "does not serve yet"
    SERVING = "serves already"
    CLOSED = "is closed"


class ProcessServer:
    """Serves in several processes at one address, each of them a ``ThreadServer`` or an ``AsyncServer``.

    The processes are forked when it begins to serve, and use the handlers as they are then;
    what they change afterwards, each keeps for itself. Limits hold for each process: with four,
    four times as many connections and calls. Serve before the program starts threads: a fork
    has none of them, but all of their locks.

    A worker that dies takes its running calls with it, and is replaced; SIGTERM to it lets
    them end. SIGTERM and SIGINT to the program end all.

    Args:
        host, port, *stubs: As of ``Server``.
        processes: How many serve. None: as many as there are processors.
        workers: ``"threads"``: each is a ``ThreadServer``; ``"asyncio"``: each is an ``AsyncServer``, whose
            options ``inline`` and ``connection_calls`` may be given, too.
        **options: As of ``ThreadServer``; ``max_workers``, ``max_calls`` and ``limits`` hold for each process.
            Certificates are read before there are processes.

    Raises:
        TypeError, ValueError, OSError, ImportError: As of ``Server``.
    """

    def __init__(
        self, host: str, port: int | None, *stubs: ServerStub, **options: typing.Unpack[ProcessServerOptions]
    ) -> None:
        import threading

        from rpcgen.runtime.sync.processes.worker import served

        processes = options.pop("processes", None)
        if processes is None:
            processes = os.cpu_count() or 1
        if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
            raise ValueError(f"processes is a number from 1 up, or None, not {processes!r}")
        self._where = Address.of(host, port)
        self._processes = processes
        self._grace = options.get("grace", 10.0)
        self._name = options.get("name", "rpcgen")
        announced = {name: options.pop(name) for name in ANNOUNCED if name in options}  # type: ignore[misc]
        drain = options.pop("drain", None)
        self._server = served(host, port, stubs, dict(options))
        self._announcement = announced_by(stubs, announced, takes_plain=self._server.takes_plain)
        self._drain = draining(drain, self._announcement)
        self._lock = threading.Lock()
        self._state = _State.NEW
        self._program = 0
        """The process that serves; 0: none does yet."""
        self._supervisor: int | None = None
        """Its process; None before it is forked and once its end is known."""
        self._line: Line | None = None
        """To the supervisor, from the program and from each worker."""
        self._is_up = False
        self._all_in_time = False
        self._limit: float | None = None
        """When the supervisor must have ended; None: nobody has asked it to."""
        self._watcher: threading.Thread | None = None
        """Follows the supervisor."""
        self._thread: threading.Thread | None = None
        """The watcher, where it is our own thread."""
        self._ended = threading.Event()

    @property
    def address(self) -> Address:
        """Where it listens, with the port that it really has. Known once it is bound.

        Raises:
            RuntimeError: It is not bound yet.
        """
        return self._server.address

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
        self._where = self._server.bind()
        return self._where

    def serve(self) -> None:
        """Serves until ``shutdown`` or, in the main thread, until SIGINT or SIGTERM.

        On the first signal the server withdraws and drains, and running calls get its
        ``grace``; a second one ends at once.

        Raises:
            OSError: As ``bind``; or there is no room for another process.
            ValueError: The registry does not take the server.
            RuntimeError: The server serves already or is closed, other threads run, no worker
                comes up, or the supervisor was killed.
        """
        from rpcgen.runtime.sync.server.signals import stopping_on_signals

        self._begin()
        with stopping_on_signals(self._on_signal, lambda: False):
            problem = self._run_here()
        if problem:
            raise RuntimeError(problem)

    def start(self) -> typing.Self:
        """Serves while the program goes on; ``with server: …`` does so, too.

        It returns once the workers serve. A registry has five seconds to register the server;
        then it goes on trying in the background.

        Raises:
            OSError: As ``bind``; or there is no room for another process.
            ValueError: The registry does not take the server.
            RuntimeError: The server serves already or is closed, other threads run, or no
                worker comes up.
        """
        import threading

        self._begin()
        try:
            self._come_up()
            watcher = threading.Thread(target=self._watch, name=self._name, daemon=True)
            watcher.start()
        except BaseException:
            self._give_up()
            raise
        self._watcher = self._thread = watcher
        if self._announcement is not None:
            try:
                self._announcement.wait(PATIENCE)
            except BaseException:  # the user's, who does not want to wait
                self.close()
                raise
        return self

    def shutdown(self, grace: float = 10.0) -> bool:
        """Withdraws, drains, lets the running calls of all processes end; from any thread.

        In a worker, that is in a handler, it asks the program to do so and does not wait.

        Args:
            grace: Seconds that running calls have left after that; then their processes are
                ended. 0: no draining either.

        Returns:
            Whether all ended in time.
        """
        import threading

        if self._is_elsewhere():
            if self._line is not None:
                self._line.send("shutdown", grace)
            return True
        with self._lock:
            state, self._state = self._state, _State.CLOSED
        if self._line is None:
            if state is _State.NEW:
                self._end()
            self._ended.wait()
            return True
        self._ask_to_stop(grace)
        if self._watcher is threading.current_thread():
            return True  # it stops once this handler of a signal has returned
        if self._announcement is not None:
            self._announcement.withdraw()
        self._ended.wait()
        if self._thread is not None:
            self._thread.join()
        return self._all_in_time

    def close(self) -> None:
        """Shuts down without grace. Again is harmless."""
        self.shutdown(0)

    def __enter__(self) -> typing.Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.shutdown(self._grace)

    def _is_elsewhere(self) -> bool:
        """Says whether this is a copy, in a process that was forked from the program."""
        return self._program not in (0, os.getpid())

    def _begin(self) -> None:
        """Forks the supervisor."""
        import threading

        from rpcgen.runtime.sync.processes.forking import Line, fork
        from rpcgen.runtime.sync.processes.supervisor import Supervisor

        with self._lock:
            state = self._state
        if state is not _State.NEW:
            raise RuntimeError(f"the server {state.value}")
        others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
        if others:
            raise RuntimeError(
                f"a ProcessServer forks, which is safe before other threads run: now there are "
                f"{', '.join(others)}; serve first, then start them, or use ThreadServer"
            )
        self._program = os.getpid()
        self.bind()
        ours, theirs = Line.pair()
        supervisor = Supervisor(self._server, theirs, self._processes, self._grace, self._in_worker)

        def supervise() -> int:
            ours.close()
            return supervisor.run()

        try:
            pid = fork(supervise)
        except OSError:
            ours.close()
            self.close()
            raise
        finally:
            theirs.close()
        self._server.release()
        with self._lock:
            self._supervisor, self._line, self._state = pid, ours, _State.SERVING

    def _in_worker(self, line: Line) -> None:
        self._line = line

    def _run_here(self) -> str:
        """Serves in this thread to the end; gives why it ended, if nobody has asked for that."""
        import threading

        self._watcher = threading.current_thread()
        try:
            self._come_up()
            return self._watch()
        except BaseException:
            self._give_up()
            raise

    def _on_signal(self, gracefully: bool) -> None:
        if gracefully:
            self._ask_to_stop(self._grace)
        elif self._line is not None:
            self._stop(0.0, 0.0)

    def _come_up(self) -> None:
        """Waits for the workers, then registers."""
        import logging
        import time

        end = time.monotonic() + _BEGIN
        while not self._is_up and self._follows():
            if time.monotonic() >= end:
                raise RuntimeError(f"the workers do not come up in {_BEGIN:g} s: the log says why")
            self._hear()
        if self._limit is not None or not self._is_up:
            return
        intro = f"{self._server.intro()} by {self._processes} processes"
        if self._announcement is None:
            logging.getLogger("rpcgen").info("%s, registered nowhere", intro)
        else:
            self._announcement.announce(self.address, intro, self._name)

    def _watch(self) -> str:
        """Follows the supervisor to its end; gives why it ended, if nobody has asked for that."""
        import logging

        try:
            while self._follows():
                self._hear()
            problem = self._reap()
            if problem:
                logging.getLogger("rpcgen").error("%s", problem)
            return problem
        finally:
            self._end()

    def _follows(self) -> bool:
        return self._line is not None and not self._line.ended

    def _hear(self) -> None:
        """Hears what the supervisor has to say, within a second; ends one that is stuck."""
        import signal
        import time

        from rpcgen.runtime.sync.processes.forking import wait

        assert self._line is not None
        wait((self._line,), 1.0)
        for word, *values in self._line.receive():
            if word == "ready":
                self._is_up = True
            elif word == "ended":
                self._all_in_time = values == ["1"]
            elif word == "shutdown":
                self._ask_to_stop(float(values[0]))
        if self._limit is not None and time.monotonic() > self._limit and self._supervisor is not None:
            os.kill(self._supervisor, signal.SIGKILL)

    def _ask_to_stop(self, grace: float) -> None:
        """Begins to withdraw, and to stop after that; safe in a signal handler."""
        if self._line is None:
            return
        self._line.send("leave")
        drain = self._drain if grace else 0.0
        if self._announcement is None:
            self._stop(drain, grace)
        else:
            self._announcement.ask_to_withdraw(functools.partial(self._stop, drain, grace))

    def _stop(self, drain: float, grace: float) -> None:
        import time

        assert self._line is not None
        limit = time.monotonic() + drain + grace + _MARGIN
        self._limit = limit if self._limit is None else min(limit, self._limit)
        self._line.send("stop", drain, grace)

    def _give_up(self) -> None:
        """Ends without any grace."""
        self._stop(0.0, 0.0)
        self._watch()

    def _reap(self) -> str:
        """Takes note of the supervisor's end; gives why it ended, if nobody has asked for that."""
        from rpcgen.runtime.sync.processes.supervisor import ended

        pid, self._supervisor = self._supervisor, None
        if pid is None:
            return ""
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:  # the program has waited for it, or does not want to
            code = 0
        if self._limit is not None:
            return ""
        return (
            f"the supervisor of the workers, process {pid}, {ended(code)}: they end, and so does the server"
        )

    def _end(self) -> None:
        """What every end comes to."""
        try:
            if self._announcement is not None:
                self._announcement.close()
        finally:
            with self._lock:
                self._state = _State.CLOSED
            self._server.close()
            if self._line is not None:
                self._line.close()
            self._ended.set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._where}, {self._processes} processes, {self._state.name.lower()}>"
