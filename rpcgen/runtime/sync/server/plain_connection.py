"""A plain connection of a blocking server: one call at a time, answered in order, in one thread."""

from __future__ import annotations

import contextlib
import logging
import socket
import typing

from rpcgen.runtime.contexts import Context
from rpcgen.runtime.errors import FaultCode, ProtocolError
from rpcgen.runtime.sync.server.connection import (
    LATER_READ,
    TRICKLE,
    Connection,
    Next,
    certificate_of,
    entered,
)
from rpcgen.runtime.sync.turns import ROOM as _FIRST_READ, serve
from rpcgen.runtime.wire.plain import CallReader, encode_fault

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Dispatcher, Work
    from rpcgen.runtime.sync.server.connection import Socket
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.tailed import Message

_log = logging.getLogger("rpcgen")


class PlainConnection(Connection):
    """Calls of a client that speaks plain messages."""

    __slots__ = ("_call", "_is_refused", "_reader", "_unsent", "_work")

    def __init__(self, sock: Socket, peer: str, limits: Limits) -> None:
        super().__init__(sock, peer, limits)
        self.context = Context(peer, certificate=certificate_of(sock))
        self._reader = CallReader(limits)
        self._call: tuple[str, Data] | None = None
        """Received whole, not answered."""
        self._is_refused = False
        """The last word is said."""
        self._unsent: memoryview | None = None
        self._work: Work | None = None
        """The handler of a oneway call whose reply is half sent."""

    def serve(self, dispatcher: Dispatcher, waiting: collections.abc.Callable[[], int]) -> Next:
        try:
            with entered(self.context):
                return self._serve(dispatcher, waiting)
        except ProtocolError as error:
            self.warn(error.problem)
            self.refuse(error.problem, FaultCode.BAD_REQUEST)
        except OSError as error:
            _log.debug("lost the connection of %s: %s", self.peer, error)
        return Next.END

    def _serve(self, dispatcher: Dispatcher, waiting: collections.abc.Callable[[], int]) -> Next:
        reader, answers, context = self._reader, dispatcher.answers, self.context
        receive, send, fd = self.sock.recv, self.sock.send, self.sock.fileno()
        turn = serve if isinstance(self.sock, socket.socket) else None
        longest_name, longest = self.limits.name, self.limits.message
        if self._unsent is not None:
            stuck = self._send_rest()
            if stuck is not None:
                return stuck
            if reader.pending:  # calls that came behind the one whose reply took its time
                self._call = reader.next_call()
        size = _FIRST_READ
        call, self._call = self._call, None
        while True:
            while call is not None:
                answer = answers.get(call[0])
                if answer is not None:
                    reply, work = answer(call[1]), None
                else:
                    reply, work = dispatcher.rare(*call)
                try:
                    sent = send(reply)
                except BlockingIOError:
                    sent = 0
                stuck = self._sent(reply, sent, work)
                if stuck is not None:
                    return stuck
                if context.reply is not None:
                    self._forget_metadata()
                call = reader.next_call() if reader.pending else None
                if waiting() or not dispatcher.serving:
                    self._call = call
                    return self._wait_for_bytes() if call is None else Next.THREAD
            data: bytes | tuple[Message, int] | None
            if turn is not None and not reader.pending:
                data = turn(fd, answers, waiting, dispatcher, context, longest_name, longest)
            else:
                try:
                    data = receive(size)
                except BlockingIOError:
                    data = None
            if data is None:
                return self._wait_for_bytes()
            if isinstance(data, tuple):
                stuck = self._sent(*data, None)
                if stuck is not None:
                    return stuck
                if context.reply is not None:
                    self._forget_metadata()
                if waiting() or not dispatcher.serving:
                    return self._wait_for_bytes()
                continue
            if not data:
                return Next.END
            call = reader.take(data)
            if call is not None:
                self.began = None
                size = _FIRST_READ
            elif self.is_late("send a call"):
                return Next.END
            elif len(data) < TRICKLE:
                return Next.BYTES
            else:
                size = LATER_READ

    def turn_away(self, problem: str) -> Next:
        """Refuses the calls that have come, as a server does that is busy; waits for nothing."""
        try:
            data = self.sock.recv(LATER_READ, socket.MSG_DONTWAIT)
            if not data:
                return Next.END
            call = self._reader.take(data)
            while call is not None:
                self.began = None
                reply = encode_fault(FaultCode.UNAVAILABLE, problem)
                if self.sock.send(reply, socket.MSG_DONTWAIT) != len(reply):
                    return Next.END
                call = self._reader.next_call() if self._reader.pending else None
        except BlockingIOError:
            pass
        except ProtocolError as error:
            self.warn(error.problem)
            self.refuse(error.problem, FaultCode.BAD_REQUEST)
            return Next.END
        except OSError:
            return Next.END
        return self._wait_for_bytes()

    def _forget_metadata(self) -> None:
        if self.context.reply:
            _log.debug("a reply to %s loses its metadata: plain messages carry none", self.peer)
        self.context.reply = None

    def _wait_for_bytes(self) -> Next:
        if not self._reader.pending:
            self.began = None
        elif self.is_late("send a call"):
            return Next.END
        return Next.BYTES

    def _sent(self, reply: Message, sent: int, work: Work | None) -> Next | None:
        """Does what is left to do for a reply of which so many bytes were sent; None when that is done."""
        if sent != len(reply):
            self._unsent, self._work = memoryview(reply)[sent:], work
            return self._send_rest()
        if work is not None:
            work()
        return None

    def _send_rest(self) -> Next | None:
        """Sends what is left of a reply and runs what waits for that; None when that is done."""
        while self._unsent:
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                sent = 0
            self._unsent = self._unsent[sent:]
            if self._unsent:
                if self.is_late("take a reply"):
                    return Next.END
                if sent < TRICKLE:
                    return Next.ROOM
        self._unsent = None
        self.began = None
        work, self._work = self._work, None
        if work is not None:
            work()
        return None

    @property
    def is_sending(self) -> bool:
        return self._unsent is not None

    def refuse(self, problem: str, code: FaultCode) -> None:
        self._is_refused = True
        with contextlib.suppress(OSError):  # what cannot be told at once is left untold
            self.sock.send(encode_fault(code, problem), socket.MSG_DONTWAIT)

    def part(self) -> None:
        """See ``Connection``; a call that has come is refused first."""
        if self.is_sending:
            return  # what is not whole must not look so
        if not self._is_refused and self.peek():
            self.refuse("the server is closing; the call has not run", FaultCode.UNAVAILABLE)
        super().part()
