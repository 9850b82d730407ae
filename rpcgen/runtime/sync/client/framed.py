"""A connection of a channel in framed messages: one call at a time, one send and one receive.

The usual call needs no session: its frame goes out with an id and the time left, and its REPLY is taken
where it came alone. All else (the first call, metadata, oneway, what else a server may say) goes through
the session, which is brought into step first.
"""

from __future__ import annotations

import errno
import os
import socket
import typing
from time import monotonic

from rpcgen.runtime.errors import (
    CallError,
    ConnectionLost,
    ContractMismatch,
    DeadlineExceeded,
    DecodeError,
    EncodeError,
    RpcError,
    Unavailable,
)
from rpcgen.runtime.options import current_received
from rpcgen.runtime.sync.client.framed_line import HANDSHAKE, LATE, ONCE, FramedLine
from rpcgen.runtime.sync.client.line import FAULT, NOT_SENT, RETURNED, raised, refused_by_tls
from rpcgen.runtime.sync.turns import LONGEST_CALL, MORE, WOULD_BLOCK, call
from rpcgen.runtime.wire import events as wire, outcomes
from rpcgen.runtime.wire.frames import arguments_of, milliseconds_left

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.client.line import Metadata, Socket
    from rpcgen.runtime.wire.events import Event
    from rpcgen.runtime.wire.frames import Buffer
    from rpcgen.runtime.wire.hello import Terms
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.plain import MethodCodec
    from rpcgen.runtime.wire.tailed import Message

LOST = -1
"""As a kind of reply: the connection leaves or has ended, without one."""

_OLDER = 1.0
"""Seconds by which a connection's last call is put back: nobody trusts it without a look then."""


