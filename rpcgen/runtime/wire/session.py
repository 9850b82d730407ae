"""One end of a framed connection as a state machine: bytes in, events out; calls in, bytes out.

There is no socket, thread or clock in it; a shell moves the bytes. Its duties, at either end:

* Give ``receive`` what comes, and ``now`` on one clock; then do what its events say, and send
  what ``data_to_send`` gives before waiting for anything: before a handler too.
* After anything that sends, ``data_to_send`` has it; asked once for many, they go in one write.
* Stop receiving while the peer does not take what is to be sent: see ``unsent``.
* ``end`` when the connection breaks, ``receive_end`` when the peer has ended it; close after ENDED.
* One thread at a time.

What is copied: data that is not ``bytes`` is copied at once, so a buffer may be used again when
``receive`` returns. Blocks and replies in events are own ``bytes``; those of frames above a few KiB
that came in parts are views of memory that nobody else has, or ``Tailed``. What is sent is joined if it
is small; 32 KiB and more are handed on as they are and must not be changed until they are sent.

The usual CALL and REPLY take a short way, out and in (``flow``). Every other frame goes through the
tables of ``states``, where an illegal one is found by one lookup.
"""

from __future__ import annotations

import collections
import typing

from rpcgen.runtime.errors import CallError, ConnectionLost, EncodeError, FaultCode, ProtocolError
from rpcgen.runtime.wire.compression import compressed, expanded
from rpcgen.runtime.wire.events import ENDED
from rpcgen.runtime.wire.frames import (
    COMPRESSED,
    FAULT,
    GOAWAY,
    HELLO,
    LAST_ID,
    METADATA,
    OVERHEAD,
    PING,
    PONG,
    SMALL,
    decode_fault,
    decode_goaway,
    decode_metadata,
    encode_fault,
    encode_goaway,
    encode_metadata,
    pack_head,
)
from rpcgen.runtime.wire.hello import Hello, Terms, decode_hello, default_terms
from rpcgen.runtime.wire.reader import FrameReader
from rpcgen.runtime.wire.states import BROKEN, RECEIVED, SENT, WORDS_RECEIVED, Side, State

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.compression import Algorithm
    from rpcgen.runtime.wire.events import Ended, Event
    from rpcgen.runtime.wire.frames import Buffer, Metadata
    from rpcgen.runtime.wire.tailed import Piece


JOINED: typing.Final = 32 * 1024
"""Payloads of fewer bytes are copied into one piece with their frame's head."""

PINGS: typing.Final = 60
"""That are answered in a minute."""


