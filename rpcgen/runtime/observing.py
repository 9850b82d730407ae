"""Calls seen from outside: a line in the log for each, and numbers for a monitoring system.

Both are interceptors, for channels and servers, blocking and asyncio; both cost a few microseconds a call.
"""

from __future__ import annotations

import bisect
import contextlib
import threading
import typing
from time import perf_counter

from rpcgen.runtime.errors import RemoteException, RemoteFault
from rpcgen.runtime.interceptors import Refused

if typing.TYPE_CHECKING:
    import collections.abc
    import logging

    from rpcgen.runtime.interceptors import Call, Interceptor

BUCKETS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
"""Upper bounds, in seconds, of the durations that ``Metrics`` counts together."""


def outcome(error: BaseException | None) -> str:
    """Gives in a word how a call ended: ``ok``, a fault's code, or the name of what was raised."""
    if error is None:
        return "ok"
    if isinstance(error, RemoteFault | Refused):
        return error.code.name
    return type(error).__name__


def log_calls(
    logger: logging.Logger | str = "rpcgen.calls", *, slower_than: float = 0.0, level: int | None = None
) -> Interceptor:
    """Gives an interceptor that logs each call: method, peer, how it ended, how long it took.

    Calls that end in an error which their IDL does not declare are warnings. Arguments and results are
    not logged: they may be secrets.

    Args:
        logger: Where to.
        slower_than: Seconds; calls that succeed sooner are left out.
        level: Of calls that succeed, or raise what they declare; INFO by default.
    """
    import logging

    log = logging.getLogger(logger) if isinstance(logger, str) else logger
    usual = logging.INFO if level is None else level

    @contextlib.contextmanager
    def logged(call: Call) -> collections.abc.Iterator[None]:
        began, failure = perf_counter(), None
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            took = perf_counter() - began
            is_usual = failure is None or isinstance(failure, RemoteException)
            if not is_usual or took >= slower_than:
                where = f" with {call.peer}" if call.peer else ""
                log.log(
                    usual if is_usual else logging.WARNING,
                    "%s%s: %s in %.3f ms",
                    call.method,
                    where,
                    outcome(failure),
                    took * 1000,
                )
            del failure

    return logged


class Tally:
    """Calls of one method that ended in one way.

    Attributes:
        calls: How many.
        seconds: That they took together.
        buckets: How many took at most each of ``BUCKETS`` and no less than the one before; the last: longer.
    """

    __slots__ = ("buckets", "calls", "seconds")

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)

    def __repr__(self) -> str:
        return f"<{self.calls} calls in {self.seconds:.3g} s>"


class Metrics:
    """Counts and times calls. It is an interceptor itself: ``interceptors=[metrics]``.

    One may stand at several channels and servers; threads share it.

    Args:
        prefix: Of the names in ``text``.
    """

    def __init__(self, prefix: str = "rpc") -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._running: dict[str, int] = {}

    @contextlib.contextmanager
    def __call__(self, call: Call) -> collections.abc.Iterator[None]:
        method = call.method
        with self._lock:
            self._running[method] = self._running.get(method, 0) + 1
        began, failure = perf_counter(), None
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            took = perf_counter() - began
            key = (method, outcome(failure))
            del failure
            with self._lock:
                self._running[method] -= 1
                tally = self._tallies.get(key)
                if tally is None:
                    tally = self._tallies[key] = Tally()
                tally.calls += 1
                tally.seconds += took
                tally.buckets[bisect.bisect_left(BUCKETS, took)] += 1

    def tallies(self) -> dict[tuple[str, str], Tally]:
        """Gives (method, outcome) → what was counted so far, as a copy. Outcomes: see ``outcome``."""
        with self._lock:
            return {key: _copy(tally) for key, tally in self._tallies.items()}

    def running(self) -> dict[str, int]:
        """Gives method → calls that run now."""
        with self._lock:
            return dict(self._running)

    def text(self) -> str:
        """Gives all of it in Prometheus's text format (version 0.0.4), for a page that it scrapes."""
        name = f"{self._prefix}_call_seconds"
        lines = [f"# HELP {name} How long calls took.", f"# TYPE {name} histogram"]
        for (method, how), tally in sorted(self.tallies().items()):
            labels, below = f'method="{_escaped(method)}",outcome="{_escaped(how)}"', 0
            for bound, count in zip((*map(repr, BUCKETS), "+Inf"), tally.buckets, strict=True):
                below += count
                lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {below}')
            lines.append(f"{name}_sum{{{labels}}} {tally.seconds!r}")
            lines.append(f"{name}_count{{{labels}}} {tally.calls}")
        name = f"{self._prefix}_calls_running"
        lines += [f"# HELP {name} Calls that run now.", f"# TYPE {name} gauge"]
        lines += [
            f'{name}{{method="{_escaped(method)}"}} {count}'
            for method, count in sorted(self.running().items())
        ]
        return "\n".join(lines) + "\n"


def _copy(tally: Tally) -> Tally:
    made = Tally()
    made.calls, made.seconds, made.buckets = tally.calls, tally.seconds, list(tally.buckets)
    return made


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
