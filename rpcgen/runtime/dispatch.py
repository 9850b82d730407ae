"""From a call to its reply: every method of the stubs on one server, under its wire name.

A method without surprises is one lookup and one function, made once per method when the
server is made. What is rare (unknown names, oneway methods) takes the longer way.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import logging
import os
import time
import typing

from rpcgen.runtime.contexts import Context, current_call
from rpcgen.runtime.contracts import SIGNATURES, Describe as DescribeForm
from rpcgen.runtime.errors import (
    Cancelled,
    DeadlineExceeded,
    DecodeError,
    EncodeError,
    FaultCode,
    RemoteException,
)
from rpcgen.runtime.handlers import refuse_coroutines
from rpcgen.runtime.interceptors import Call, Refused, through, through_async
from rpcgen.runtime.schema import BOOL, STRING, OptionalOf, Param, canonical_text
from rpcgen.runtime.signatures import described
from rpcgen.runtime.stubs import MessageProtocol, ServerStub
from rpcgen.runtime.wire.plain import encode_fault, prepare

if typing.TYPE_CHECKING:
    from rpcgen.runtime.handlers import Handler
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.tailed import Message

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]

_log = logging.getLogger("rpcgen")

Answer: typing.TypeAlias = "collections.abc.Callable[[Data], Message]"
"""From the block of a call's arguments to its reply."""

Work: typing.TypeAlias = "collections.abc.Callable[[], None]"

OUT_OF_TIME = encode_fault(FaultCode.DEADLINE_EXCEEDED, "the call's time was up before its handler was done")
"""The reply to a call whose time is up."""


class Dispatcher:
    """Answers the calls of one server.

    Args:
        stubs: What it serves. An inherited method (``Base.ping`` of a Directory that extends
            Base) is answered by Base's own stub if there is one, else by the first that has it.
        limits: For arguments and results.
        interceptors: Around every handler, that of ``rpc.health`` excepted; the first is the outermost.

    Raises:
        ValueError: Two stubs serve services of one name, or one method name outside services.
    """

    def __init__(
        self,
        stubs: collections.abc.Sequence[ServerStub],
        limits: Limits,
        interceptors: collections.abc.Sequence[Interceptor] = (),
    ) -> None:
        prepare()
        for stub in stubs:
            self._check(stub)
        self._limits = limits
        self._stubs = stubs
        self._interceptors = tuple(interceptors)
        self._found: dict[str, tuple[Protocol, Handler]] = {}
        """Wire name → protocol and handler, of all methods."""
        self.serving = True
        """What ``rpc.health`` answers."""
        self.answers: dict[str, Answer] = {}
        """Wire name → what answers it, of all methods that are not oneway."""
        _refuse_doubles(stubs)
        own = [pair for stub in stubs for pair in stub.methods if _service(pair[0]) == stub.service]
        inherited = [pair for stub in stubs for pair in stub.methods]
        runtime: list[tuple[Protocol, Handler]] = [(DescribeForm, self.describe), (Health, self.health)]
        for protocol, handler in (*own, *inherited, *runtime):
            if protocol.name in self._found:
                continue
            if self._interceptors and protocol is not Health:
                handler = intercepted(protocol, handler, self._interceptors)
            self._found[protocol.name] = (protocol, handler)
            if not protocol.oneway:
                self.answers[protocol.name] = self._answer(protocol, handler)

    def _check(self, stub: ServerStub) -> None:
        """Raises TypeError for handlers that this dispatcher cannot call."""
        refuse_coroutines(stub.methods, stub.handlers)

    def rare(self, name: str, arguments: Data) -> tuple[Message, Work | None]:
        """Answers what ``answers`` does not hold.

        Returns:
            The reply, and what to run once it has been sent (the handler of a oneway method).
        """
        found = self._found.get(name)
        if found is None:
            return encode_fault(FaultCode.UNKNOWN_METHOD, self._unknown(name)), None
        protocol, handler = found
        codec = protocol.codec()
        try:
            args = codec.decode_args(arguments, self._limits)
        except DecodeError as error:
            return encode_fault(FaultCode.BAD_REQUEST, str(error)), None

        def work() -> None:
            try:
                handler(*args)
            except KeyboardInterrupt:
                raise
            except BaseException:
                _log.exception("%s failed; its caller does not know: it is oneway", name)

        return codec.encode_reply(None, self._limits), work

    def describe(self, form: str | None = None) -> str:
        """Gives the canonical text of every interface served, those included first.

        Args:
            form: ``SIGNATURES``: what clients compare with, of every method, in its place.
        """
        if form == SIGNATURES:
            import json

            return json.dumps(described(protocol for protocol, _ in self._found.values()))
        return canonical_text(stub.interface for stub in self._stubs if stub.interface is not None)

    def health(self, service: str | None) -> bool:
        """Says whether the server takes calls, to one service or at all."""
        services = {_service(protocol) for stub in self._stubs for protocol, _ in stub.methods}
        return self.serving and (not service or service == "rpc" or service in services)

    def _answer(self, protocol: Protocol, handler: Handler) -> Answer:
        codec, limits = protocol.codec(), self._limits
        replies = self._replies(protocol)

        def answer(arguments: Data) -> Message:
            try:
                args = codec.decode_args(arguments, limits)
            except DecodeError as error:
                return encode_fault(FaultCode.BAD_REQUEST, str(error))
            try:
                value = handler(*args)
            except BaseException as error:
                return replies.failed(error)
            return replies.returned(value)

        return codec.answer(handler, limits, answer, replies.failed, replies.returned)

    def _replies(self, protocol: Protocol) -> Replies:
        return Replies(protocol, self._limits, is_intercepted=bool(self._interceptors))

    def _unknown(self, name: str) -> str:
        import difflib

        known = list(self._found)
        service, dot, _ = name.rpartition(".")
        if dot and not any(other.startswith(service + dot) for other in known):
            services = {other.rpartition(".")[0] for other in known} - {""}
            near = difflib.get_close_matches(service, services, n=1)
            problem = f"there is no service {service!r}"
        else:
            near = difflib.get_close_matches(name, known, n=1)
            problem = f"there is no method {name!r}"
        return f"{problem}; did you mean {near[0]!r}?" if near else problem


