"""The client's end of a framed connection: calls in, replies out, in whatever order they come."""

from __future__ import annotations

import struct
import typing

from rpcgen.runtime.errors import EncodeError, ProtocolError, Unavailable
from rpcgen.runtime.wire.events import Event
from rpcgen.runtime.wire.flow import ClientFlow
from rpcgen.runtime.wire.frames import (
    CALL,
    CANCEL,
    FAULT,
    FIRST_BYTE,
    GOAWAY,
    HEAD,
    HELLO,
    LAST_ID,
    MAGIC,
    NO_REPLY,
    OVERHEAD,
    PING,
    PONG,
    PREFACE,
    REPLY,
    SMALL,
    VERSION,
    decode_fault,
    pack_u32,
    unpack_head,
)
from rpcgen.runtime.wire.session import Session
from rpcgen.runtime.wire.states import SENT, Side, State
from rpcgen.runtime.wire.tailed import pieces

if typing.TYPE_CHECKING:
    from rpcgen.runtime.wire.frames import Buffer, Metadata
    from rpcgen.runtime.wire.hello import CallHead, Terms
    from rpcgen.runtime.wire.tailed import Piece

_REPLY: typing.Final = REPLY << 8

_NONE: typing.Any = object()
_CANCELLED: typing.Any = object()
"""The caller of a call for which nobody waits any more."""

_TLS = b"\x15\x03"
_TLS_HINT = "they are an alert of TLS, which the server speaks: say tls=…"

SPEECH_HINT = 'if the server speaks plain messages only, say protocol="plain"; if it speaks TLS, tls=…'


