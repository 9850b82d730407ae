"""The messages of one method, from descriptors: the readable reference.

``plain.MethodCodec`` is this, with faster ways for messages without surprises. Where those
are in C, most programs never read or write a value here: what does is loaded when needed.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import DecodeError, EncodeError, FaultCode, RemoteException, RemoteFault
from rpcgen.runtime.schema import BYTES, DEFAULT, REQUIRED, STRING, VOID, Field, OptionalOf, Reserved, Type
from rpcgen.runtime.wire.frames import CALL, CALL_HEAD, LAST_ID, pack_head
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits
from rpcgen.runtime.wire.types import Misfit

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.decoder import Decoder
    from rpcgen.runtime.wire.scan import AnyReplyScan
    from rpcgen.runtime.wire.tailed import Message, Tailed

    Data: typing.TypeAlias = bytes | bytearray | memoryview | Tailed


FAULT, RETURNED, RAISED = 0, 1, 2
"""The first byte of a reply; RAISED and above count the exceptions after ``=>``."""


class ReferenceCodec:
    """Everything that one method's messages need.

    Args:
        name: The method's name on the wire.
        params: Its parameters, in the order of the signature.
        reserved: Those that it had once.
        returns: Its result's type, ``VOID`` or an ``OptionalOf`` too.
        raises: The exceptions after ``=>``.
        oneway: Nobody waits for the handler; the reply is that of a void method.
    """

    def __init__(
        self,
        name: str,
        params: tuple[Field, ...],
        reserved: tuple[Reserved, ...],
        returns: Type,
        raises: tuple[type[RemoteException], ...],
        oneway: bool = False,
    ) -> None:
        self.name = name
        self.params = params
        self.reserved = reserved
        self.returns = VOID if oneway else returns
        self.raises = raises
        self.oneway = oneway

    @property
    def tail(self) -> int:
        """The place at which a reply that returns bytes has their length; 0: the method returns none."""
        if isinstance(self.returns, OptionalOf):
            return 2 if self.returns.item is BYTES else 0
        return 1 if self.returns is BYTES else 0

    def encode_call(self, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS) -> bytes:
        """Gives a whole call message.

        Args:
            args: In the order of the parameters; ``schema.DEFAULT`` leaves one out.
            limits: Of which ``nesting`` counts.

        Raises:
            EncodeError: An argument does not fit its type; it says which, the range and the value.
        """
        name, block = self.name.encode(), self._block(args, limits)
        return b"".join((len(name).to_bytes(4, "big"), name, len(block).to_bytes(4, "big"), block))

    def encode_plain(
        self, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS
    ) -> Message:
        """Gives the same as ``encode_call``, to be sent."""
        return self.encode_call(args, limits)

    def encode_block(
        self, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS
    ) -> Message:
        """Gives the field block of a call's arguments alone, as framed calls carry it. See ``encode_call``."""
        return self._block(args, limits)

    def _block(self, args: collections.abc.Sequence[object], limits: Limits) -> bytes:
        from rpcgen.runtime.wire.encoder import Encoder

        try:
            if len(args) != len(self.params):
                raise Misfit(f"takes {len(self.params)} arguments, not {len(args)}")
            pairs = [
                (param, value)
                for param, value in zip(self.params, args, strict=True)
                if value is not DEFAULT or param.default is REQUIRED
            ]
            return Encoder(limits.nesting).block(pairs)
        except (Misfit, RecursionError, OverflowError) as error:
            raise self._unfit(error) from error.__cause__

    def encode_frame(
        self, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS
    ) -> Message:
        """Gives the CALL frame of a call, its id and its milliseconds left at 0.

        Args:
            args: As those of ``encode_call``.
            limits: As there.

        Raises:
            EncodeError: As there, or the method's name is longer than 255 bytes.
        """
        message = self.encode_call(args, limits)
        begin = 4 + int.from_bytes(message[:4], "big")
        name, block = message[4:begin], memoryview(message)[begin + 4 :]
        length = CALL_HEAD - 4 + len(name) + len(block)
        if len(name) > 255 or length > LAST_ID:
            raise EncodeError(
                f"a frame of {length} bytes, with a name of {len(name)}; the limits are {LAST_ID} and 255",
                method=self.name,
            )
        return b"".join((pack_head(length, CALL << 8, 0), bytes((len(name),)), name, bytes(4), block))

    def decode_args(self, payload: Data, limits: Limits = DEFAULT_LIMITS) -> list[typing.Any]:
        """Reads the field block of a call's arguments.

        Returns:
            The arguments in the order of the parameters, defaults filled in.

        Raises:
            DecodeError: The bytes are not these parameters; an argument that is not known, or
                no longer, is refused by its tag.
        """
        from rpcgen.runtime.wire.decoder import Decoder

        payload = bytes(payload)
        try:
            return Decoder(payload, limits).block(self.params, self.reserved, len(payload), arguments=True)
        except (Misfit, RecursionError) as error:
            raise self._unreadable(error) from None

    def encode_reply(self, value: object, limits: Limits = DEFAULT_LIMITS) -> Message:
        """Gives the whole reply that returns a value.

        Raises:
            EncodeError: The value does not fit the result's type.
        """
        from rpcgen.runtime.wire.encoder import Encoder
        from rpcgen.runtime.wire.scalars import shown

        returns = self.returns
        kind = bytes([RETURNED])
        try:
            if returns is VOID:
                if value is not None:
                    raise Misfit(f"void must be None, not {shown(value)}")
                return kind
            if isinstance(returns, OptionalOf):
                if value is None:
                    return kind + b"\x00"
                kind, returns = kind + b"\x01", returns.item
            return kind + Encoder(limits.nesting).value(returns, value)
        except Misfit as misfit:
            raise self._unfit(misfit.inside("result")) from misfit.__cause__
        except RecursionError as error:
            raise self._unfit(error) from None

    def encode_raised(self, exc: RemoteException, limits: Limits = DEFAULT_LIMITS) -> bytes | None:
        """Gives the whole reply that raises an exception.

        Returns:
            None if the method does not declare it, nor a base of it.

        Raises:
            EncodeError: A field of the exception does not fit its type.
        """
        from rpcgen.runtime.wire.encoder import Encoder

        for number, declared in enumerate(self.raises, RAISED):
            if isinstance(exc, declared):
                try:
                    return bytes([number]) + Encoder(limits.nesting).value(declared, exc)
                except Misfit as misfit:
                    raise self._unfit(misfit.inside(declared.__name__)) from misfit.__cause__
                except RecursionError as error:
                    raise self._unfit(error) from None
        return None

    def reply_scan(self, limits: Limits = DEFAULT_LIMITS) -> AnyReplyScan:
        """Gives a new scan, which finds out where a reply ends."""
        from rpcgen.runtime.wire.scan import ReplyScan

        return ReplyScan(self.name, self.returns, limits)

    def decode_reply(self, data: Data, limits: Limits = DEFAULT_LIMITS) -> typing.Any:
        """Reads a whole reply.

        Returns:
            What the method returned; or the ``RemoteException`` that it raised or the
            ``RemoteFault`` that it ended in, which the caller raises.

        Raises:
            DecodeError: The bytes are no reply to this method.
        """
        from rpcgen.runtime.wire.decoder import Decoder

        data = bytes(data)
        decoder = Decoder(data, limits, pos=1)
        part = "result"
        try:
            if not data:
                raise Misfit("a reply has no bytes", 0)
            if data[0] == FAULT:
                part = "fault"
                value = fault(decoder.value(STRING, len(data)), self.name)
            elif data[0] == RETURNED:
                value = self._result(decoder, len(data))
            elif data[0] - RAISED < len(self.raises):
                declared = self.raises[data[0] - RAISED]
                part = declared.__name__
                value = decoder.value(declared, len(data))
            else:
                part = "exception"
                decoder.skip(STRING, len(data))
                value = self._unknown(data[0])
            decoder.finish(len(data))
            return value
        except Misfit as misfit:
            raise self._unreadable(misfit.inside(part)) from None
        except RecursionError as error:
            raise self._unreadable(error) from None

    def _result(self, decoder: Decoder, end: int) -> typing.Any:
        returns = self.returns
        if returns is VOID:
            return None
        if isinstance(returns, OptionalOf):
            if not decoder.present(end):
                return None
            returns = returns.item
        return decoder.value(returns, end)

    def _unknown(self, kind: int) -> RemoteFault:
        return RemoteFault(
            FaultCode.INTERNAL,
            f"the server raised exception {kind - RAISED + 1} after =>, but only {len(self.raises)} are known"
            " here: compile the server's IDL again",
            method=self.name,
        )

    def _unfit(self, error: Exception) -> EncodeError:
        return EncodeError(_said(error), method=self.name)

    def _unreadable(self, error: Exception) -> DecodeError:
        return DecodeError(_said(error), method=self.name)


def fault(text: str, method: str | None = None) -> RemoteFault:
    """Gives the fault that a plain reply's ``CODE: what went wrong`` says."""
    code, colon, message = text.partition(": ")
    if colon and code in FaultCode.__members__:
        return RemoteFault(FaultCode[code], message, method=method)
    return RemoteFault(FaultCode.INTERNAL, text, method=method)


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested deeper than Python's own stack"
    return str(error) if isinstance(error, Misfit) else "is larger than 4 GiB"
