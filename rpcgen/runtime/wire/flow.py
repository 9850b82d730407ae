"""The usual CALL and REPLY, out and in: the state that they touch, and flat ways through it.

Whatever is unusual about a call or a frame is left to the session, which has the rules of the protocol;
it gives the same bytes and events for the usual ones, too. ``_codec`` has these classes in C.
"""

from __future__ import annotations

import functools
import struct
import typing

from rpcgen.runtime.wire.choice import choice
from rpcgen.runtime.wire.events import Event
from rpcgen.runtime.wire.frames import CALL, HEAD, OVERHEAD, REPLY, pack_head, unpack_head

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.frames import Buffer, Metadata
    from rpcgen.runtime.wire.hello import CallHead
    from rpcgen.runtime.wire.tailed import Piece

_REPLY: typing.Final = REPLY << 8
_CALL: typing.Final = CALL << 8

_SHORTEST: typing.Final = HEAD + 5
"""Bytes of a CALL: with a name's length and the milliseconds."""


class Flow:
    """What the flat ways of either end read and write."""

    __slots__ = ("_calls", "_last", "_out", "_quick_in", "_quick_out", "_running")

    _calls: dict[int, typing.Any]
    """A client's: call id → caller, of all that are not answered."""
    _running: set[int]
    """A server's: those that run, and were not cancelled."""
    _last: int
    """The highest call id so far."""
    _out: list[Piece]
    """What is to be sent."""
    _quick_in: int
    """Lengths of the usual frame up to which the flat loop takes it; -1: none."""
    _quick_out: int
    """Payloads of fewer bytes need neither a look at the state nor at limits nor compression; -1: none."""


class ClientFlow(Flow):
    """A client's: calls out, replies in."""

    __slots__ = ()

    if typing.TYPE_CHECKING:
        _heads: dict[str, CallHead]

        def _head(self, name: str) -> CallHead: ...
        def _send_call(
            self,
            name: str,
            block: Buffer,
            milliseconds: int,
            metadata: Metadata | None,
            no_reply: bool,
            caller: typing.Any,
        ) -> int: ...

    def send_call(
        self,
        name: str,
        block: Buffer,
        milliseconds: int = 0,
        metadata: Metadata | None = None,
        *,
        no_reply: bool = False,
        caller: typing.Any = None,
    ) -> int:
        """Queues a call.

        Args:
            name: The method's, on the wire.
            block: The field block of its arguments.
            milliseconds: That are left (see ``milliseconds_left``); 0: no deadline.
            metadata: By name.
            no_reply: Of a ``oneway`` method. Nothing is heard of the call again.
            caller: What the event of its reply gives back.

        Returns:
            The call's id, for ``cancel``.

        Raises:
            Unavailable: Calls are taken no more: go elsewhere.
            EncodeError: The call or its metadata is too large, or the name longer than 255 bytes.
            ValueError: The milliseconds are none.
        """
        if metadata is None and not no_reply and len(block) < self._quick_out:
            call_id = self._last + 1
            try:
                pack, prefix, size = self._heads.get(name) or self._head(name)
                head = pack(size + len(block), _CALL, call_id, prefix, milliseconds)
            except struct.error:
                pass
            else:
                self._out.append(head + block)
                self._calls[call_id] = caller
                self._last = call_id
                return call_id
        return self._send_call(name, block, milliseconds, metadata, no_reply, caller)

    def _take_replies(self, data: bytes, pos: int, events: list[Event], gone: object) -> int:
        """Takes the usual REPLYs at a place; gives where the first frame begins that is none.

        Args:
            data: Frames, the last one perhaps not whole.
            pos: Where to begin.
            events: To be added to.
            gone: The caller for whose reply there is no event.
        """
        size, quick, calls = len(data), self._quick_in, self._calls
        while pos < size - HEAD:
            length, word, call_id = unpack_head(data, pos)
            end = pos + 4 + length
            if word != _REPLY or not OVERHEAD < length <= quick or end > size or not data[pos + HEAD]:
                break
            try:
                caller = calls.pop(call_id)
            except KeyError:
                break
            if caller is not gone:
                events.append((REPLY, caller, data[pos + HEAD : end], None))
            pos = end
        return pos


class ServerFlow(Flow):
    """A server's: calls in, replies out."""

    __slots__ = ()

    if typing.TYPE_CHECKING:

        def _send_reply(self, call_id: int, reply: Buffer, metadata: Metadata | None) -> None: ...

    def send_reply(self, call_id: int, reply: Buffer, metadata: Metadata | None = None) -> None:
        """Queues the answer to a call.

        Args:
            call_id: Of a CALL event that has not been answered.
            reply: A plain reply; one of kind 0 goes out as a FAULT. What is larger than the client
                accepts is answered RESOURCE_EXHAUSTED.
            metadata: By name.

        Raises:
            LookupError: The call is not running. After the session's end nothing is raised or done.
            EncodeError: The metadata is none, or too large; the call is still to be answered.
        """
        size = len(reply)
        if metadata is None and 0 < size < self._quick_out and reply[0] and call_id in self._running:
            self._running.remove(call_id)
            self._out.append(pack_head(size + OVERHEAD, _REPLY, call_id) + reply)
        else:
            self._send_reply(call_id, reply, metadata)

    def _take_calls(
        self, data: bytes, pos: int, events: list[Event], first: float, now: float, room: int
    ) -> int:
        """Takes the usual CALLs at a place; gives where the first frame begins that is none.

        Args:
            data: Frames, the last one perhaps not whole.
            pos: Where to begin.
            events: To be added to.
            first: When the first byte of data came.
            now: When those of later frames came.
            room: Calls that are taken at most.
        """
        size, quick, layouts = len(data), self._quick_in, _layouts()
        while room and pos <= size - _SHORTEST:
            name_size = data[pos + HEAD]
            begin = pos + _SHORTEST + name_size
            if begin > size:
                break
            length, word, call_id, name, milliseconds = layouts[name_size](data, pos)
            end = pos + 4 + length
            if word != _CALL or length > quick or end > size or begin > end or call_id <= self._last:
                break
            try:
                name = name.decode()
            except UnicodeDecodeError:
                break
            deadline = (now if pos else first) + milliseconds / 1000 if milliseconds else None
            events.append((CALL, call_id, name, deadline, data[begin:end], None, False))
            self._running.add(call_id)
            self._last = call_id
            room -= 1
            pos = end
        return pos


@functools.cache
def _layouts() -> list[collections.abc.Callable[..., tuple[int, int, int, typing.Any, int]]]:
    """Gives what reads a CALL's head, name and milliseconds at once, for each length of a name."""
    return [struct.Struct(f">IHIx{size}sI").unpack_from for size in range(256)]


if not typing.TYPE_CHECKING and choice().native:
    from rpcgen.runtime.wire import _codec

    Flow, ClientFlow, ServerFlow = _codec.Flow, _codec.ClientFlow, _codec.ServerFlow
