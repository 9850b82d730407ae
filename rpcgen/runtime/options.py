"""What a caller decides about calls: deadlines around blocks, options of a stub."""

from __future__ import annotations

import contextvars
import copy
import math
import time
import typing

if typing.TYPE_CHECKING:
    import types

    from rpcgen.runtime.stubs import ClientStub

    _Stub = typing.TypeVar("_Stub", bound=ClientStub)

current_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("rpc.deadline", default=None)
"""On the clock of ``time.monotonic``; None where the code runs under no deadline."""


class deadline:
    """All calls inside the block end within this time; ``with rpc.deadline(0.5): …``.

    Of nested blocks the earlier end counts. The time starts when the block is entered. It
    belongs to the context: other threads and tasks started before are not touched by it.

    Args:
        seconds: From now on; 0 or less lets no call start.

    Raises:
        ValueError: It is NaN.
    """

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        if math.isnan(seconds):
            raise ValueError("a deadline is a number of seconds, not NaN")
        self._seconds = seconds

    def __enter__(self) -> deadline:
        end = time.monotonic() + self._seconds
        outer = current_deadline.get()
        self._token = current_deadline.set(end if outer is None else min(end, outer))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        current_deadline.reset(self._token)


def with_options(stub: _Stub, *, timeout: float | None) -> _Stub:
    """Gives a copy of the stub, on the same channel, whose calls have these options.

    Args:
        stub: It stays as it is.
        timeout: Seconds that each call may take, instead of the IDL's ``@timeout`` and the
            channel's default; None gives those back.

    Raises:
        ValueError: The timeout is not above 0.
    """
    fitted = copy.copy(stub)
    fitted._timeout = checked_timeout(timeout)
    return fitted


def checked_timeout(timeout: float | None) -> float | None:
    """Gives the timeout back if it is None or above 0.

    Raises:
        ValueError: It is neither.
    """
    if timeout is not None and not timeout > 0:
        raise ValueError(f"a timeout is a number of seconds above 0, or None; not {timeout!r}")
    return timeout
