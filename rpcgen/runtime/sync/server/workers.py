"""The threads of a ThreadServer: started when needed, at most so many, kept for the next call."""

from __future__ import annotations

import logging
import queue
import threading
import time
import typing

if typing.TYPE_CHECKING:
    import collections.abc

Item = typing.TypeVar("Item")

_log = logging.getLogger("rpcgen")


class Workers(typing.Generic[Item]):
    """A bounded pool of threads that serve connections, or whatever they are handed.

    Args:
        most: Threads at once.
        name: The threads are named ``NAME-1``, ``NAME-2`` ….
        serve: What a thread does with each; must not raise.
    """

    def __init__(self, most: int, name: str, serve: collections.abc.Callable[[Item], None]) -> None:
        self._most = most
        self._name = name
        self._serve = serve
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._free = 0
        """Threads that wait, and have nothing in the queue."""
        self._waiting: list[None] = []
        """One for each connection that waits for a thread: a list tells its length quickest."""

    def hand(self, item: Item) -> None:
        """Gives something to the next free thread; starts one if none is free and there may be more."""
        with self._lock:
            if self._free:
                self._free -= 1
            elif not self._start():
                self._waiting.append(None)
        self._queue.put(item)

    def _start(self) -> bool:
        """Starts a thread, whose first connection is the one being handed over."""
        number = len(self._threads) + 1
        if number > self._most:
            return False
        # Daemons: a handler that never returns must not keep the process from ending.
        thread = threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
            _log.warning("cannot start thread %d: going on with fewer", number)
            self._most = number - 1
            return False
        self._threads.append(thread)
        return True

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            self._serve(item)
            with self._lock:
                if self._waiting:
                    self._waiting.pop()
                else:
                    self._free += 1

    def urge(self, connections: int) -> collections.abc.Callable[[], int]:
        """Gives what tells a thread, after each call, whether to leave a connection that may go on.

        Args:
            connections: That are open. While there are no more than threads, only one that waits
                already counts: each can have a thread to itself. One that is in the queue may be on its way
                to a free thread: if that counted, threads would leave one connection after the other to the
                loop, which would put the next ones into the queue.
        """
        return self._waiting.__len__ if connections <= self._most else self._are_short

    def _are_short(self) -> int:
        """Says whether the next connection with a call would have to wait."""
        return not self._free and len(self._threads) >= self._most

    def ours(self) -> bool:
        """Says whether the thread that asks is one of these: a handler's."""
        return threading.current_thread() in self._threads

    def stop(self, wait: float) -> None:
        """Ends the threads once they are free, and waits for them for so many seconds at most."""
        for _ in self._threads:
            self._queue.put(None)
        end = time.monotonic() + wait
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))
