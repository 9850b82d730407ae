"""The server's end of a framed connection: calls out, each answered once, in whatever order.

The shell finds out by the first byte whether a connection is framed (``FIRST_BYTE``), and gives
``receive`` everything from that byte on.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import EncodeError, FaultCode, ProtocolError
from rpcgen.runtime.wire.events import Event
from rpcgen.runtime.wire.flow import ServerFlow
from rpcgen.runtime.wire.frames import (
    CALL,
    CANCEL,
    FAULT,
    GOAWAY,
    HEAD,
    HELLO,
    MAGIC,
    NO_REPLY,
    OVERHEAD,
    PING,
    PONG,
    PREFACE,
    REPLY,
    encode_fault,
    plain_fault,
    u32,
    unpack_head,
)
from rpcgen.runtime.wire.session import Session
from rpcgen.runtime.wire.states import OPENED, RECEIVED, SENT, Side, State
from rpcgen.runtime.wire.tailed import pieces

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.frames import Buffer, Metadata
    from rpcgen.runtime.wire.hello import Terms


class ServerSession(ServerFlow, Session):
    """See ``Session`` for a shell's duties.

    Every CALL event that wants a reply is answered exactly once, by ``send_reply`` or ``send_fault``, after
    a CANCEL too. Calls beyond ``Terms.calls`` are refused in here; a shell that wants the client to wait
    instead stops receiving earlier.

    Args:
        terms: What this end accepts, says and does.
    """

    __slots__ = ("_cancelled", "identity")

    side = Side.SERVER
    _QUICK_IN = frozenset((State.OPEN,))
    _USUAL = REPLY

    def __init__(self, terms: Terms | None = None) -> None:
        self._running = set()
        self._cancelled: set[int] | None = None
        """Those that run, but for which nobody waits."""
        self.identity = ""
        """Who the client is, as ``Terms.check`` has found; known once HELLO has come."""
        super().__init__(terms)

    def _send_reply(self, call_id: int, reply: Buffer, metadata: Metadata | None) -> None:
        """Does what ``send_reply`` does, for any reply."""
        try:
            self._running.remove(call_id)
        except KeyError:
            if self._not_running(call_id):
                return
        size = len(reply)
        answer: Buffer
        if not reply[0]:
            fault = plain_fault(reply)
            kind, answer = FAULT, encode_fault(fault.code, fault.message)
        elif size + OVERHEAD + (self.terms.limits.metadata if metadata else 0) > self._peer_largest:
            problem = f"a reply of {size} bytes; the client accepts {self._peer_largest - OVERHEAD}"
            kind, answer = FAULT, encode_fault(FaultCode.RESOURCE_EXHAUSTED, problem)
        else:
            kind, answer = REPLY, reply
        self._answer(kind, call_id, answer, metadata)

    def send_fault(
        self,
        call_id: int,
        code: FaultCode,
        message: str,
        details: collections.abc.Mapping[str, str] | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        """Queues the answer to a call that failed.

        Args:
            call_id: Of a CALL event that has not been answered.
            code: Why.
            message: For people.
            details: For programs, by name; left out where they would make the frame too large.
            metadata: By name.

        Raises:
            LookupError, EncodeError: As ``send_reply``.
        """
        if call_id in self._running:
            self._running.remove(call_id)
        elif self._not_running(call_id):
            return
        self._answer(FAULT, call_id, encode_fault(code, message, details), metadata)

    def goaway(self, reason: str = "", last: int | None = None) -> list[Event]:
        """Tells the client that calls are taken no more. Those up to ``last`` are answered still; then ``is_finished``.

        Args:
            reason: For people.
            last: No call above it has been or will be started, and none is to be answered; None: the
                last one that has come. It may go down when said again, never up.

        Returns:
            ENDED where no call has been taken yet: the client is refused as a whole, with UNAVAILABLE.

        Raises:
            ValueError: ``last`` is above an earlier one.
        """
        if self.state in (State.PREFACE, State.GREETING):
            return self.refuse(FaultCode.UNAVAILABLE, reason or "the server is closing")
        if GOAWAY not in SENT[self.state]:
            return []
        if last is None:
            last = min(self._last, self._goaway_sent)
        if last > self._goaway_sent:
            raise ValueError(f"a GOAWAY up to call {last}, after one up to {self._goaway_sent}")
        self._send_goaway(last, reason)
        for calls in (self._running, self._cancelled or set()):
            calls.difference_update([call_id for call_id in calls if call_id > last])
        return []

    @property
    def usual(self) -> tuple[int, int, int] | None:
        """What a shell must know that reads usual CALLs by itself, where nothing is half received or unsent.

        Returns:
            The highest call id so far, the greatest length of a CALL without flags that need not be looked
            at here, and the least size of a reply that must; None: everything is to come here. Afterwards
            ``took`` brings the session into step.
        """
        if self._pending or self._out or self._quick_in < 0:
            return None
        return self._last, self.terms.longest, self._most_out

    def took(self, call_id: int, *, is_answered: bool) -> None:
        """Takes note of usual CALLs, up to this id, that the shell has read by itself since ``usual``.

        Args:
            call_id: Of the last one.
            is_answered: If not, the last one is still to be answered here; those before it are.
        """
        self._last = call_id
        if not is_answered:
            self._running.add(call_id)

    @property
    def running(self) -> int:
        return len(self._running) + len(self._cancelled or ())

    def _answer(self, kind: int, call_id: int, payload: Buffer, metadata: Metadata | None) -> None:
        """Queues the answer to a call that has been taken off those that run."""
        try:
            self._send(kind, 0, call_id, pieces(payload), metadata)
        except EncodeError:
            self._running.add(call_id)
            raise

    def _not_running(self, call_id: int) -> bool:
        """Takes a call off those that are cancelled; says whether there is nobody to answer any more."""
        if self._cancelled and call_id in self._cancelled:
            self._cancelled.remove(call_id)
            return False
        if self.is_closed:
            return True
        raise LookupError(
            f"call {call_id} is not running: it was answered, or wants no answer, or never came"
        )

    def _opening(self, data: bytes) -> bytes:
        start = data[: len(PREFACE)]
        if start[: len(MAGIC)] != MAGIC[: len(start)]:
            raise ProtocolError(f"the first bytes are {start.hex(' ')}, not those of framed messages")
        if len(start) < len(PREFACE):
            self._rest, self._pending = data, True
            return b""
        if start != PREFACE:
            self._out.append(PREFACE)
            raise ProtocolError(f"the client speaks version {start[-1]} of framed messages; this server 1")
        self._pending = False
        self._move(RECEIVED, OPENED)
        self._out.append(self.terms.hello)
        return data[len(PREFACE) :]

    def _frames(self, data: bytes, events: list[Event], first: float, now: float) -> int:
        size, pos = len(data), 0
        while True:
            pos = self._take_calls(data, pos, events, first, now, self.terms.calls - self.running)
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
        check = self.terms.check
        if check is None:
            return
        assert self.peer is not None
        cause: Exception | None = None
        try:
            self.identity = check(self.peer)
            return
        except PermissionError as error:
            if error.errno is None:
                problem = str(error) or "the credentials are not accepted"
            else:  # the check's own trouble with a file, whose name is not for clients
                problem, cause = "the credentials could not be checked", error
        except Exception as error:
            problem, cause = "the credentials could not be checked", error
        refused = ProtocolError(f"refused the client: {problem}")
        refused.__cause__ = cause
        events[-1] = self._break(refused, FaultCode.UNAUTHENTICATED, problem)

    def _take_call(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        if call_id <= self._last:
            raise ProtocolError(f"a CALL with id {call_id} after one with {self._last}: ids rise")
        self._last = call_id
        no_reply = bool(flags & NO_REPLY)
        content, metadata, too_much = self._content(flags, payload)
        if too_much:
            self._exhausted(call_id, no_reply, too_much)
            return
        name = content[0] if content else 0
        block = content[5 + name :]
        if len(content) < 5 + name or name > self.terms.limits.name:
            raise ProtocolError(f"call {call_id} is cut short, or its name of {name} bytes too long")
        try:
            method = str(content[1 : 1 + name], "utf-8")
        except UnicodeDecodeError:
            raise ProtocolError(f"the method's name of call {call_id} is not UTF-8") from None
        if call_id > self._goaway_sent:
            return  # as GOAWAY has said
        limit = self.terms.limits.message
        if len(block) > limit:
            self._exhausted(call_id, no_reply, f"a call of {len(block)} bytes; the limit is {limit}")
            return
        if not no_reply and self.running >= self.terms.calls:
            problem = f"more than {self.terms.calls} calls at once"
            self._send(FAULT, 0, call_id, [encode_fault(FaultCode.UNAVAILABLE, problem)])
            return
        (milliseconds,) = u32(content[1 + name : 5 + name])
        deadline = began + milliseconds / 1000 if milliseconds else None
        if not no_reply:
            self._running.add(call_id)
        events.append((CALL, call_id, method, deadline, block, metadata, no_reply))

    def _exhausted(self, call_id: int, no_reply: bool, problem: str) -> None:
        """Refuses a call that is too large, unless GOAWAY has done so."""
        if not no_reply and call_id <= self._goaway_sent:
            self._send(FAULT, 0, call_id, [encode_fault(FaultCode.RESOURCE_EXHAUSTED, problem)])

    def _take_cancel(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        if len(payload):
            raise ProtocolError(f"a CANCEL of {len(payload)} bytes; it has none")
        if call_id > self._last:
            raise ProtocolError(f"a CANCEL of call {call_id}, which never came")
        if call_id in self._running:
            self._running.remove(call_id)
            if self._cancelled is None:
                self._cancelled = set()
            self._cancelled.add(call_id)
            events.append((CANCEL, call_id))

    def _take_fault(
        self, flags: int, call_id: int, payload: Buffer, began: float, events: list[Event]
    ) -> None:
        if call_id:
            raise ProtocolError(f"a FAULT for call {call_id}, from a client")
        self._take_last_word(flags, payload, events)

    def _calls_left(self) -> tuple[list[typing.Any], list[typing.Any]]:
        left = sorted(self._running | (self._cancelled or set()))
        self._running.clear()
        self._cancelled = None
        return left, []

    def _nothing_came(self) -> str:
        return "the client ended the connection before its HELLO"

    _TAKERS: typing.ClassVar = {
        HELLO: _take_hello,
        CALL: _take_call,
        FAULT: _take_fault,
        CANCEL: _take_cancel,
        PING: Session._take_ping,
        PONG: Session._take_pong,
        GOAWAY: Session._take_goaway,
    }
