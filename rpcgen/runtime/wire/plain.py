"""Plain messages: one method's calls and replies, and the server's end of a connection.

``MethodCodec`` answers each kind of message with a function of its own: the C codec's, or in
plain Python one compiled for the method, once it has been needed a few times (a program of
few calls ends sooner without). What that function does not expect goes to the readable
reference, which gives the right result or the right error.
"""

from __future__ import annotations

import importlib
import struct
import typing

from rpcgen.runtime.errors import ProtocolError
from rpcgen.runtime.wire.choice import choice
from rpcgen.runtime.wire.codec import FAULT, ReferenceCodec
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS
from rpcgen.runtime.wire.spares import room

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.errors import FaultCode, RemoteException
    from rpcgen.runtime.wire import _codec
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.scan import AnyReplyScan
    from rpcgen.runtime.wire.tailed import Message

    Answer: typing.TypeAlias = collections.abc.Callable[[Data], Message]

    Function: typing.TypeAlias = collections.abc.Callable[..., typing.Any]

MESSAGES = (
    "encode_call",
    "decode_args",
    "encode_reply",
    "encode_raised",
    "decode_reply",
    "quick_reply",
    "reply_scan",
    "encode_frame",
    "encode_block",
    "encode_plain",
)
"""The functions of a codec, in the order in which the C codec is given the reference's."""

UNDECIDED: typing.Any = type("_Undecided", (), {"__slots__": (), "__repr__": lambda self: "UNDECIDED"})()
"""What ``quick_reply`` gives where the data is not one whole reply without surprises."""

FEW = 2
"""In plain Python, so many messages of a kind are left to the reference: compiling takes as long as 100."""

native = choice().native
"""The codec in C is used."""

_u32 = struct.Struct(">I").unpack_from

_LONG = 64 * 1024

_AS_IT_IS = frozenset(("reply_scan", "encode_frame", "encode_plain"))
"""What is not compiled: it has nothing to gain."""

_FRAMED = b"\xc1"
_SHORT = bytes(3)


