"""Bytes as they come, in any pieces, as frames: the lower half of a session.

Data that begins with a frame is read where it is. What is left of it, the beginning of a frame, is
kept: a small one is joined with what comes next; a larger one has memory of its own size, which is
filled. So no byte is copied more than twice, and no more is kept than one frame within its limit.
Where a long value may end the frame, that memory is the value's alone: see ``tailed``.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import FaultCode, ProtocolError
from rpcgen.runtime.wire.flow import Flow
from rpcgen.runtime.wire.frames import (
    FAULT,
    HEAD,
    IGNORED,
    OF_CONNECTION,
    OVERHEAD,
    SMALL,
    described,
    u32,
    unpack_head,
)
from rpcgen.runtime.wire.spares import room
from rpcgen.runtime.wire.states import WORDS_RECEIVED, Side, State
from rpcgen.runtime.wire.tailed import Incoming, Tailed, tail_begin

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.events import Ended, Event
    from rpcgen.runtime.wire.frames import Buffer

    Taker: typing.TypeAlias = collections.abc.Callable[
        [typing.Any, int, int, Buffer, float, list[Event]], None
    ]
    """Of the session, flags, call id, payload, when the frame's first byte came, the events so far."""

KEPT: typing.Final = 4096
"""A frame of more bytes that comes in parts gets memory of its own; a smaller one is joined anew each time."""


