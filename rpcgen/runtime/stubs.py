"""The two ends of a method as a program sees them: a stub that calls, a stub that answers.

A generated protocol is data; ``codec()`` turns it into what reads and writes the
method's messages, when it is first needed. Client stubs hand (protocol, arguments) to a
channel. Server stubs pair each protocol with a handler, once, when they are made.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.beside import StubBeside, awaited
from rpcgen.runtime.errors import ConnectionLost, ProtocolError, RemoteException
from rpcgen.runtime.schema import DEFAULT, REQUIRED, VOID, Interface, Param, Reserved, Type
from rpcgen.runtime.wire.limits import Limits
from rpcgen.runtime.wire.plain import MethodCodec

if typing.TYPE_CHECKING:
    import collections.abc
    import socket

    Result = typing.TypeVar("Result")
    Connection: typing.TypeAlias = "typing.BinaryIO | socket.socket"

    class _Generic(typing.Generic[Result]):
        pass

    _of_protocol = classmethod
else:

    class _Generic:
        def __class_getitem__(cls, result):
            return object

    def _of_protocol(function):
        return function


class MessageProtocol(_Generic["Result"]):
    """The messages of one method. Generated classes say which; there is no state in an instance.

    To type checkers ``class DivideProtocol(rpc.MessageProtocol[float])`` is a class. When it runs,
    it makes one object that holds the body's names and answers as the class and as its instance:
    ``DivideProtocol()`` gives it again. It can be subclassed with other data, but not with methods.
    """

    if not typing.TYPE_CHECKING:
        # An interface of 10,000 methods makes 10,000 of these when it is imported. As classes they
        # took 0.18 of 0.38 s: 8 µs each to make, and cycles for the collector to walk and take down.
        # Python makes what the type of a base makes, so a base that is an object of this class will do.
        def __class_getitem__(cls, result):
            return _ANY

        def __init_subclass__(cls):
            raise TypeError(f"{cls.__name__} needs its result's type: rpc.MessageProtocol[float]")

        def __init__(self, name, bases, namespace):
            if bases != _USUAL:
                if len(bases) > 1:
                    raise TypeError(f"{name} has {len(bases)} bases: a protocol has one")
                base = bases[0]
                for key, value in namespace.items():
                    if callable(getattr(MessageProtocol, key, None)) and callable(value):
                        raise TypeError(f"{name} defines {key}: a protocol holds data alone")
                inherited = {key: value for key, value in vars(base).items() if key != "_codec"}
                namespace = {**inherited, "_base": base, **namespace}
            namespace.setdefault("__doc__")
            self.__dict__ = namespace

        def __call__(self):
            return self

        def __repr__(self):
            return f"<protocol {self.__module__}.{self.__qualname__}>"

        def __reduce__(self):
            return self.__qualname__

        @property
        def __name__(self):
            return self.__qualname__.rpartition(".")[2]

        @property
        def __bases__(self):
            return (self.__dict__.get("_base", MessageProtocol),)

        def __subclasscheck__(self, other):
            return other is self or any(issubclass(base, self) for base in other.__bases__)

        def __instancecheck__(self, other):
            return isinstance(other, MessageProtocol) and issubclass(other, self)

    name: typing.ClassVar[str] = ""
    """On the wire: ``divide``, or ``Directory.find`` in a named service."""
    params: typing.ClassVar[tuple[Param, ...]] = ()
    reserved: typing.ClassVar[tuple[Reserved, ...]] = ()
    returns: typing.ClassVar[Type] = VOID
    raises: typing.ClassVar[tuple[type[RemoteException], ...]] = ()
    attr: typing.ClassVar[str] = ""
    """In Python, where that is another name than the wire's."""
    oneway: typing.ClassVar[bool] = False
    idempotent: typing.ClassVar[bool] = False
    timeout: typing.ClassVar[float | None] = None
    attempts: typing.ClassVar[int | None] = None
    priority: typing.ClassVar[int] = 0
    """Of the IDL's ``@timeout`` (in seconds), ``@attempts`` and ``@priority``."""
    deprecated: typing.ClassVar[str | None] = None
    """Why, or what to use instead."""

    _codec: typing.ClassVar[MethodCodec | None] = None

    @_of_protocol
    def codec(cls) -> MethodCodec:
        """Gives what encodes and decodes this method's messages; made once a protocol."""
        codec = cls._codec
        if codec is None:
            codec = MethodCodec(cls.name, cls.params, cls.reserved, cls.returns, cls.raises, cls.oneway)
            cls._codec = codec
        return codec

    @_of_protocol
    def python_name(cls) -> str:
        """Gives the name that stubs and handlers have for the method."""
        return cls.attr or cls.name.rpartition(".")[2]

    def args_encode(self, *args: object, **named: object) -> bytes:
        """Gives a whole call message.

        Args:
            *args: The method's arguments, as in Python.
            **named: The same by name.

        Raises:
            TypeError: One is missing, unknown or given twice.
            EncodeError: One does not fit its type.
        """
        return self.codec().encode_call(self._positional(args, named))

    def args_decode(self, conn: Connection) -> dict[str, typing.Any]:
        """Reads the arguments of a call whose name has been read already.

        Args:
            conn: A blocking socket or a binary file; nothing beyond the call is read from it.

        Returns:
            Every argument by its name in Python, defaults filled in.

        Raises:
            DecodeError: The arguments are not the method's.
            ConnectionLost: The stream ended.
        """
        values = self.codec().decode_args(_read_block(conn, Limits().message, "arguments"))
        return {param.attr: value for param, value in zip(self.params, values, strict=True)}

    def result_encode(self, result: object) -> bytes:
        """Gives a whole reply.

        Args:
            result: What the method returned, or an exception that it raised.

        Raises:
            EncodeError: It does not fit the result's type.
            TypeError: It is an exception that the method does not declare.
        """
        if not isinstance(result, BaseException) or self._returns_exceptions():
            return bytes(self.codec().encode_reply(result))
        raised = self.codec().encode_raised(result) if isinstance(result, RemoteException) else None
        if raised is None:
            raise TypeError(f"{self.name} does not declare {type(result).__name__}")
        return raised

    def result_decode(self, conn: Connection) -> typing.Any:
        """Reads a reply.

        Args:
            conn: A blocking socket or a binary file; nothing beyond the reply is read from it.

        Returns:
            What the method returned, or the exception that it raised; a fault as ``RemoteFault``.

        Raises:
            ProtocolError: The bytes are not a reply to this method.
            ConnectionLost: The stream ended.
        """
        codec = self.codec()
        scan = codec.reply_scan()
        data = bytearray()
        while not scan.advance(data):
            data += _read(conn, scan.needs - len(data), "reply")
        return codec.decode_reply(bytes(data))

    def _returns_exceptions(self) -> bool:
        return isinstance(self.returns, type) and issubclass(self.returns, RemoteException)

    def _positional(self, args: tuple[object, ...], named: dict[str, object]) -> list[object]:
        if len(args) > len(self.params):
            raise TypeError(f"{self.name} takes {len(self.params)} arguments, {len(args)} were given")
        values = list(args)
        for param in self.params[: len(args)]:
            if param.attr in named:
                raise TypeError(f"{self.name} got two values for {param.attr}")
        for param in self.params[len(args) :]:
            value = named.pop(param.attr, DEFAULT)
            if value is DEFAULT and param.default is REQUIRED:
                raise TypeError(f"{self.name} lacks its argument {param.attr}")
            values.append(value)
        if named:
            raise TypeError(f"{self.name} has no argument {next(iter(named))}")
        return values