class MethodCodec(ReferenceCodec):
    """Everything that one method's messages need; made once a method, cheap until it is used.

    See ``ReferenceCodec`` for the arguments, and for what its methods promise: they are the same.
    """

    _method: _codec.Method | None

    # Each of these is replaced in the instance by the function that does it.

    def encode_call(self, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS) -> bytes:
        return self._own("encode_call")(args, limits)  # type: ignore[no-any-return]

    def encode_plain(
        self, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS
    ) -> Message:
        return self._own("encode_plain")(args, limits)  # type: ignore[no-any-return]

    def encode_block(
        self, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS
    ) -> Message:
        return self._own("encode_block")(args, limits)  # type: ignore[no-any-return]

    def encode_frame(
        self, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS
    ) -> Message:
        return self._own("encode_frame")(args, limits)  # type: ignore[no-any-return]

    def decode_args(self, payload: Data, limits: Limits = DEFAULT_LIMITS) -> list[typing.Any]:
        return self._own("decode_args")(payload, limits)  # type: ignore[no-any-return]

    def encode_reply(self, value: object, limits: Limits = DEFAULT_LIMITS) -> Message:
        return self._own("encode_reply")(value, limits)  # type: ignore[no-any-return]

    def encode_raised(self, exc: RemoteException, limits: Limits = DEFAULT_LIMITS) -> bytes | None:
        return self._own("encode_raised")(exc, limits)  # type: ignore[no-any-return]

    def decode_reply(self, data: Data, limits: Limits = DEFAULT_LIMITS) -> typing.Any:
        return self._own("decode_reply")(data, limits)

    def quick_reply(self, data: bytes, limits: Limits = DEFAULT_LIMITS) -> typing.Any:
        """Decodes what one receive has brought, if it is exactly one whole reply.

        Returns:
            What ``decode_reply`` would give; or ``UNDECIDED``: the reply is not whole, or not
            the expected. Then find its end by ``reply_scan`` and decode that.
        """
        return self._own("quick_reply")(data, limits)

    def reply_scan(self, limits: Limits = DEFAULT_LIMITS) -> AnyReplyScan:
        return self._own("reply_scan")(limits)  # type: ignore[no-any-return]

    def answer(
        self,
        handler: collections.abc.Callable[..., object],
        limits: Limits,
        whole: Answer,
        failed: collections.abc.Callable[[BaseException], bytes],
        returned: collections.abc.Callable[[object], Message],
        rest: _codec.Rest | None = None,
    ) -> Answer:
        """Gives what turns the arguments of a call into its reply.

        Args:
            handler: Called with the arguments.
            limits: For both.
            whole: Does all of it; what the C codec does not expect in arguments is left to it.
            failed: Gives the reply to an exception that is not plainly a declared one.
            returned: Gives the reply to a value that may not fit.
            rest: The handler is a coroutine function, and is begun: given the coroutine and what it waits for,
                this gives what is to be awaited for the result, which then is what comes instead of a reply.
        """
        made = self._made() if native else None
        return (made and made.answer(handler, limits, whole, failed, returned, rest)) or whole

    def source(self) -> str:
        """Gives the Python source that this method's messages are compiled to, for reading."""
        from rpcgen.runtime.wire import compiled

        return compiled.source(self)

    def _own(self, message: str) -> Function:
        # A caller that took the bound method before its first call comes here each time.
        function: Function | None = self.__dict__.get(message)
        if function is not None:
            return function
        if native:
            made = self._made()
            if made is not None:
                for kind in MESSAGES:
                    self.__dict__[kind] = getattr(made, kind)
                return typing.cast("Function", self.__dict__[message])
        return self._compiled(message)

    def _made(self) -> _codec.Method | None:
        """Gives the method's part of the C codec; None if its types are nested too deeply to be walked."""
        if "_method" not in self.__dict__:
            from rpcgen.runtime.wire import native

            try:
                self._method = native.method(self, tuple(self._reference(kind) for kind in MESSAGES))
            except RecursionError:
                self._method = None
        return self._method

    def _compiled(self, message: str) -> Function:
        uses: dict[str, int] = self.__dict__.setdefault("_uses", {})
        uses[message] = uses.get(message, 0) + 1
        slow = self._reference(message)
        if message in _AS_IT_IS:
            self.__dict__[message] = slow
        if uses[message] <= FEW or message in _AS_IT_IS:
            return slow

        from rpcgen.runtime.wire import compiled

        function: Function = compiled.message(self, message, slow)
        self.__dict__[message] = function
        return function

    def _reference(self, message: str) -> Function:
        return _undecided if message == "quick_reply" else getattr(super(), message)


def prepare() -> None:
    """Loads what codecs load at their first message: a server may then have no descriptor left for files."""
    for name in ("encoder", "decoder", "native" if native else "compiled"):
        importlib.import_module(f"rpcgen.runtime.wire.{name}")


def _undecided(data: bytes, limits: Limits) -> typing.Any:
    return UNDECIDED


def encode_fault(code: FaultCode, message: str) -> bytes:
    """Gives the whole reply that says a fault; lone surrogates in the message are replaced."""
    text = f"{code.name}: {message}".encode(errors="replace")
    return struct.pack(">BI", FAULT, len(text)) + text


