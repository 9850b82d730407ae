"""What a caller decides about calls: deadlines around blocks, options of a stub."""

from __future__ import annotations

import contextlib
import contextvars
import math
import time
import typing

if typing.TYPE_CHECKING:
    import collections.abc
    import types

    from rpcgen.runtime.stubs import AsyncClientStub, ClientStub, MessageProtocol

    _Stub = typing.TypeVar("_Stub", bound=ClientStub | AsyncClientStub)

    class CallOptions(typing.TypedDict, total=False):
        """Options of ``rpc.with_options``, which says what they mean."""

        timeout: float | None
        retry: bool | int | None
        metadata: collections.abc.Mapping[str, bytes | str] | None


current_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("rpc.deadline", default=None)
"""On the clock of ``time.monotonic``; None where the code runs under no deadline."""


current_received: contextvars.ContextVar[dict[str, bytes] | None] = contextvars.ContextVar(
    "rpc.reply_metadata", default=None
)
"""Where channels put the metadata of replies; None: nobody wants it."""


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


class reply_metadata:
    """What servers say beside their results: ``with rpc.reply_metadata() as received: …``.

    ``received`` is a dict, into which each call inside the block puts the metadata of its reply, by
    name. It belongs to the context, as ``rpc.deadline``.
    """

    __slots__ = ("_token",)

    def __enter__(self) -> dict[str, bytes]:
        received: dict[str, bytes] = {}
        self._token = current_received.set(received)
        return received

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        current_received.reset(self._token)


@contextlib.contextmanager
def receiving(received: dict[str, bytes]) -> collections.abc.Iterator[None]:
    """Has channels put the metadata of replies into this dict, and then into the one that is wanted outside.

    For channels with interceptors, around the call.
    """
    outer = current_received.get()
    token = current_received.set(received)
    try:
        yield
    finally:
        current_received.reset(token)
        if outer is not None:
            outer.update(received)


def end_of_call(
    protocol: type[MessageProtocol[typing.Any]],
    timeout: float | None,
    default: float | None,
    begin: float,
) -> float | None:
    """Gives a call's deadline on the clock of ``time.monotonic``; None: it has none.

    Args:
        protocol: Its method, which may have a time of its own.
        timeout: Seconds, instead of that.
        default: Seconds, where neither says something.
        begin: When the call began.
    """
    end = current_deadline.get()
    if timeout is None:
        timeout = default if protocol.timeout is None else protocol.timeout
    if timeout is not None and (end is None or begin + timeout < end):
        end = begin + timeout
    return end


class Fitted:
    """A channel, blocking or asyncio, whose calls have options.

    Args:
        channel: That makes the calls.
        tries: At most, instead of the channel's.
        metadata: That goes with each call.
    """

    __slots__ = ("channel", "metadata", "tries")

    def __init__(
        self, channel: typing.Any, tries: int | None, metadata: collections.abc.Mapping[str, bytes] | None
    ) -> None:
        self.channel = channel
        self.tries = tries
        self.metadata = metadata

    def call(
        self,
        protocol: type[MessageProtocol[typing.Any]],
        args: tuple[object, ...],
        timeout: float | None = None,
    ) -> typing.Any:
        """Calls a method, as the channel does; an asyncio channel's coroutine is handed on."""
        return self.channel.call(protocol, args, timeout, self.tries, self.metadata)

    def __repr__(self) -> str:
        said = [] if self.tries is None else [f"at most {self.tries} tries"]
        # Values may be secrets.
        said += [f"metadata {', '.join(self.metadata)}"] if self.metadata else []
        return ", ".join([repr(self.channel), *said])


def with_options(stub: _Stub, **options: typing.Unpack[CallOptions]) -> _Stub:
    """Gives a copy of the stub, on the same channel, whose calls have these options.

    Args:
        stub: It stays as it is. Options that are not named stay as they are in it.
        timeout: Seconds that each call may take, instead of the IDL's ``@timeout`` and the
            channel's default; None gives those back.
        retry: How often a call may be tried, by a channel that can try it elsewhere: at most
            so many times; False: once; True or None: as often as the channel's ``tries``
            say. A channel to one server tries once anyway.
        metadata: That goes with each call, by name, for the server's ``rpc.context()``; texts are
            sent as UTF-8. None: nothing. Framed connections carry it, and HTTP.

    Raises:
        ValueError: The timeout is not above 0, or fewer than one try is allowed.
        TypeError: There is no such option, or metadata is not what it should be.
    """
    import copy

    fitted = copy.copy(stub)
    if "timeout" in options:
        fitted._timeout = checked_timeout(options.pop("timeout"))
    if "retry" in options or "metadata" in options:
        channel: typing.Any = fitted._channel
        if isinstance(channel, Fitted):
            channel, tries, metadata = channel.channel, channel.tries, channel.metadata
        else:
            tries, metadata = None, None
        if "retry" in options:
            retry = options.pop("retry")
            tries = None if retry is None or retry is True else checked_tries(1 if retry is False else retry)
        if "metadata" in options:
            metadata = checked_metadata(options.pop("metadata"))
        fitted._channel = channel if tries is None and not metadata else Fitted(channel, tries, metadata)
    if options:
        raise TypeError(f"a stub has no option {', '.join(options)}: there are timeout, retry and metadata")
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


def checked_metadata(
    metadata: collections.abc.Mapping[str, bytes | str] | None,
) -> dict[str, bytes] | None:
    """Gives metadata as it is sent, texts as UTF-8; None if there is none.

    Raises:
        TypeError: A name is no text, or a value neither bytes nor text.
    """
    if not metadata:
        return None
    made = {}
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, bytes | str):
            raise TypeError(f"metadata are bytes or texts by name, not {name!r}: {value!r}")
        made[name] = value.encode() if isinstance(value, str) else value
    return made
