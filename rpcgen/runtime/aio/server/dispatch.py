"""How each method of an asyncio server is run: decided once, when the server is made.

INLINE   a plain function that is marked, or all by option: called where its bytes came
TASK     a coroutine function
THREAD   a plain function: one of the server's threads calls it
"""

from __future__ import annotations

import enum
import inspect
import typing

from rpcgen.runtime.dispatch import Dispatcher, Health, Replies, intercepted
from rpcgen.runtime.errors import DecodeError, FaultCode
from rpcgen.runtime.handlers import is_inline
from rpcgen.runtime.wire.plain import encode_fault

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Protocol
    from rpcgen.runtime.handlers import Handler
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.stubs import ServerStub
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.tailed import Message

    Reply: typing.TypeAlias = "Message | collections.abc.Awaitable[object]"
    Quick: typing.TypeAlias = collections.abc.Callable[[Data], Reply]
    InThread: typing.TypeAlias = collections.abc.Callable[
        [Handler, collections.abc.Sequence[object]], collections.abc.Awaitable[object]
    ]


async def _nowhere(handler: Handler, args: collections.abc.Sequence[object]) -> object:
    raise RuntimeError("the server does not serve")


class How(enum.Enum):
    """Where a handler runs."""

    INLINE = enum.auto()
    TASK = enum.auto()
    THREAD = enum.auto()


class AsyncReplies(Replies):
    """Replies of handlers that may give an awaitable of their result."""

    __slots__ = ()

    def returned(self, value: object) -> Message:
        # It goes, as it is, through what encodes results, the codec in C too: whoever asked awaits it.
        return value if inspect.isawaitable(value) else super().returned(value)  # type: ignore[return-value]


class Method:
    """A method and what answers it.

    Args:
        protocol: The method's.
        handler: Called with the arguments.
        how: Where.
        quick: Does all of it where the call came, from the arguments' block to the reply; None: it takes more.
        replies: What the handler came to, once nothing is to be awaited any more.
        limits: Of arguments and results.
        takes_thread: A call of it takes a thread, perhaps from inside of a task.
    """

    __slots__ = (
        "_codec",
        "_limits",
        "handler",
        "how",
        "is_oneway",
        "name",
        "protocol",
        "quick",
        "replies",
        "takes_thread",
    )

    def __init__(
        self,
        protocol: Protocol,
        handler: Handler,
        how: How,
        quick: Quick | None,
        replies: Replies,
        limits: Limits,
        *,
        takes_thread: bool,
    ) -> None:
        self.protocol = protocol
        self.name = protocol.name
        self.handler = handler
        self.how = how
        self.quick = quick
        self.is_oneway = protocol.oneway
        self.replies = replies
        self.takes_thread = takes_thread
        self._codec = protocol.codec()
        self._limits = limits

    def arguments(self, block: Data) -> list[typing.Any] | bytes:
        """Gives the arguments of a call; or the reply that refuses them."""
        try:
            return self._codec.decode_args(block, self._limits)
        except DecodeError as error:
            return encode_fault(FaultCode.BAD_REQUEST, str(error))

    def receipt(self) -> Message:
        """Gives the reply to a oneway call, which is sent when it has come."""
        return self._codec.encode_reply(None, self._limits)

    def call(self, args: collections.abc.Sequence[object]) -> Reply:
        """Calls a plain function; gives the reply, or what is to be awaited for the result."""
        try:
            value = self.handler(*args)
        except BaseException as error:
            return self.replies.failed(error)
        return value if inspect.isawaitable(value) else self.replies.returned(value)


class AsyncDispatcher(Dispatcher):
    """What an asyncio server answers, by ``methods``. See ``Dispatcher``.

    Args:
        stubs: What it serves.
        limits: For arguments and results.
        interceptors: Around every handler, that of ``rpc.health`` excepted; the first is the outermost.
        inline: All plain functions run in the event loop.
    """

    def __init__(
        self,
        stubs: collections.abc.Sequence[ServerStub],
        limits: Limits,
        interceptors: collections.abc.Sequence[Interceptor] = (),
        *,
        inline: bool = False,
    ) -> None:
        self._inline = inline
        super().__init__(stubs, limits)
        self.in_thread: InThread = _nowhere
        """Calls a plain function in a thread; set by who has some."""
        self.methods = {
            name: self._method(protocol, handler, tuple(interceptors))
            for name, (protocol, handler) in self._found.items()
        }
        """Wire name → method."""

    def unknown(self, name: str) -> bytes:
        """Gives the reply to a call of a method that there is not."""
        return encode_fault(FaultCode.UNKNOWN_METHOD, self._unknown(name))

    def _method(self, protocol: Protocol, handler: Handler, interceptors: tuple[Interceptor, ...]) -> Method:
        how = self._how(protocol, handler)
        takes_thread = how is How.THREAD
        if not interceptors or protocol is Health:
            quick = self.answers.get(protocol.name) if how is How.INLINE else None
            replies = Replies(protocol, self._limits)
            return Method(protocol, handler, how, quick, replies, self._limits, takes_thread=takes_thread)

        # Interceptors may have to wait: they run in a task, whichever way their method does.
        async def proceed(*args: object) -> object:
            value = (await self.in_thread(handler, args)) if takes_thread else handler(*args)
            return (await value) if inspect.isawaitable(value) else value

        inside = intercepted(protocol, proceed, interceptors)
        replies = Replies(protocol, self._limits, is_intercepted=True)
        return Method(protocol, inside, How.TASK, None, replies, self._limits, takes_thread=takes_thread)

    def _check(self, stub: ServerStub) -> None:
        pass  # coroutine functions are welcome

    def _replies(self, protocol: Protocol) -> Replies:
        return AsyncReplies(protocol, self._limits)

    def _how(self, protocol: Protocol, handler: Handler) -> How:
        if inspect.iscoroutinefunction(handler):
            return How.TASK
        # The runtime's own methods are quick, and must be answered when all threads are busy, too.
        is_own = protocol.name.startswith("rpc.")
        return How.INLINE if self._inline or is_own or is_inline(handler) else How.THREAD
