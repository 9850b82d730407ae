"""Stubs whose calls are queued."""

from __future__ import annotations

import typing

from rpcgen.runtime.beside import Beside, StubBeside, with_code
from rpcgen.runtime.stubs import warn_deprecated

if typing.TYPE_CHECKING:
    from rpcgen.runtime.stubs import MessageProtocol
    from rpcgen.runtime.tasks.options import TaskOptions
    from rpcgen.runtime.tasks.queue import TaskQueue
    from rpcgen.runtime.tasks.task import Task

    Params = typing.ParamSpec("Params")
    Result = typing.TypeVar("Result")
    Stub = typing.TypeVar("Stub", bound="TaskStub")


if typing.TYPE_CHECKING:

    def queued(
        method: typing.Callable[typing.Concatenate[typing.Any, Params], Result],
    ) -> typing.Callable[typing.Concatenate[typing.Any, Params], Task[Result]]:
        """Gives TaskStub's method beside one of ClientStub: ``divide = rpc.queued(ClientStub.divide)``."""

else:

    class queued(Beside):
        """TaskStub's method beside one of ClientStub: it says to readers that it gives a task."""

        __slots__ = ()

        def function(self):
            function = with_code(self.method, self.method.__code__)
            function.__annotations__["return"] = f"rpc.Task[{function.__annotations__['return']}]"
            return function


class TaskStub(StubBeside):
    """The base of generated stubs whose calls are queued; its public names are the IDL's methods alone.

    Many threads may share one, as they may share a queue.

    Args:
        queue: Where calls go.
    """

    if not typing.TYPE_CHECKING:
        _beside = queued

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue
        self._options: TaskOptions = {}

    def _call(self, protocol: type[MessageProtocol[Result]], *args: object) -> Task[Result]:
        if protocol.deprecated is not None:
            warn_deprecated(protocol)
        return self._queue.call(protocol, args, **self._options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._queue!r})"


def with_task_options(stub: Stub, **options: typing.Unpack[TaskOptions]) -> Stub:
    """Gives a copy of the stub, on the same queue, whose calls have these options.

    Args:
        stub: It stays as it is. Options that are not named stay as they are in it.
        **options: ``timeout``, ``key``, ``priority``, ``delay``, ``attempts``, ``keep``: see ``rpc.TaskQueue.call``.

    Raises:
        TypeError: There is no such option.
    """
    import copy

    from rpcgen.runtime.tasks.options import TaskOptions

    if unknown := options.keys() - TaskOptions.__annotations__.keys():
        raise TypeError(
            f"a task has no option {', '.join(sorted(unknown))}: there are {', '.join(TaskOptions.__annotations__)}"
        )
    fitted = copy.copy(stub)
    fitted._options = {**stub._options, **options}
    return fitted
