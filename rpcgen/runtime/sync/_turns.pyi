import collections.abc

from rpcgen.runtime.dispatch import Answer, Dispatcher

def exchange(fd: int, message: bytes, /) -> bytes | tuple[int, int]: ...
def serve(
    fd: int,
    answers: dict[str, Answer],
    waiting: collections.abc.Callable[[], int],
    dispatcher: Dispatcher,
    name: int,
    message: int,
    /,
) -> bytes | tuple[bytes, int] | None: ...