class ReplyCodec(typing.Protocol):
    """What writes what a method returns and raises; faults are the same in every writing."""

    def encode_reply(self, value: object, limits: Limits) -> Message:
        """Gives the reply that returns a value; raises EncodeError where it does not fit."""

    def encode_raised(self, exc: RemoteException, limits: Limits) -> bytes | None:
        """Gives the reply that raises an exception, None if the method does not declare it; raises EncodeError."""


class Replies:
    """What a method's handler came to, as replies.

    Args:
        protocol: The method's.
        limits: For results.
        is_intercepted: Interceptors stand around the handler.
        codec: What writes results and declared exceptions; None: the protocol's.
    """

    __slots__ = ("_codec", "_is_intercepted", "_limits", "_name")

    def __init__(
        self,
        protocol: Protocol,
        limits: Limits,
        *,
        is_intercepted: bool = False,
        codec: ReplyCodec | None = None,
    ) -> None:
        self._name = protocol.name
        self._codec = protocol.codec() if codec is None else codec
        self._limits = limits
        self._is_intercepted = is_intercepted

    def failed(self, error: BaseException) -> bytes:
        """Gives the reply to an exception; logs it if it is neither a declared one nor the call's own end.

        A handler's own failed calls to others are its failure, but where they ended with the time of the
        call that it answers, or with that call's being cancelled: ``current_call`` says so.

        Raises:
            KeyboardInterrupt: It is that: the user's, who wants the server to end.
        """
        try:
            raise error
        except KeyboardInterrupt:
            raise
        except RemoteException as declared:
            try:
                raised = self._codec.encode_raised(declared, self._limits)
            except EncodeError:
                return _internal(self._name, "raised what does not fit its type")
            return _internal(self._name, "raised what it does not declare") if raised is None else raised
        except Refused as refused:
            if refused.code is FaultCode.PERMISSION_DENIED or (self._is_intercepted and refused.is_early):
                return encode_fault(refused.code, refused.message)
            return _internal(self._name, "failed")
        except DeadlineExceeded:
            call = current_call.get()
            if call is None or call.deadline is None or time.monotonic() < call.deadline:
                return _internal(self._name, "failed")
            return OUT_OF_TIME
        except Cancelled:
            call = current_call.get()
            if call is None or not call.cancelled:
                return _internal(self._name, "failed")
            return encode_fault(FaultCode.CANCELLED, "the call was cancelled")
        except BaseException:
            # SystemExit too: a library that gives up must not end the server.
            return _internal(self._name, "failed")
        finally:
            del error  # its traceback holds this frame

    def returned(self, value: object) -> Message:
        """Gives the reply to a result; logs it if it does not fit its type."""
        try:
            return self._codec.encode_reply(value, self._limits)
        except EncodeError:
            return _internal(self._name, "returned what does not fit its type")