class FrameReader(Flow):
    """Reads frames and hands each to its taker. See ``Session``."""

    __slots__ = (
        "_began",
        "_filled",
        "_frame",
        "_largest",
        "_lead",
        "_pending",
        "_rest",
        "_tail",
        "_words",
        "state",
    )

    side: typing.ClassVar[Side]
    _TAKERS: typing.ClassVar[dict[int, Taker]]

    def __init__(self) -> None:
        self.state = State.GREETING if self.side is Side.CLIENT else State.PREFACE
        self._words = WORDS_RECEIVED[self.side][self.state]
        self._largest = SMALL
        self._pending = self.state is State.PREFACE
        """Something must be done before what comes can be read as frames."""
        self._rest = b""
        """The beginning of a small frame."""
        self._frame: memoryview | None = None
        """A larger frame, or its tail, of which so many bytes are filled."""
        self._filled = 0
        self._lead = b""
        """What comes before that tail."""
        self._tail: Incoming | None = None
        """What the tail is filled into."""
        self._began = 0.0
        """When the first byte came of what is in the two."""

    @property
    def is_closed(self) -> bool:
        """Whether ENDED has come: nothing is taken or said any more."""
        return self.state is State.CLOSED

    @property
    def incomplete_since(self) -> float | None:
        """When the first byte came of a frame (or of the preface) that is not whole, as ``now`` said; else None."""
        return self._began if self._rest or self._frame is not None else None

    def receive(self, data: Buffer, now: float = 0.0) -> list[Event]:
        """Takes what has come.

        Args:
            data: It may be used again afterwards.
            now: Seconds on the shell's clock.

        Returns:
            What has happened, in order; nothing after ENDED. Wrong bytes end the session; no
            exception is raised for them.
        """
        events: list[Event] = []
        try:
            if not self._pending and data.__class__ is bytes:
                pos = self._frames(data, events, now, now)
                if pos != len(data):
                    self._keep(data, pos, now)
            else:
                whole, first = self._joined(data, now, events)
                pos = self._frames(whole, events, first, now)
                if pos != len(whole):
                    self._keep(whole, pos, now if pos else first)
        except ProtocolError as error:
            # What came hangs on its frames, which hang on it, until the garbage collector comes by.
            for raised in (error, error.__context__):
                if raised is not None:
                    raised.__traceback__ = None
            events.append(self._break(error, FaultCode.BAD_REQUEST))
        return events

    def space(self) -> memoryview | None:
        """Gives where to receive the next bytes, while a larger frame is on its way: they are not copied then.

        What is received there goes to ``filled``, before anything else. None: use ``receive``.
        """
        return None if self._frame is None else self._frame[self._filled :]

    def filled(self, count: int, now: float = 0.0) -> list[Event]:
        """Does what ``receive`` does, for so many bytes that were put into ``space()``."""
        self._filled += count
        return self.receive(b"", now)

    def _frames(self, data: bytes, events: list[Event], first: float, now: float) -> int:
        """Takes whole frames from the beginning of data; gives where they end.

        Args:
            data: Frames, the last one perhaps not whole.
            events: To be added to.
            first: When the first byte came.
            now: When those of later frames came.

        Raises:
            ProtocolError: A frame is illegal.
        """
        raise NotImplementedError

    def _opening(self, data: bytes) -> bytes:
        """Takes what comes before the first frame from the beginning of data; gives the rest."""
        raise NotImplementedError

    def _break(self, error: ProtocolError, code: FaultCode) -> Ended:
        raise NotImplementedError

    def _joined(self, data: Buffer, now: float, events: list[Event]) -> tuple[bytes, float]:
        """Gives what is to be read as frames, and when its first byte came."""
        if self.is_closed:
            return b"", now
        first = now
        if self._frame is not None:
            view = memoryview(data)
            part = view[: len(self._frame) - self._filled]
            self._frame[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            if self._filled < len(self._frame):
                return b"", now
            data = view[len(part) :]
            head, payload = self._filled_up()
            length, word, call_id = unpack_head(head)
            kind = self._kind(length, word, call_id)
            self._take(kind, word, call_id, payload, self._began, events)
            if self.is_closed:
                return b"", now
        elif self._rest:
            data, self._rest, first = self._rest + data, b"", self._began
            self._pending = False
        if self.state is State.PREFACE:
            self._began = first
            return self._opening(bytes(data)), first
        return bytes(data), first

    def _filled_up(self) -> tuple[Buffer, Buffer]:
        """Gives the larger frame, which is whole: what begins with its head, and its payload."""
        frame, tail, lead = self._frame, self._tail, self._lead
        assert frame is not None
        self._forget()
        if tail is None:
            return frame, frame[HEAD:]
        return lead, Tailed(lead[HEAD:], tail.taken())

    def _forget(self) -> None:
        """Keeps nothing of a larger frame."""
        self._frame, self._filled, self._pending = None, 0, False
        self._lead, self._tail = b"", None

    def _keep(self, data: bytes, pos: int, began: float) -> None:
        """Keeps the beginning of a frame."""
        size = len(data) - pos
        if size >= 4:
            (length,) = u32(data, pos)
            if not OVERHEAD <= length <= self._largest:
                self._bad_length(length, data, pos)
            elif size >= HEAD and length + 4 > KEPT:
                # Memory that is not written yet is not there yet: the claim alone costs nothing.
                begin = tail_begin(data, pos)
                if begin:
                    self._lead, self._tail = data[pos:begin], Incoming(pos + 4 + length - begin)
                    self._frame = memoryview(self._tail)
                else:
                    begin, self._frame = pos, room(length + 4)
                self._filled = len(data) - begin
                self._frame[: self._filled] = memoryview(data)[begin:]
                pos = len(data)
        self._rest = data[pos:]
        self._began = began
        self._pending = True

    def _bad_length(self, length: int, data: bytes, pos: int) -> None:
        """Raises for a length that no frame has; or does nothing: the next bytes tell more."""
        if length < OVERHEAD:
            raise ProtocolError(f"a frame of length {length}; the least is {OVERHEAD}")
        raise ProtocolError(f"a frame of length {length}; the limit is {self._largest}")

    def _checked(self, length: int, word: int, call_id: int, data: bytes, pos: int) -> int:
        """Gives the kind of a frame whose head has come.

        Raises:
            ProtocolError: It may not come, or not so.
        """
        if not OVERHEAD <= length <= self._largest:
            self._bad_length(length, data, pos)
        return self._kind(length, word, call_id)

    def _kind(self, length: int, word: int, call_id: int) -> int:
        kind = self._words.get(word)
        if kind is None:
            if self.state is State.GREETING:
                raise ProtocolError(f"a frame of {described(word)}, but a peer's first is HELLO")
            if word >> 8 & IGNORED:
                return IGNORED
            raise ProtocolError(
                f"a frame of {described(word)}, which is not to come while {self.state.value}"
            )
        if kind in OF_CONNECTION:
            if call_id:
                raise ProtocolError(
                    f"a frame of {described(word)} has call id {call_id}, not 0, the connection's"
                )
        elif not call_id and kind != FAULT:
            raise ProtocolError(f"a frame of {described(word)} has call id 0, the connection's")
        return kind

    def _take(
        self, kind: int, word: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        if kind != IGNORED:
            self._TAKERS[kind](self, word & 0xFF, call_id, payload, began, events)
