import collections.abc

from rpcgen.runtime.contexts import Context
from rpcgen.runtime.dispatch import Answer, Dispatcher
from rpcgen.runtime.wire.tailed import Message

def exchange(fd: int, message: Message, /) -> bytes | tuple[int, int]: ...
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