class Session(FrameReader):
    """What both ends have in common; use ``ClientSession`` or ``ServerSession``.

    Args:
        terms: What this end accepts, says and does.
    """

    __slots__ = (
        "_algorithm",
        "_big",
        "_goaway_received",
        "_goaway_sent",
        "_most_out",
        "_peer_largest",
        "_pings",
        "_pings_answered",
        "_pings_over",
        "_pings_sent",
        "peer",
        "terms",
    )

    _QUICK_IN: typing.ClassVar[frozenset[State]]
    """The states in which the usual frame may come."""
    _USUAL: typing.ClassVar[int]
    """The kind of what this end sends usually."""

    def __init__(self, terms: Terms | None = None) -> None:
        super().__init__()
        self.terms = terms or default_terms()
        self.peer: Hello | None = None
        """What the peer has said of itself."""
        self._peer_largest = SMALL
        self._algorithm: Algorithm | None = None
        self._last = 0
        self._goaway_sent = self._goaway_received = LAST_ID
        self._out = []
        self._big = False
        """Something in ``_out`` is not to be joined."""
        self._pings: collections.deque[float] | None = None
        """When the last ones came."""
        self._pings_sent = self._pings_answered = self._pings_over = 0
        self._measure()

    def receive_end(self) -> list[Event]:
        """Takes the end of what the peer sends. Gives ENDED, without an error if nothing was under way."""
        if self._rest or self._frame is not None:
            return self.end(ConnectionLost("the peer ended the connection inside a frame"))
        if self.peer is None:
            return self.end(ConnectionLost(self._nothing_came()))
        return self.end(ConnectionLost("the peer ended the connection") if self.running else None)

    def end(self, error: CallError | None = None) -> list[Event]:
        """Ends the session without a word to the peer; the connection is closed or lost.

        Args:
            error: Why; ENDED has it.

        Returns:
            ENDED; nothing if it has come before.
        """
        return [] if self.is_closed else [self._end(error)]

    # Sending

    def data_to_send(self) -> list[Piece]:
        """Gives what is to be sent, in order, and forgets it: one piece unless there are large payloads."""
        out = self._out
        if not out:
            return out
        self._out = []
        if not self._big:
            return [b"".join(out)] if len(out) > 1 else out
        self._big = False
        joined: list[Piece] = []
        begin = 0
        for place, piece in enumerate(out):
            if len(piece) >= JOINED:
                if begin < place:
                    joined.append(b"".join(out[begin:place]))
                joined.append(piece)
                begin = place + 1
        if begin < len(out):
            joined.append(b"".join(out[begin:]))
        return joined

    def ping(self) -> bytes | None:
        """Asks the peer for a PONG; at most one a second, or it says GOAWAY.

        Returns:
            The 8 bytes that it will have; None where nothing can be asked: before HELLO, after the end.
        """
        if PING not in SENT[self.state]:
            return None
        self._pings_sent += 1
        data = self._pings_sent.to_bytes(8, "big")
        self._send(PING, 0, 0, [data])
        return data

    def refuse(self, code: FaultCode, message: str) -> list[Event]:
        """Tells the peer why, and ends the session; for a server that is full, say.

        Args:
            code: UNAVAILABLE and UNAUTHENTICATED say that no call was started.
            message: For people.

        Returns:
            ENDED; nothing if it has come before.

        Raises:
            ValueError: The code is one of those, but calls may have been started.
        """
        if code in (FaultCode.UNAVAILABLE, FaultCode.UNAUTHENTICATED) and self._last:
            raise ValueError(f"{code.name} says that no call was started, but some may have been")
        if self.is_closed:
            return []
        return [self._break(ConnectionLost(f"refused: {message}"), code, message)]

    @property
    def unsent(self) -> int:
        """Bytes that ``data_to_send`` would give. Receiving makes at most three times as many as came."""
        return sum(map(len, self._out))

    @property
    def running(self) -> int:
        """Calls that are not answered; cancelled ones too."""
        raise NotImplementedError

    @property
    def is_finished(self) -> bool:
        """Whether an end has said GOAWAY and every call is answered and sent: nothing is lost by closing now."""
        draining = self.state in (State.DRAINING, State.LEAVING, State.PARTING)
        return draining and not self.running and not self._out

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.state.value}, {self.running} calls>"

    def _calls_left(self) -> tuple[list[typing.Any], list[typing.Any]]:
        """Forgets all calls; gives those that may have run and those that have not."""
        raise NotImplementedError

    def _nothing_came(self) -> str:
        raise NotImplementedError

    def _content(self, flags: int, payload: Buffer) -> tuple[Buffer, dict[str, bytes] | None, str]:
        """Expands a payload and takes its metadata off; or gives why that is too much, and nothing else."""
        if flags & COMPRESSED:
            payload = expanded(payload, self._largest - OVERHEAD)
        if not flags & METADATA:
            return payload, None, ""
        limit = self.terms.limits.metadata
        metadata, begin = decode_metadata(payload, limit)
        if begin > limit:
            return b"", None, f"metadata of {begin} bytes or more; the limit is {limit}"
        return payload[begin:], metadata, ""

    # Frames that either end may get

    def _take_hello(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        self.peer = decode_hello(payload)
        self._largest = self.terms.largest
        self._peer_largest = self.peer.largest
        self._algorithm = self.terms.algorithm(self.peer)
        self._move(RECEIVED, HELLO)
        events.append((HELLO, self.peer))

    def _take_ping(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        self._check_eight(payload, "PING")
        times = self._pings
        if times is None:
            times = self._pings = collections.deque(maxlen=PINGS)
        if len(times) == PINGS and began - times[0] < 60:
            self._pings_over += 1
            if self._pings_over > PINGS:
                raise ProtocolError(f"over {PINGS} PINGs in a minute, and as many after GOAWAY")
            if self._goaway_sent == LAST_ID:
                self._send_goaway(
                    self._last if self.side is Side.SERVER else 0, f"over {PINGS} PINGs in a minute"
                )
            return
        times.append(began)
        if PONG in SENT[self.state]:
            self._send(PONG, 0, 0, [bytes(payload)])

    def _take_pong(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        self._check_eight(payload, "PONG")
        data = bytes(payload)
        # They come in order, as PINGs are answered in order.
        if self._pings_answered == self._pings_sent or data != (self._pings_answered + 1).to_bytes(8, "big"):
            raise ProtocolError(f"a PONG that answers no PING: {data.hex()}")
        self._pings_answered += 1
        events.append((PONG, data))

    def _take_goaway(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        last, reason = decode_goaway(payload)
        if last > self._goaway_received:
            raise ProtocolError(f"a GOAWAY up to call {last}, after one up to {self._goaway_received}")
        self._goaway_received = last
        self._move(RECEIVED, GOAWAY)
        events.append((GOAWAY, last, reason, self._calls_above(last)))

    def _calls_above(self, last: int) -> list[typing.Any]:
        return []

    def _take_last_word(self, flags: int, payload: Buffer, events: list[Event]) -> None:
        """Takes a FAULT with call id 0."""
        content, _, too_much = self._content(flags, payload)
        if too_much:
            raise ProtocolError(too_much)
        fault = decode_fault(content)
        ended = self._end(fault)
        if fault.code in (FaultCode.UNAVAILABLE, FaultCode.UNAUTHENTICATED):
            ended = (ENDED, fault, [], ended[2] + ended[3])
        events.append(ended)

    def _check_eight(self, payload: Buffer, name: str) -> None:
        if len(payload) != 8:
            raise ProtocolError(f"a {name} of {len(payload)} bytes; it has 8")

    # Moves

    def _move(self, table: dict[State, dict[int, State]], kind: int) -> None:
        self.state = table[self.state][kind]
        self._words = WORDS_RECEIVED[self.side][self.state]
        self._measure()

    def _measure(self) -> None:
        """Finds out anew what needs no closer look."""
        self._quick_in = self.terms.quick if self.state in self._QUICK_IN else -1
        self._most_out = -1
        """As ``_quick_out``, of payloads that are not joined with their heads."""
        if self._USUAL in SENT[self.state]:
            self._most_out = self._peer_largest - OVERHEAD - 300
            if self._algorithm is not None:
                self._most_out = min(self._most_out, self.terms.compress_from - 300)
        self._quick_out = min(JOINED, self._most_out)

    def _send(
        self,
        kind: int,
        flags: int,
        call_id: int,
        parts: list[Piece],
        metadata: Metadata | None = None,
    ) -> None:
        """Queues a frame of any kind.

        Raises:
            EncodeError: It is larger than the peer accepts, or the metadata is none.
        """
        if metadata:
            parts.insert(0, encode_metadata(metadata, self.terms.limits.metadata))
            flags |= METADATA
        size = sum(map(len, parts))
        largest = LAST_ID if self.peer is None else self._peer_largest
        if size + OVERHEAD > largest:
            raise EncodeError(f"a message of {size} bytes; the peer accepts {largest - OVERHEAD}")
        if self._algorithm is not None and size >= self.terms.compress_from and kind <= FAULT:
            payload = b"".join(parts)
            smaller = compressed(self._algorithm, payload)
            if smaller is not None:
                flags |= COMPRESSED
            parts = [payload if smaller is None else smaller]
            size = len(parts[0])
        head = pack_head(size + OVERHEAD, kind << 8 | flags, call_id)
        self._queue([b"".join((head, *parts))] if size < JOINED else [head, *parts], size, call_id)

    def _queue(self, frame: list[Piece], size: int, call_id: int) -> None:
        self._out += frame
        self._big = self._big or len(frame) > 1

    def _send_goaway(self, last: int, reason: str) -> None:
        self._goaway_sent = last
        self._send(GOAWAY, 0, 0, [encode_goaway(last, reason)])
        self._move(SENT, GOAWAY)

    def _break(self, error: CallError, code: FaultCode, message: str | None = None) -> Ended:
        """Ends the session, telling the peer why if it can be told."""
        if BROKEN in SENT[self.state] and (self.side is Side.SERVER or self.peer is not None):
            payload = encode_fault(code, error.problem if message is None else message)
            self._out.append(pack_head(len(payload) + OVERHEAD, FAULT << 8, 0) + payload)
        return self._end(error)

    def _end(self, error: CallError | None) -> Ended:
        calls, not_started = self._calls_left()
        self.state = State.CLOSED
        self._words = WORDS_RECEIVED[self.side][self.state]
        self._forget()
        self._rest, self._pending = b"", True
        self._measure()
        return (ENDED, error, calls, not_started)