class FramedConnection(FramedLine):
    """A connection that has one call at a time. See ``Line``; calls are ``encode_frame``'s.

    Args:
        sock: Connected and blocking.
        terms: Of the channel.
    """

    __slots__ = ("_is_kept",)

    def __init__(self, sock: Socket, terms: Terms) -> None:
        super().__init__(sock, terms)
        self._longest = terms.longest
        self._is_kept = False
        """The call that has failed has left the connection in order."""

    def exchange(
        self,
        message: Message,
        codec: MethodCodec,
        limits: Limits,
        end: float | None,
        wait: float,
        metadata: Metadata | None,
        found: typing.Any = None,
    ) -> typing.Any:
        if found is None and len(message) <= self._usual and metadata is None and not codec.oneway:
            if wait != self._receive_wait:
                self._receive_within(wait)
            self._last += 1
            found = call(self._fd, message, self._last, wait, self._longest)
        if found is not None:
            if found.__class__ is not tuple:
                self.kind = found[0]
                return codec.decode_reply(found, limits)
            outcome = self._unusual(self._last, len(message), found, end)
        else:
            self._is_kept = False
            outcome = self._through_session(message, codec, end, metadata)
        if self.kind == RETURNED and not isinstance(outcome, CallError):
            if codec.oneway:
                return None
            self.kind = outcome[0]
            return codec.decode_reply(outcome, limits)
        if self.kind != FAULT:
            made = [typing.cast(CallError, outcome)]
            del outcome
            raised(made)
        return outcome

    def quiet(self) -> bool:
        if self.is_readable():
            self._bring_into_step()
            if not self._has_come() or not self._push_now():
                return False
            self._look_again()
        # A call that was cancelled is still to be answered: a server that does is there.
        return not self.leaves and not self.session.running

    def survives(self, error: RpcError) -> bool:
        return (
            self._is_kept or isinstance(error, EncodeError | DecodeError | ContractMismatch)
        ) and not self.leaves

    def _bring_into_step(self) -> None:
        if self._last:
            self.session.sent(self._last, is_answered=True)

    def _look_again(self) -> None:
        """Finds out anew what needs no session."""
        self._usual = -1 if self.leaves or self.is_tls else min(self.session.usual, LONGEST_CALL)

    def _unusual(self, call_id: int, size: int, found: typing.Any, end: float | None) -> Buffer | CallError:
        """Goes on with a call that the session does not know, and that had no usual reply."""
        sent, number, data = found
        self._is_kept = False
        self.session.sent(call_id, is_answered=False)
        if number == errno.EOVERFLOW:
            raise Unavailable("the connection has used up its call ids: the call was not sent")
        if sent != size:
            if number == 0 or number in WOULD_BLOCK:
                raise DeadlineExceeded(NOT_SENT)
            raise self._not_sent(OSError(number, os.strerror(number)))
        if number in WOULD_BLOCK:
            raise self._late(call_id)
        if number:
            outcome = self._heed(self.session.end(self._broken(OSError(number, os.strerror(number)))))
            assert outcome is not None
            return outcome
        self._arrived.append(data)
        return self._answer(call_id, end)

    def _through_session(
        self, frame: Message, codec: MethodCodec, end: float | None, metadata: Metadata | None
    ) -> Buffer | CallError:
        """Makes any call."""
        session = self.session
        self._bring_into_step()
        # Nothing is heard of a oneway call: what has come is looked at before.
        if codec.oneway and not self.fresh and not self.quiet():
            raise Unavailable("the server has closed the connection; the call was not sent")
        block = arguments_of(frame)
        left = milliseconds_left(None if end is None else end - monotonic())
        call_id = session.send_call(codec.name, block, left, metadata, no_reply=codec.oneway, caller=self)
        self._last = call_id
        self._hello_by = monotonic() + HANDSHAKE
        self.kind = RETURNED
        self._push(end)
        while session.is_held:
            # The call is larger than what a server takes before it has said what it takes.
            outcome = self._hear(call_id, end)
            if outcome is not None:
                return outcome
            self._push(end)
        if not codec.oneway:
            return self._answer(call_id, end)
        if session.peer is not None and len(frame) - 4 > session.peer.largest:
            raise EncodeError(f"a call of {len(frame)} bytes; the server accepts {session.peer.largest}")
        self._unheard = True
        self._look_again()
        return b""

    def _answer(self, call_id: int, end: float | None) -> Buffer | CallError:
        """Gives what the call came to, from what was received and will be."""
        outcome = None
        while outcome is None:
            outcome = self._hear(call_id, end)
            if not self._push_now() and outcome is None:
                outcome = self._heed(self.session.end(ConnectionLost("the server does not read")))
        self._look_again()
        return outcome

    def _hear(self, call_id: int, end: float | None) -> Buffer | CallError | None:
        """Receives once; gives what the call has come to, if it has."""
        try:
            self._receive(end)
        except DeadlineExceeded:
            raise self._late(call_id) from None
        except (ConnectionLost, Unavailable) as error:
            return self._heed(self.session.end(error))
        return self._heed(self._take())

    def _heed(self, events: list[Event]) -> Buffer | CallError | None:
        """Gives what the call has come to, if it has; ``kind`` tells whether it is RETURNED, FAULT or lost."""
        outcome: Buffer | CallError | None = None
        metadata = None
        for event in events:
            if event[0] == wire.REPLY:
                _, _, outcome, metadata = event
                self.kind = RETURNED
                self._unheard = False
            elif event[0] == wire.FAULT:
                outcome, metadata = outcomes.told(event[2]), event[3]
                self.kind = FAULT
                self._unheard = False
            elif event[0] == wire.HELLO:
                self._heard(event[1])
            elif event[0] == wire.GOAWAY:
                self.leaves = True
                if event[3]:
                    outcome, self.kind = outcomes.left_behind(event[2]), LOST
            elif event[0] == wire.ENDED:
                self.leaves = True
                if event[2]:
                    outcome, self.kind = outcomes.lost(event[1]), LOST
                elif event[3]:
                    outcome, self.kind = outcomes.not_started(event[1]), LOST
        if self.leaves:
            self.used = 0.0
        if metadata:
            received = current_received.get()
            if received is not None:
                received.update(metadata)
        return outcome

    def _push(self, end: float | None) -> None:
        """Sends what there is to send.

        Raises:
            DeadlineExceeded, Unavailable: Not all was sent.
        """
        pieces = self.session.data_to_send()
        for place, piece in enumerate(pieces):
            more = 0 if place == len(pieces) - 1 else MORE
            try:
                if self._send_all(piece, end, more) != len(piece):
                    raise DeadlineExceeded(NOT_SENT)
            except OSError as error:
                raise self._not_sent(error) from error

    def _not_sent(self, error: OSError) -> CallError:
        """Gives why a call was not sent; the server's own words say more than a broken pipe."""
        try:
            self._arrived.append(self.sock.recv(ONCE[0], socket.MSG_DONTWAIT))
            found = self._heed(self._take())
        except OSError as failure:
            refusal = refused_by_tls(self.sock, failure) if self.session.peer is None else None
            found = Unavailable(f"the TLS handshake failed: {refusal}") if refusal else None
        if isinstance(found, CallError) and not isinstance(found, ConnectionLost):
            return found
        return Unavailable(f"the connection broke while the call was being sent: {error.strerror or error}")

    def _late(self, call_id: int) -> DeadlineExceeded:
        """Tells the server that nobody waits any more. The connection is of use again once it has answered."""
        self.session.cancel(call_id)
        self._is_kept = self._push_now()
        self._usual = -1
        self.used -= _OLDER
        return DeadlineExceeded(LATE[1])