class CallReader:
    """The server's end of a connection in plain messages: bytes in, calls out.

    After each ``feed``, call ``next_call`` until it gives None.

    Args:
        limits: Of which ``name`` and ``message`` count. A length is held against them before
            anything is taken for it.
    """

    __slots__ = ("_chunks", "_filled", "_limits", "_long", "_needs", "_pos", "pending")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._chunks: list[bytes] = []
        self._pos = 0  # in the first chunk; more than one chunk only while a call is not whole
        self._long: memoryview | None = None
        """A long call, of which so many bytes have come; chunks are of what comes after it."""
        self._filled = 0
        self.pending = 0
        """Bytes that have come and are not taken out: of the next call, or several."""
        self._needs = 8

    def take(self, data: bytes) -> tuple[str, Data] | None:
        """Does what ``feed`` and then ``next_call`` do; quick where the data is exactly one call.

        Raises:
            ProtocolError: As ``next_call``.
        """
        # A name of at most 255 bytes has a length of three zero bytes and one.
        if not self.pending and data[:3] == _SHORT and len(data) > 8:
            begin = data[3] + 8
            if begin <= len(data) <= self._limits.message and data[3] <= self._limits.name:
                (block,) = _u32(data, begin - 4)
                if begin + block == len(data):
                    try:
                        return data[4 : begin - 4].decode(), data[begin:]
                    except UnicodeDecodeError:
                        pass
        self.feed(data)
        return self.next_call()

    def feed(self, data: bytes) -> None:
        """Takes what was received; it must not be changed afterwards."""
        self.pending += len(data)
        if self._long is not None and self._filled < len(self._long):
            part = memoryview(data)[: len(self._long) - self._filled]
            self._long[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            data = data[len(part) :]
        if data:
            self._chunks.append(data)

    def next_call(self) -> tuple[str, Data] | None:
        """Takes the next call out.

        Returns:
            The method's name and its block of arguments; None if more bytes must come first.

        Raises:
            ProtocolError: The bytes are no calls; nothing more can be read from the connection.
        """
        if self.pending >= self._needs:
            if self._long is not None:
                return self._taken_long(self._long)
            data, pos = self._joined(), self._pos
            (name,) = _u32(data, pos)
            if name > self._limits.name:
                raise self._unframed(data, pos, name)
            if self.pending < name + 8:
                self._needs = name + 8
                return None
            begin = pos + 4 + name
            (block,) = _u32(data, begin)
            size = name + block + 8
            if size > self._limits.message:
                raise ProtocolError(f"a call of {size} bytes; the limit is {self._limits.message}")
            if size > self.pending:
                self._needs = size
                if size > _LONG:
                    self._collect(size, data, pos)
                return None
            return self._taken(data, pos, begin, pos + size)
        if 0 < self.pending < 8:
            # What can be no call is refused before its eighth byte: it might never come.
            data = self._joined()[self._pos :]
            name = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
            if name > self._limits.name:
                raise self._unframed(data, 0, name)
        return None

    def _joined(self) -> bytes:
        chunks = self._chunks
        if len(chunks) > 1:
            # At most once for the lengths and once for the rest of a call: never quadratic.
            chunks[0] = chunks[0][self._pos :]
            self._pos = 0
            chunks[:] = [b"".join(chunks)]
        return chunks[0]

    def _collect(self, size: int, data: bytes, pos: int) -> None:
        """Begins to collect a long call where it will be read, for which its parts are not joined again."""
        self._long, self._filled = room(size), len(data) - pos
        self._long[: self._filled] = memoryview(data)[pos:]
        self._chunks.clear()
        self._pos = 0

    def _taken_long(self, data: memoryview) -> tuple[str, Data]:
        self._long, self._needs = None, 8
        self.pending -= len(data)
        (name,) = _u32(data, 0)
        return _call(data, 0, name + 4, len(data))

    def _taken(self, data: bytes, pos: int, begin: int, end: int) -> tuple[str, Data]:
        self._needs = 8
        if end == len(data):
            self._chunks.clear()
            self._pos = self.pending = 0
        else:
            self._pos = end
            self.pending = len(data) - end
        # The arguments of a long call are not copied once more.
        return _call(data if end - begin < _LONG else memoryview(data), pos, begin, end)

    def _unframed(self, data: bytes, pos: int, name: int) -> ProtocolError:
        if data[pos : pos + 1] == _FRAMED:
            return ProtocolError("the peer speaks framed messages (first byte C1); this server speaks plain")
        return ProtocolError(f"a method's name of {name} bytes; the limit is {self._limits.name}")


def _call(data: Data, pos: int, begin: int, end: int) -> tuple[str, Data]:
    """Gives the call at pos, whose arguments' length is at begin."""
    name = bytes(data[pos + 4 : begin])
    try:
        return name.decode(), data[begin + 4 : end]
    except UnicodeDecodeError:
        raise ProtocolError(f"a method's name is not UTF-8: {name!r}") from None
