"""A worker of a ProcessServer: a server that was bound before the fork, in a process of its own.

The main thread listens to the supervisor and to signals, the server serves in a thread beside
it, so that handlers delay neither. The worker ends when it is told to, and when the supervisor
is gone; the supervisor learns how from its status.
"""

from __future__ import annotations

import logging
import os
import threading
import types
import typing

from rpcgen.runtime.sync.processes.forking import HANDLED, Line, handling, ignoring, wait

if typing.TYPE_CHECKING:
    from rpcgen.runtime.address import Address
    from rpcgen.runtime.stubs import ServerStub
    from rpcgen.runtime.sync.processes.forking import Handler
    from rpcgen.runtime.sync.processes.sharing import Share

_log = logging.getLogger("rpcgen")

ENDED: typing.Final = 0
"""Status of a worker whose calls have all ended."""
CUT_SHORT: typing.Final = 1
"""Status of a worker that calls still ran in."""


class Served(typing.Protocol):
    """A server, of whichever kind, that is bound in one process and serves in others."""

    @property
    def address(self) -> Address:
        """Where it listens."""

    @property
    def takes_plain(self) -> bool:
        """Whether clients are served that speak plain messages."""

    def bind(self) -> Address:
        """Begins to listen."""

    def intro(self) -> str:
        """Gives how the log begins to say what is served, and where."""

    def inherit(self, share: Share) -> None:
        """Makes it, in a process that was forked once it was bound, one of several that accept from its socket."""

    def release(self) -> None:
        """Closes the socket here, while other processes accept from it."""

    def leave(self) -> None:
        """Makes ``rpc.health`` say no, ahead of a shutdown."""

    def serve(self) -> None:
        """Serves in this thread until ``shutdown`` is called in another."""

    def shutdown(self, grace: float) -> bool:
        """Stops it, and says whether all calls ended in these seconds."""

    def close(self) -> None:
        """Ends it at once."""


def served(
    host: str, port: int | None, stubs: tuple[ServerStub, ...], options: dict[str, typing.Any]
) -> Served:
    """Makes what each worker serves, from the options of a ProcessServer that are not its own.

    It registers nowhere: the program does that, once for all.

    Raises:
        TypeError, ValueError, OSError, ImportError: As of ``Server``.
    """
    workers = options.pop("workers", "threads")
    if workers == "asyncio":
        from rpcgen.runtime.aio.server.server import AsyncServer
        from rpcgen.runtime.aio.server.threaded import Threaded

        return Threaded(AsyncServer(host, port, *stubs, registry="", **options))
    from rpcgen.runtime.sync.server.server import ThreadServer

    if workers != "threads":
        raise ValueError(f"workers is 'threads' or 'asyncio', not {workers!r}")
    for name in ("inline", "connection_calls"):
        if name in options:
            raise TypeError(f"{name} is for workers='asyncio'")
    return ThreadServer(host, port, *stubs, registry="", **options)


class Worker:
    """Serves until it is told to stop.

    Args:
        server: Bound before the fork.
        share: Its share in accepting.
        line: To the supervisor. Says ``ready`` and ``leaving``; is told ``leave`` and
            ``stop GRACE``.
        supervisor: Its process.
        grace: Seconds that running calls have left after SIGTERM, or if the supervisor is gone.
        on_child: The program's handler of SIGCHLD.
    """

    def __init__(
        self, server: Served, share: Share, line: Line, supervisor: int, grace: float, on_child: Handler
    ) -> None:
        self._server = server
        self._share = share
        self._line = line
        self._supervisor = supervisor
        self._grace = grace
        self._on_child = on_child
        self._waker, self._woken = Line.pair()
        self._terms = 0
        self._has_ended = False
        self._failed = False
        self._stopping: list[threading.Thread] = []
        self._all_in_time = True

    def run(self, *, is_leaving: bool) -> int:
        """Serves; gives the status to end with.

        Args:
            is_leaving: The server as a whole is about to stop: ``rpc.health`` says no.
        """
        self._server.inherit(self._share)
        if is_leaving:
            self._server.leave()
        # Before any thread: they inherit what is let in, as do programs that handlers start.
        handled = (ignoring, self._on_term, self._on_child)
        handling(dict(zip(HANDLED, handled, strict=True)))
        serving = threading.Thread(target=self._serve, name="rpcgen-serve", daemon=True)
        serving.start()
        self._line.send("ready")
        terms, is_orphan = 0, False
        while not self._has_ended:
            wait((self._line, self._woken), 1.0)
            self._woken.receive()
            for order, *values in self._line.receive() if not self._line.ended else ():
                if order == "leave":
                    self._server.leave()
                elif order == "stop":
                    self._stop(float(values[0]))
            # A child of the supervisor's last moments may hold the line's other end.
            if not is_orphan and (self._line.ended or os.getppid() != self._supervisor):
                is_orphan = True
                _log.warning("worker %d ends: its supervisor is gone", os.getpid())
                self._stop(self._grace)
            if self._terms > terms:
                if terms == 0:
                    self._line.send("leaving")
                self._stop(self._grace if terms == 0 else 0.0)
                terms += 1
        serving.join()
        for thread in self._stopping:
            thread.join(1.0)
        return ENDED if self._all_in_time and not self._failed else CUT_SHORT

    def _on_term(self, number: int, frame: types.FrameType | None) -> None:
        self._terms += 1
        self._waker.send("signal")

    def _serve(self) -> None:
        try:
            self._server.serve()
        except BaseException:
            if not self._stopping:  # else it was stopped before it began
                self._failed = True
                _log.exception("worker %d cannot serve", os.getpid())
        finally:
            self._has_ended = True
            self._waker.send("ended")

    def _stop(self, grace: float) -> None:
        """Begins to stop; an earlier end that was asked for stays."""

        def stop() -> None:
            if not self._server.shutdown(grace):
                self._all_in_time = False

        thread = threading.Thread(target=stop, name="rpcgen-stop", daemon=True)
        thread.start()
        self._stopping.append(thread)
