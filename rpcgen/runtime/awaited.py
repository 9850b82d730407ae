"""A method of ClientStub as AsyncClientStub has it: the same call, to be awaited.

Both hand protocol and arguments to ``_call``, and what AsyncClientStub's gives is the channel's
coroutine: one body does for both. Until it is first looked up, all there is of a method is a
small object, so that importing an interface of 10,000 methods makes no 10,000 functions more.
"""

from __future__ import annotations

import sys
import types
import typing

Params = typing.ParamSpec("Params")
Result = typing.TypeVar("Result")

if typing.TYPE_CHECKING:

    def awaited(
        method: typing.Callable[typing.Concatenate[typing.Any, Params], Result],
    ) -> typing.Callable[
        typing.Concatenate[typing.Any, Params], typing.Coroutine[typing.Any, typing.Any, Result]
    ]:
        """Gives AsyncClientStub's method beside one of ClientStub: ``divide = rpc.awaited(ClientStub.divide)``."""

else:

    class awaited:
        """AsyncClientStub's method beside one of ClientStub; in its place is a function once it is looked up."""

        __slots__ = ("method",)

        def __init__(self, method):
            self.method = method

        def __get__(self, stub, cls):
            function = _coroutine_function(self.method)
            name = function.__name__
            for holder in cls.__mro__:
                if vars(holder).get(name) is self:
                    function.__qualname__ = f"{holder.__qualname__}.{name}"
                    setattr(holder, name, function)
            return function.__get__(stub, cls)


def _coroutine_function(method: types.FunctionType) -> types.FunctionType:
    """Gives a function of the same body, known to give a coroutine: to mock, to frameworks, to readers."""
    import inspect

    code = method.__code__
    if sys.version_info < (3, 12):
        # What markcoroutinefunction is for; the interpreter itself does not go by this flag.
        code = code.replace(co_flags=code.co_flags | inspect.CO_COROUTINE)
    function = types.FunctionType(code, method.__globals__, method.__name__, method.__defaults__)
    function.__annotations__ = dict(method.__annotations__)
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    return function