_ANY: typing.Final = object.__new__(MessageProtocol)
"""The base of every protocol."""
_USUAL: typing.Final = (_ANY,)

Protocols: typing.TypeAlias = "tuple[type[MessageProtocol[typing.Any]], ...]"
"""What a server stub answers."""


class MethodProtocol:
    """Reads which method a call is for.

    Args:
        conn: A blocking socket or a binary file at the start of a call.
    """

    def __init__(self, conn: Connection) -> None:
        self.conn = conn

    def get_method_name(self) -> str:
        """Reads the name; the arguments are left to ``args_decode`` of its protocol.

        Raises:
            ProtocolError: The bytes are not the beginning of a call.
            ConnectionLost: The stream ended.
        """
        block = _read_block(self.conn, Limits().name, "method name")
        try:
            return block.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError(f"a method name is not UTF-8: {block[:32]!r}") from error


def _read_block(conn: Connection, limit: int, what: str) -> bytes:
    length = int.from_bytes(_read(conn, 4, what), "big")
    if length > limit:
        raise ProtocolError(f"the {what} would take {length} bytes: at most {limit} are accepted")
    return _read(conn, length, what)


def _read(conn: Connection, size: int, what: str) -> bytes:
    read = getattr(conn, "recv", None) or conn.read  # type: ignore[union-attr]
    data: bytes = read(size) if size else b""
    while len(data) < size:
        more = read(size - len(data))
        if not more:
            raise ConnectionLost(f"the stream ended inside a {what}, {size - len(data)} bytes early")
        data += more
    return data


