"""A method of ClientStub as another stub has it: the same call, to be awaited or to be queued.

All hand protocol and arguments to ``_call``; what that gives is the result of one stub, a coroutine
of the other, a task of the third: one body does for all. Until it is first looked up, all there is
of a method is a small object, so that importing an interface of 10,000 methods makes no 10,000
functions more.
"""

from __future__ import annotations

import sys
import types
import typing

Params = typing.ParamSpec("Params")
Result = typing.TypeVar("Result")


class Beside:
    """A stub's method beside one of ClientStub; in its place is a function once it is looked up.

    Args:
        method: ClientStub's.
    """

    __slots__ = ("method",)

    def __init__(self, method: types.FunctionType) -> None:
        self.method = method

    def __get__(self, stub: object, cls: type) -> typing.Any:
        function = self.function()
        name = function.__name__
        for holder in cls.__mro__:
            if vars(holder).get(name) is self:
                function.__qualname__ = f"{holder.__qualname__}.{name}"
                setattr(holder, name, function)
        return function.__get__(stub, cls)

    def function(self) -> types.FunctionType:
        """Gives the method; made once, when it is first looked up."""
        raise NotImplementedError


def with_code(method: types.FunctionType, code: types.CodeType) -> types.FunctionType:
    """Gives a function like the method that has this code."""
    function = types.FunctionType(code, method.__globals__, method.__name__, method.__defaults__)
    function.__annotations__ = dict(method.__annotations__)
    return function


if typing.TYPE_CHECKING:

    def awaited(
        method: typing.Callable[typing.Concatenate[typing.Any, Params], Result],
    ) -> typing.Callable[
        typing.Concatenate[typing.Any, Params], typing.Coroutine[typing.Any, typing.Any, Result]
    ]:
        """Gives AsyncClientStub's method beside one of ClientStub: ``divide = rpc.awaited(ClientStub.divide)``."""

else:

    class awaited(Beside):
        """AsyncClientStub's method beside one of ClientStub: known to give a coroutine, to mocks, frameworks, readers."""

        __slots__ = ()

        def function(self):
            import inspect

            code = self.method.__code__
            if sys.version_info < (3, 12):
                # What markcoroutinefunction is for; the interpreter itself does not go by this flag.
                code = code.replace(co_flags=code.co_flags | inspect.CO_COROUTINE)
            function = with_code(self.method, code)
            if sys.version_info >= (3, 12):
                inspect.markcoroutinefunction(function)
            return function
