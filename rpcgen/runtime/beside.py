"""A method of ClientStub as another stub has it: the same call, to be awaited or to be queued.

All hand protocol and arguments to ``_call``; what that gives is the result of one stub, a coroutine
of the other, a task of the third: one body does for all. A stub that is not used has no methods yet,
and one that is has a small object for each that is not: importing an interface of 10,000 methods
makes 10,000 functions, not 30,000.
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


class BesideType(type):
    """The type of classes whose methods are like those of a ClientStub; they get them when they are first used.

    ``class AsyncClientStub(rpc.AsyncClientStub, like=ClientStub)``. What ClientStub holds then is what
    counts, whatever a test puts in its place later. For type checkers the methods stand in the body.
    """

    _like: dict[str, object] | None
    _beside: type[Beside]

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, object], like: type | None = None
    ) -> BesideType:
        namespace["_like"] = None if like is None else dict(vars(like))
        return super().__new__(mcs, name, bases, namespace)

    def __init__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, object], like: type | None = None
    ) -> None:
        super().__init__(name, bases, namespace)

    def complete(cls) -> bool:
        """Gives the class and its bases the methods that they lack; says whether one did."""
        lacking = [
            holder for holder in cls.__mro__ if isinstance(holder, BesideType) and holder._like is not None
        ]
        for holder in lacking:
            for name, method in (holder._like or {}).items():
                if isinstance(method, types.FunctionType) and name not in vars(holder):
                    setattr(holder, name, cls._beside(method))
            # Only now: another thread that sees it finds every method.
            holder._like = None
        return bool(lacking)

    def __getattr__(cls, name: str) -> typing.Any:
        if cls.complete():
            return getattr(cls, name)
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}", name=name, obj=cls)

    def __dir__(cls) -> typing.Iterable[str]:
        cls.complete()
        return super().__dir__()


if typing.TYPE_CHECKING:
    # A type checker reads the methods in the body; of the type's __getattr__ it would take any name.
    class StubBeside:
        """The base of stubs that stand beside ClientStub."""

        def __init_subclass__(cls, *, like: type | None = None) -> None: ...

else:

    class StubBeside(metaclass=BesideType):
        """The base of stubs that stand beside ClientStub."""

        def __new__(cls, *args, **named):
            cls.complete()
            return super().__new__(cls)


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