class ClientSession(ClientFlow, Session):
    """See ``Session`` for a shell's duties.

    Preface and HELLO are in what is to be sent from the beginning, so that they go out with the first
    call. A server that answers nothing within the handshake time is the shell's to notice.

    Args:
        terms: What this end accepts, says and does.
    """

    __slots__ = ("_handed", "_heads", "_held")

    side = Side.CLIENT
    _QUICK_IN = frozenset((State.OPEN, State.DRAINING, State.LEAVING, State.PARTING))
    _USUAL = CALL

    def __init__(self, terms: Terms | None = None) -> None:
        self._calls = {}
        self._held: list[tuple[list[Piece], int, int]] | None = None
        """Frames, their payloads' sizes, call ids: a large call and what follows it, until the server's HELLO."""
        self._handed = 0
        """The highest call id that ``data_to_send`` has given."""
        super().__init__(terms)
        self._heads = self.terms.heads
        self._out.append(PREFACE + self.terms.hello)

    def _send_call(
        self,
        name: str,
        block: Buffer,
        milliseconds: int,
        metadata: Metadata | None,
        no_reply: bool,
        caller: typing.Any,
    ) -> int:
        """Does what ``send_call`` does, for any call."""
        call_id = self._last + 1
        if CALL not in SENT[self.state]:
            raise Unavailable(f"the connection is {self.state.value}: the call was not sent")
        prefix = (self._heads.get(name) or self._head(name))[1]
        try:
            pack_u32(call_id)
            parts: list[Piece] = [prefix + pack_u32(milliseconds), *pieces(block)]
        except struct.error:
            raise self._unpackable(call_id, milliseconds) from None
        self._send(CALL, NO_REPLY if no_reply else 0, call_id, parts, metadata)
        self._last = call_id
        if not no_reply:
            self._calls[call_id] = caller
        return call_id

    @property
    def usual(self) -> int:
        """Bytes up to which a shell may send CALLs without flags by itself, with ids that go on from the last.

        It must have one call at a time then, and take nothing but that one's REPLY, of at most ``Terms.longest``
        bytes. If anything else comes, and before it does anything else here, ``sent`` brings the session into
        step. -1: not now.
        """
        if self._pending or self._out or self._calls or self._quick_in < SMALL // 4:
            return -1
        return self._most_out

    def sent(self, call_id: int, *, is_answered: bool, caller: typing.Any = None) -> None:
        """Takes note of usual CALLs, up to this id, that the shell has sent by itself since ``usual``.

        Args:
            call_id: Of the last one.
            is_answered: If not, the last one's answer is still to come here; those of the others have come.
            caller: As for ``send_call``.
        """
        self._last = self._handed = call_id
        if not is_answered:
            self._calls[call_id] = caller

    @property
    def is_held(self) -> bool:
        """Whether calls wait for the server's HELLO: ``data_to_send`` has not given them yet."""
        return self._held is not None

    def cancel(self, call_id: int) -> bool:
        """Tells the server that nobody waits for a call. Its caller hears nothing of it any more.

        Returns:
            Whether it was running, as far as is known here.
        """
        if self._calls.get(call_id, _CANCELLED) is _CANCELLED:
            return False
        self._calls[call_id] = _CANCELLED
        self._send(CANCEL, 0, call_id, [])
        return True

    def goaway(self, reason: str = "") -> None:
        """Tells the server that no more calls come. Replies still do; then ``is_finished``.

        Before the server's HELLO, and after the end, there is nobody to tell: nothing is done.
        """
        if GOAWAY in SENT[self.state]:
            self._send_goaway(0, reason)

    def data_to_send(self) -> list[Piece]:
        self._handed = self._last if self._held is None else self._held[0][2] - 1
        return super().data_to_send()

    @property
    def running(self) -> int:
        return len(self._calls)

    def _head(self, name: str) -> CallHead:
        """Makes what calls of a method begin with: a function that packs it, the name, its part of the length."""
        raw = name.encode(errors="replace")
        if len(raw) > 255:
            raise EncodeError(f"a method's name of {len(raw)} bytes; the limit is 255")
        prefix = bytes((len(raw),)) + raw
        made = (struct.Struct(f">IHI{len(prefix)}sI").pack, prefix, OVERHEAD + len(prefix) + 4)
        if len(self._heads) < 10_000:
            self._heads[name] = made
        return made

    def _unpackable(self, call_id: int, milliseconds: int) -> Exception:
        if call_id > LAST_ID:
            return Unavailable("the connection has used up its call ids: the call was not sent")
        return ValueError(f"milliseconds are 0 to {LAST_ID}, not {milliseconds!r}")

    def _queue(self, frame: list[Piece], size: int, call_id: int) -> None:
        if self.state is State.GREETING:
            if self._held is None and size + OVERHEAD > SMALL:
                # Ids must rise on the wire: what comes after a call that has to wait waits with it.
                self._held = []
                self._quick_out = self._most_out = -1
            if self._held is not None:
                self._held.append((frame, size, call_id))
                return
        super()._queue(frame, size, call_id)

    def _frames(self, data: bytes, events: list[Event], first: float, now: float) -> int:
        size, pos = len(data), 0
        while True:
            pos = self._take_replies(data, pos, events, _CANCELLED)
            if size - pos < HEAD:
                return pos
            length, word, call_id = unpack_head(data, pos)
            kind = self._checked(length, word, call_id, data, pos)
            end = pos + 4 + length
            if end > size:
                return pos
            self._take(kind, word, call_id, data[pos + HEAD : end], now if pos else first, events)
            pos = end
            if self.is_closed:
                return size

    def _take_hello(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        super()._take_hello(flags, call_id, payload, began, events)
        held, self._held = self._held, None
        refused = set()
        for frame, size, held_id in held or ():
            if size + OVERHEAD <= self._peer_largest:
                if held_id not in refused:
                    self._queue(frame, size, held_id)
                continue
            refused.add(held_id)
            caller = self._calls.pop(held_id, _CANCELLED)
            if caller is not _CANCELLED:
                problem = f"a call of {size} bytes; the server accepts {self._peer_largest - OVERHEAD}"
                events.append((FAULT, caller, EncodeError(problem), None))

    def _take_reply(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        reply, metadata, too_much = self._content(flags, payload)
        limit = self.terms.limits.message
        if len(reply) > limit:
            too_much = f"a reply of {len(reply)} bytes; the limit is {limit}"
        if not too_much and (not reply or not reply[0]):
            raise ProtocolError(f"a REPLY to call {call_id} that is none: of kind 0, or empty")
        caller = self._answered(call_id)
        if caller is _CANCELLED:
            return
        if too_much:
            events.append((FAULT, caller, ProtocolError(too_much), None))
        else:
            events.append((REPLY, caller, reply, metadata))

    def _take_fault(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        if not call_id:
            self._take_last_word(flags, payload, events)
            return
        content, metadata, too_much = self._content(flags, payload)
        error = ProtocolError(too_much) if too_much else decode_fault(content)
        caller = self._answered(call_id)
        if caller is not _CANCELLED:
            events.append((FAULT, caller, error, metadata))

    def _answered(self, call_id: int) -> typing.Any:
        caller = self._calls.pop(call_id, _NONE)
        if caller is _NONE:
            raise self._unasked(call_id)
        return caller

    def _unasked(self, call_id: int) -> ProtocolError:
        what = "was answered before, or after a GOAWAY" if call_id <= self._last else "was never sent"
        return ProtocolError(f"an answer to call {call_id}, which {what}")

    def _calls_above(self, last: int) -> list[typing.Any]:
        above = [call_id for call_id in self._calls if call_id > last]
        callers = [self._calls.pop(call_id) for call_id in above]
        return [caller for caller in callers if caller is not _CANCELLED]

    def _calls_left(self) -> tuple[list[typing.Any], list[typing.Any]]:
        running = [(call_id, caller) for call_id, caller in self._calls.items() if caller is not _CANCELLED]
        self._calls.clear()
        self._held = None
        may_have_run = [caller for call_id, caller in running if call_id <= self._handed]
        return may_have_run, [caller for call_id, caller in running if call_id > self._handed]

    def _bad_length(self, length: int, data: bytes, pos: int) -> None:
        if self.state is State.GREETING:
            # What a server says that does not speak this version, or no frames at all.
            start = data[pos : pos + len(PREFACE)]
            if start[0] == FIRST_BYTE and MAGIC.startswith(start[:-1] if len(start) == 8 else start):
                if len(start) < len(PREFACE):
                    return
                raise ProtocolError(
                    f"the server speaks framed messages up to version {start[7]}, not {VERSION}"
                )
            hint = _TLS_HINT if start.startswith(_TLS) else SPEECH_HINT
            raise ProtocolError(f"the server's first bytes, {start[:4].hex(' ')}, are no frame: {hint}")
        super()._bad_length(length, data, pos)

    def _nothing_came(self) -> str:
        return f"the server ended the connection before its HELLO: {SPEECH_HINT}"

    _TAKERS: typing.ClassVar = {
        HELLO: _take_hello,
        REPLY: _take_reply,
        FAULT: _take_fault,
        PING: Session._take_ping,
        PONG: Session._take_pong,
        GOAWAY: Session._take_goaway,
    }