def intercepted(
    protocol: Protocol, handler: Handler, interceptors: collections.abc.Sequence[Interceptor]
) -> Handler:
    """Puts interceptors around a handler: one that is a coroutine function stays one.

    The call that they see is that of ``current_call``, which the server has set by then.
    """
    if inspect.iscoroutinefunction(handler):
        return _intercepted_coroutine(protocol, handler, interceptors)

    @functools.wraps(handler)
    def inside(*args: object) -> object:
        call = _call(protocol, args)

        def proceed() -> object:
            try:
                return handler(*call.args)
            except Refused as refused:
                refused.is_early = False
                raise

        return through(interceptors, call, proceed)

    return inside


def _intercepted_coroutine(
    protocol: Protocol, handler: Handler, interceptors: collections.abc.Sequence[Interceptor]
) -> Handler:
    @functools.wraps(handler)
    async def inside(*args: object) -> object:
        call = _call(protocol, args)

        async def proceed() -> object:
            try:
                return await handler(*call.args)
            except Refused as refused:
                refused.is_early = False
                raise

        return await through_async(interceptors, call, proceed)

    return inside


def _call(protocol: Protocol, args: tuple[object, ...]) -> Call:
    context = current_call.get() or Context("")
    return Call(
        protocol,
        args,
        metadata=dict(context.metadata),
        reply_metadata=context.reply_metadata,
        peer=context.peer,
        deadline=context.deadline,
        context=context,
    )


class Describe(MessageProtocol[str]):
    """string rpc.describe()"""

    name = "rpc.describe"
    returns = STRING


class Health(MessageProtocol[bool]):
    """bool rpc.health(1: string? service)"""

    name = "rpc.health"
    params = (Param(1, "service", OptionalOf(STRING)),)
    returns = BOOL


def _internal(name: str, what: str) -> bytes:
    """Logs the exception being handled under a new id, and gives the fault that tells the id alone."""
    error_id = os.urandom(4).hex()
    _log.exception("%s %s (error id %s)", name, what, error_id)
    return encode_fault(FaultCode.INTERNAL, f"{name} {what}: see error id {error_id} in the server's log")


def _service(protocol: Protocol) -> str:
    return protocol.name.rpartition(".")[0]


def _refuse_doubles(stubs: collections.abc.Sequence[ServerStub]) -> None:
    seen: dict[str, ServerStub] = {}
    for stub in stubs:
        service = stub.service
        if service == "rpc":
            raise ValueError(f"{stub!r}: the service name rpc is the runtime's")
        for name in [service] if service else [protocol.name for protocol, _ in stub.methods]:
            if name in seen:
                what = "service" if service else "method"
                raise ValueError(
                    f"{seen[name]!r} and {stub!r} both serve the {what} {name}: a server has one"
                )
            seen[name] = stub
