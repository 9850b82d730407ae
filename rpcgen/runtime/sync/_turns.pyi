import collections.abc
import contextvars
import typing

from rpcgen.runtime.contexts import Context
from rpcgen.runtime.contracts import Contract
from rpcgen.runtime.dispatch import Answer, Dispatcher
from rpcgen.runtime.stubs import MessageProtocol
from rpcgen.runtime.sync.client.channel import Channel
from rpcgen.runtime.sync.client.line import Line as Pooled
from rpcgen.runtime.sync.turns import Route
from rpcgen.runtime.wire.limits import Limits
from rpcgen.runtime.wire.tailed import Message

class Line:
    kind: int
    fresh: bool
    used: float
    contract: Contract | None
    _fd: int
    _receive_wait: float
    _last: int
    _usual: int
    _longest: int

class Calls:
    is_closed: bool

    def __init__(
        self,
        routes: dict[type[MessageProtocol[typing.Any]], Route],
        idle: list[Pooled],
        limits: Limits,
        undecided: object,
        deadline: contextvars.ContextVar[float | None],
        forks: list[int],
        trusted: float,
        kept: float,
        is_framed: bool,
    ) -> None: ...
    def __call__(
        self,
        channel: Channel,
        protocol: type[MessageProtocol[typing.Any]],
        args: tuple[object, ...],
        timeout: float | None,
        /,
    ) -> typing.Any: ...

def exchange(
    fd: int, message: Message, seconds: float, tail: int, longest: int, /
) -> Message | tuple[int, int]: ...
def call(
    fd: int, frame: Message, call_id: int, seconds: float, longest: int, /
) -> Message | tuple[int, int, bytes]: ...
def serve(
    fd: int,
    answers: dict[str, Answer],
    waiting: collections.abc.Callable[[], int],
    dispatcher: Dispatcher,
    context: Context,
    name: int,
    message: int,
    /,
) -> bytes | tuple[Message, int] | None: ...
def serve_frames(
    fd: int,
    answers: dict[str, Answer],
    waiting: collections.abc.Callable[[], int],
    dispatcher: Dispatcher,
    context: Context,
    claim: list[int],
    enter: collections.abc.Callable[[int, float], Context | None],
    leave: collections.abc.Callable[[], None],
    last: int,
    longest: int,
    shortest: int,
    /,
) -> tuple[int, Message | None, int]: ...