class Caller(typing.Protocol):
    """What a client stub needs of a channel."""

    def call(
        self, protocol: type[MessageProtocol[typing.Any]], args: tuple[object, ...], timeout: float | None
    ) -> typing.Any:
        """Calls the method and gives its result; raises what it raised."""


class ClientStub:
    """The base of generated stubs; its public names are the IDL's methods alone.

    Many threads may share one, as they may share a channel.

    Args:
        channel: Where calls go.
    """

    def __init__(self, channel: Caller) -> None:
        self._channel = channel
        self._timeout: float | None = None

    def _call(self, protocol: type[MessageProtocol[Result]], *args: object) -> Result:
        if protocol.deprecated is not None:
            warn_deprecated(protocol)
        result: Result = self._channel.call(protocol, args, self._timeout)
        return result

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._channel!r})"


class AsyncCaller(typing.Protocol):
    """What an asyncio client stub needs of a channel."""

    def call(
        self, protocol: type[MessageProtocol[typing.Any]], args: tuple[object, ...], timeout: float | None
    ) -> collections.abc.Coroutine[typing.Any, typing.Any, typing.Any]:
        """Calls the method and gives its result; raises what it raised."""


class AsyncClientStub(StubBeside):
    """The base of generated stubs for asyncio; its public names are the IDL's methods alone.

    Tasks may share one, as they may share a channel.

    Args:
        channel: Where calls go.
    """

    if not typing.TYPE_CHECKING:
        _beside = awaited

    def __init__(self, channel: AsyncCaller) -> None:
        self._channel = channel
        self._timeout: float | None = None

    def _call(
        self, protocol: type[MessageProtocol[Result]], *args: object
    ) -> collections.abc.Coroutine[typing.Any, typing.Any, Result]:
        # It gives the channel's own coroutine: one of its own around that would cost every call.
        if protocol.deprecated is not None:
            warn_deprecated(protocol)
        return self._channel.call(protocol, args, self._timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._channel!r})"


def warn_deprecated(protocol: type[MessageProtocol[typing.Any]]) -> None:
    """Warns of a call to a deprecated method, in the line that makes it; called by a stub's ``_call``."""
    import warnings  # the caller's line is above this function, _call and the generated method

    warnings.warn(f"{protocol.name} is deprecated: {protocol.deprecated}", DeprecationWarning, stacklevel=4)


class ServerStub:
    """The base of generated dispatchers: which handler answers which method.

    Args:
        handlers: An instance, or a class with static methods, that has every method of the
            IDL. It gets all arguments positionally, defaults filled in.

    Raises:
        TypeError: A method is missing or ill-shaped; all that are, with their IDL lines.
    """

    protocols: typing.ClassVar[Protocols] = ()
    interface: typing.ClassVar[Interface | None] = None

    def __init__(self, handlers: object) -> None:
        from rpcgen.runtime.handlers import bind

        self.handlers = handlers
        self.methods = bind(self.protocols, handlers)
        """Protocol and handler, in the order of ``protocols``."""

    @property
    def service(self) -> str:
        """The name of the service that it answers, under which it is registered; ``""``: a file's own.

        Not those whose methods it inherits: a stub of theirs is another service.
        """
        # A stub's own methods come after those that its service inherits.
        return self.protocols[-1].name.rpartition(".")[0] if self.protocols else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.handlers!r})"
