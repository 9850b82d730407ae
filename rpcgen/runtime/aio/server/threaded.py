"""An AsyncServer that plain threads bind, run and end, as they do a blocking server: what worker processes have.

It is bound without an event loop, so that each process that is forked afterwards can have its own. One
thread runs that loop; any other may ask it to stop, and waits until it has.
"""

from __future__ import annotations

import threading
import typing

if typing.TYPE_CHECKING:
    import asyncio

    from rpcgen.runtime.address import Address
    from rpcgen.runtime.aio.server.server import AsyncServer
    from rpcgen.runtime.sync.processes.sharing import Share


class Threaded:
    """Does for an ``AsyncServer`` what ``sync.worker.Served`` asks for.

    Args:
        server: Not bound yet.
    """

    def __init__(self, server: AsyncServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        """While it runs."""
        self._is_over = False
        """It has run, or shall not run at all."""
        self._ended = threading.Event()
        self._in_time = True

    @property
    def address(self) -> Address:
        return self._server.address

    def bind(self) -> Address:
        return self._server.bind()

    @property
    def takes_plain(self) -> bool:
        return self._server.takes_plain

    def intro(self) -> str:
        return self._server.intro()

    def inherit(self, share: Share) -> None:
        self._server.inherit(share)

    def release(self) -> None:
        self._server.release()

    def leave(self) -> None:
        self._server.leave()

    def serve(self) -> None:
        """Serves in this thread until another one calls ``shutdown``.

        Raises:
            OSError, RuntimeError: As of ``AsyncServer.serve``.
        """
        import asyncio

        from rpcgen.runtime.aio.server.loops import quickest_loop

        try:
            with asyncio.Runner(loop_factory=quickest_loop()) as runner:
                with self._lock:
                    if self._is_over:
                        return
                    self._loop = runner.get_loop()
                try:
                    self._in_time = runner.run(self._serve())
                finally:
                    with self._lock:
                        self._loop, self._is_over = None, True
        finally:
            self._ended.set()

    async def _serve(self) -> bool:
        await self._server.serve()
        return await self._server.shutdown()

    def shutdown(self, grace: float) -> bool:
        """Does what ``AsyncServer.shutdown`` does, from another thread; waits until the loop has ended."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._server.stop, grace)
            elif not self._is_over:  # its thread has not come to it yet
                self._is_over = True
                return True
        self._ended.wait()
        return self._in_time

    def close(self) -> None:
        """Ends one that is bound and does not serve here."""
        self._server.unbind()
