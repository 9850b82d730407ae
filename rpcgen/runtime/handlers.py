"""Handlers held against the IDL, before a server answers its first call."""

from __future__ import annotations

import collections.abc
import inspect
import typing

if typing.TYPE_CHECKING:
    from rpcgen.runtime.stubs import MessageProtocol

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]

Handler: typing.TypeAlias = collections.abc.Callable[..., typing.Any]

Inline = typing.TypeVar("Inline", bound=Handler)


def bind(
    protocols: collections.abc.Iterable[Protocol], handlers: object
) -> tuple[tuple[Protocol, Handler], ...]:
    """Pairs each protocol with its handler.

    Args:
        protocols: What must be answered.
        handlers: An instance, or a class with static or class methods.

    Raises:
        TypeError: Some have no handler that can be called as the IDL says. The message names
            every one of them, what is wrong and its line in the IDL.
    """
    found: list[tuple[Protocol, Handler]] = []
    faults: dict[str, str] = {}
    for protocol in protocols:
        name = protocol.python_name()
        fault = _fault(handlers, name, protocol)
        if fault is None:
            found.append((protocol, getattr(handlers, name)))
        else:
            # A service that extends another has two protocols for one handler: one complaint.
            faults.setdefault(name, f"{name} {fault}; its IDL is: {_signature(protocol)}")
    if faults:
        raise TypeError("\n  ".join([f"{_name(handlers)} does not handle the service:", *faults.values()]))
    return tuple(found)


def refuse_coroutines(methods: collections.abc.Iterable[tuple[Protocol, Handler]], owner: object) -> None:
    """Holds handlers against a blocking server.

    Raises:
        TypeError: Some are coroutine functions; the message names them all.
    """
    faults = {
        protocol.python_name(): f"{protocol.python_name()} is a coroutine function, which a blocking server"
        f" does not run: write def, not async def, or use an AsyncServer; its IDL is: {_signature(protocol)}"
        for protocol, handler in methods
        if inspect.iscoroutinefunction(handler)
    }
    if faults:
        raise TypeError("\n  ".join([f"{_name(owner)} does not handle the service:", *faults.values()]))


def inline(handler: Inline) -> Inline:
    """Marks a plain function that an ``AsyncServer`` shall call in its event loop, not in a thread.

    It saves the way to a thread and back; everything else waits meanwhile. So it must not block, and should
    take no longer than a hundred microseconds. Other servers do not mind the mark.

    Args:
        handler: A function, or a method of a class of handlers.
    """
    handler.__rpc_inline__ = True  # type: ignore[attr-defined]
    return handler


def is_inline(handler: Handler) -> bool:
    """Says whether a handler is marked by ``inline``."""
    return getattr(handler, "__rpc_inline__", False) is True


def _name(handlers: object) -> str:
    return handlers.__name__ if isinstance(handlers, type) else type(handlers).__name__


def _signature(protocol: Protocol) -> str:
    return (protocol.__doc__ or protocol.name).strip().partition("\n")[0]


def _fault(handlers: object, name: str, protocol: Protocol) -> str | None:
    handler = getattr(handlers, name, None)
    if handler is None:
        import difflib

        near = difflib.get_close_matches(name, [n for n in dir(handlers) if not n.startswith("__")], n=1)
        return "is missing" + (f" (there is {near[0]})" if near else "")
    if _is_only_declared(handlers, name):
        return "is missing: the class it is inherited from says what it takes, not what it does"
    if not callable(handler):
        return f"is a {type(handler).__name__}, not a method"
    if inspect.isasyncgenfunction(handler):
        return "is an asynchronous generator, which no server runs: return the result, do not yield"
    if isinstance(handlers, type) and inspect.isfunction(inspect.getattr_static(handlers, name)):
        return f"needs an instance: pass {handlers.__name__}(), or make it a @staticmethod"
    return _misfit(handler, protocol)


def _is_only_declared(handlers: object, name: str) -> bool:
    """Says whether a method stands in a ``typing.Protocol`` alone, as in the generated Handlers, and does nothing."""
    cls = handlers if isinstance(handlers, type) else type(handlers)
    if name in getattr(handlers, "__dict__", ()) and cls is not handlers:
        return False
    home: type[object] | None = next((base for base in cls.__mro__ if name in vars(base)), None)
    code = getattr(vars(home)[name], "__code__", None) if home is not None else None
    return (
        getattr(home, "_is_protocol", False) and getattr(code, "co_code", None) == _nothing.__code__.co_code
    )


def _nothing() -> None: ...


def _misfit(handler: Handler, protocol: Protocol) -> str | None:
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return None  # some built-in callables have no signature; they are found out when called
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wanted = len(protocol.params)
    required = sum(p.default is p.empty for p in places)
    demanded = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if demanded:
        return f"requires {demanded[0]} by keyword, but arguments are given positionally"
    if required > wanted:
        return f"requires {required} arguments, the IDL has {wanted}"
    if len(places) < wanted and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return f"takes {len(places)} arguments, the IDL has {wanted}"
    return None
