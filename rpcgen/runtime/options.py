"""What a caller decides about calls: deadlines around blocks, options of a stub."""

from __future__ import annotations

import contextvars
import copy
import math
import time
import typing

if typing.TYPE_CHECKING:
    import types

    from rpcgen.runtime.stubs import AsyncClientStub, ClientStub

    _Stub = typing.TypeVar("_Stub", bound=ClientStub | AsyncClientStub)

    class CallOptions(typing.TypedDict, total=False):
        """Options of ``rpc.with_options``, which says what they mean."""

        timeout: float | None
        retry: bool | int | None


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


def with_options(stub: _Stub, **options: typing.Unpack[CallOptions]) -> _Stub:
    """Gives a copy of the stub, on the same channel, whose calls have these options.

    Args:
        stub: It stays as it is. Options that are not named stay as they are in it.
        timeout: Seconds that each call may take, instead of the IDL's ``@timeout`` and the
            channel's default; None gives those back.
        retry: How often a call may be tried, by a channel that can try it elsewhere: at most
            so many times; False: once; True or None: as often as the channel's ``tries``
            say. A channel to one server tries once anyway.

    Raises:
        ValueError: The timeout is not above 0, or fewer than one try is allowed.
        TypeError: There is no such option.
    """
    fitted = copy.copy(stub)
    if "timeout" in options:
        fitted._timeout = checked_timeout(options.pop("timeout"))
    if "retry" in options:
        retry = options.pop("retry")
        tries = None if retry is None or retry is True else checked_tries(1 if retry is False else retry)
        # A channel that knows no tries makes one: "at most" holds as it is.
        with_tries = getattr(fitted._channel, "with_tries", None)
        if with_tries is not None:
            fitted._channel = with_tries(tries)
    if options:
        raise TypeError(f"a stub has no option {', '.join(options)}: there are timeout and retry")
    return fitted


def checked_timeout(timeout: float | None) -> float | None:
    """Gives the timeout back if it is None or above 0.

    Raises:
        ValueError: It is neither.
    """
    if timeout is not None and not timeout > 0:
        raise ValueError(f"a timeout is a number of seconds above 0, or None; not {timeout!r}")
    return timeout


def checked_tries(tries: int) -> int:
    """Gives the number of tries back if it is one.

    Raises:
        ValueError: It is not 1 or more.
    """
    if isinstance(tries, bool) or not isinstance(tries, int) or tries < 1:
        raise ValueError(f"a call is tried at least once: a number from 1 up, not {tries!r}")
    return tries
