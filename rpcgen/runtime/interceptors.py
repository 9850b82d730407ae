"""What is done around calls, at either end, blocking or asyncio: one shape for all four.

An interceptor is a function that gets a ``Call`` and gives a context manager: the call happens inside
its ``with``. Written with ``contextlib.contextmanager``, what stands before ``yield`` is done before
the call, what stands after it afterwards, and an error of the call is raised at the ``yield``::

    @contextlib.contextmanager
    def timed(call):
        began = time.monotonic()
        try:
            yield
        finally:
            histogram.observe(call.method, time.monotonic() - began)

    rpc.Channel(host, port, interceptors=[timed])       # and AsyncChannel, DistributedChannel …
    ThreadServer(host, port, Handlers(), interceptors=[timed])      # and every other server

The first of several is the outermost. With asyncio, one that must wait gives an asynchronous context
manager (``contextlib.asynccontextmanager``); blocking channels and servers take the plain ones alone.
"""

from __future__ import annotations

import contextlib
import time
import typing

from rpcgen.runtime.errors import FaultCode

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.contexts import Context
    from rpcgen.runtime.stubs import MessageProtocol

Around: typing.TypeAlias = (
    "contextlib.AbstractContextManager[object] | contextlib.AbstractAsyncContextManager[object]"
)
Interceptor: typing.TypeAlias = "collections.abc.Callable[[Call], Around]"

_NOTHING: typing.Any = object()


class Call:
    """A call on its way, as interceptors see it.

    Attributes:
        protocol: The method's.
        args: Its arguments, positionally; a client's may be ``rpc.DEFAULT``. Others may be put in their place.
        metadata: That goes with the call: a client's interceptors add to it, a server's read it.
        reply_metadata: That comes back: a server's interceptors add to it, a client's find it after the call.
        peer: The other end's address; ``""`` while a channel to several servers has not chosen.
        deadline: On the clock of ``time.monotonic``; None: there is none.
        context: A server's: what ``rpc.context()`` gives to the handler; None at a client.
        result: What the method returned, after the call. Another value may be put in its place.
    """

    __slots__ = ("args", "context", "deadline", "metadata", "peer", "protocol", "reply_metadata", "result")

    def __init__(
        self,
        protocol: type[MessageProtocol[typing.Any]],
        args: tuple[object, ...],
        *,
        metadata: dict[str, bytes],
        reply_metadata: dict[str, bytes],
        peer: str = "",
        deadline: float | None = None,
        context: Context | None = None,
    ) -> None:
        self.protocol = protocol
        self.args = args
        self.metadata = metadata
        self.reply_metadata = reply_metadata
        self.peer = peer
        self.deadline = deadline
        self.context = context
        self.result: typing.Any = _NOTHING

    @property
    def method(self) -> str:
        """The method's name on the wire."""
        return self.protocol.name

    def remaining(self) -> float | None:
        """Gives the seconds that are left, less than 0 where they are over; None where there is no deadline."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def __repr__(self) -> str:
        return f"<call of {self.method}{f' with {self.peer}' if self.peer else ''}>"


def client_call(
    protocol: type[MessageProtocol[typing.Any]],
    args: tuple[object, ...],
    end: float | None,
    metadata: collections.abc.Mapping[str, bytes] | None,
    peer: str = "",
) -> Call:
    """Gives a call as a channel's interceptors see it.

    Args:
        protocol: The method's.
        args: The call's.
        end: Its deadline on the clock of ``time.monotonic``.
        metadata: What the caller lets go with it.
        peer: The server's address, if it is known.
    """
    return Call(protocol, args, metadata=dict(metadata or {}), reply_metadata={}, peer=peer, deadline=end)


class Refused(Exception):
    """Raised by a server's interceptor: the call is answered with this fault, its handler is not reached.

    A handler may raise it, too, but with PERMISSION_DENIED alone: the other codes are the runtime's.

    Args:
        code: What the client's ``RemoteFault`` will have.
        message: For people.
    """

    def __init__(self, code: FaultCode, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.is_early = True
        """No handler has been reached."""

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def through(
    interceptors: collections.abc.Sequence[Interceptor],
    call: Call,
    proceed: collections.abc.Callable[[], typing.Any],
) -> typing.Any:
    """Makes a blocking call inside its interceptors.

    Args:
        interceptors: The first is the outermost.
        call: For them.
        proceed: Makes the call, with what they have made of it, and gives its result.

    Returns:
        The result, as they have left it.

    Raises:
        TypeError: One gives no context manager, or an asynchronous one.
        BaseException: What the call or they raise. An error that is swallowed without another result in its
            place is raised all the same.
    """
    failure: BaseException | None = None
    try:
        with contextlib.ExitStack() as stack:
            for interceptor in interceptors:
                stack.enter_context(_plain(interceptor, call))
            try:
                call.result = proceed()
            except BaseException as error:
                failure = error
                raise
        if call.result is _NOTHING:
            raise failure or _skipped(call)
        return call.result
    finally:
        del failure  # it holds this frame


async def through_async(
    interceptors: collections.abc.Sequence[Interceptor],
    call: Call,
    proceed: collections.abc.Callable[[], collections.abc.Awaitable[typing.Any]],
) -> typing.Any:
    """Makes an asyncio call inside its interceptors: as ``through``, and they may be asynchronous."""
    failure: BaseException | None = None
    try:
        async with contextlib.AsyncExitStack() as stack:
            for interceptor in interceptors:
                around = interceptor(call)
                if hasattr(type(around), "__aenter__"):
                    await stack.enter_async_context(
                        typing.cast("contextlib.AbstractAsyncContextManager[object]", around)
                    )
                else:
                    stack.enter_context(_checked(around, interceptor))
            try:
                call.result = await proceed()
            except BaseException as error:
                failure = error
                raise
        if call.result is _NOTHING:
            raise failure or _skipped(call)
        return call.result
    finally:
        del failure


def _plain(interceptor: Interceptor, call: Call) -> contextlib.AbstractContextManager[object]:
    around = interceptor(call)
    if hasattr(type(around), "__aenter__") and not hasattr(type(around), "__enter__"):
        raise TypeError(
            f"{_name(interceptor)} gives an asynchronous context manager: it is for asyncio channels and servers"
        )
    return _checked(around, interceptor)


def _checked(around: Around, interceptor: Interceptor) -> contextlib.AbstractContextManager[object]:
    if not hasattr(type(around), "__enter__"):
        raise TypeError(
            f"{_name(interceptor)} gives {around!r}, not a context manager: "
            "is it written with @contextlib.contextmanager?"
        )
    return typing.cast("contextlib.AbstractContextManager[object]", around)


def _skipped(call: Call) -> RuntimeError:
    return RuntimeError(f"an interceptor of {call.method} has swallowed another one's error")


def _name(interceptor: Interceptor) -> str:
    return getattr(interceptor, "__qualname__", None) or repr(interceptor)
