"""A channel for asyncio: many calls at once over one connection.

Connections belong to event loops, so a channel has one for each loop that calls; nothing is shared
between them but the table of which is whose. A call is sent a second time only if it certainly did
not run. Generated modules name this class: what calls need is loaded when a channel is made.
"""

from __future__ import annotations

import typing
from time import monotonic

from rpcgen.runtime.address import Address
from rpcgen.runtime.errors import (
    CallError,
    DeadlineExceeded,
    FaultCode,
    RemoteException,
    RemoteFault,
    Unavailable,
)
from rpcgen.runtime.options import checked_timeout, current_deadline
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits

if typing.TYPE_CHECKING:
    import asyncio
    import types

    from rpcgen.runtime.aio.link import Link
    from rpcgen.runtime.stubs import MessageProtocol
    from rpcgen.runtime.wire.frames import Buffer
    from rpcgen.runtime.wire.plain import MethodCodec

_COPIED = 4096
"""Bytes of a message up to which taking a part of it by copying is quicker than by a view."""


class AsyncChannel:
    """Calls one server, from asyncio. Give it to a stub: ``AsyncClientStub(AsyncChannel(host, port))``.

    All calls share one connection, made on the first call, and again after it broke. The server must
    speak framed messages, as this project's do. Where several event loops run in several threads, they may
    share a channel: each has a connection to itself. Close it in a loop that it was used in.

    Args:
        host: A name, an IPv4 or IPv6 address, or ``unix:///path``.
        port: 1 to 65535; None with ``unix:///path``.
        timeout: Seconds that a call may take, connecting included, where neither the IDL
            (``@timeout``) nor ``rpc.with_options`` says otherwise. None waits for ever.
        limits: What is accepted in replies, and sent in calls.

    Raises:
        ValueError: Host and port name no address, or an option is out of its range.
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        timeout: float | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        import asyncio

        from rpcgen.runtime.wire.hello import Terms, default_terms

        self.address = Address.of(host, port)
        self._peer = str(self.address)
        self._timeout = checked_timeout(timeout)
        self._limits = limits
        self._terms = default_terms() if limits is DEFAULT_LIMITS else Terms(limits)
        self._closed = False
        self._running_loop = asyncio.get_running_loop
        self._links: dict[asyncio.AbstractEventLoop, Link] = {}
        self._codecs: dict[type[MessageProtocol[typing.Any]], tuple[MethodCodec, str, int]] = {}

    async def call(
        self,
        protocol: type[MessageProtocol[typing.Any]],
        args: tuple[object, ...],
        timeout: float | None = None,
    ) -> typing.Any:
        """Calls a method; what stubs do. A task that is cancelled meanwhile tells the server so.

        Args:
            protocol: The method's.
            args: All of them, positionally; ``rpc.DEFAULT`` leaves one out.
            timeout: Seconds, instead of the IDL's and the channel's.

        Returns:
            What the method returned.

        Raises:
            EncodeError: An argument does not fit; nothing was sent.
            RemoteException: The method raised it.
            RemoteFault: The server refused or failed the call.
            Unavailable: The call was certainly not started.
            ConnectionLost, DeadlineExceeded, Cancelled: The call may have run, or be running.
            ProtocolError: The reply is not one.
            RuntimeError: No event loop is running.
        """
        # As in Channel.call, what a usual call passes is written out here.
        try:
            try:
                codec, name, begin = self._codecs[protocol]
            except KeyError:
                codec, name, begin = self._learn(protocol)
            message = codec.encode_call(args, self._limits)
            block: Buffer = message[begin:] if len(message) < _COPIED else memoryview(message)[begin:]
            end = current_deadline.get()
            if timeout is None:
                timeout = protocol.timeout
                if timeout is None:
                    timeout = self._timeout
            if timeout is not None:
                own = monotonic() + timeout
                if end is None or own < end:
                    end = own
            loop = self._running_loop()
            link = self._links.get(loop) or self._link(loop)
            while True:
                connection = link.connection
                is_old = connection is not None
                if connection is None or connection.is_stuck:
                    connection = await link.ready(end)
                if end is None:
                    call_id, future = connection.send(name, block, 0)
                    timer = None
                else:
                    wait = end - monotonic()
                    if wait <= 0:
                        raise DeadlineExceeded("the time was up before the call was sent; it has not run")
                    # Rounded up, and more than 49 days are no deadline that anybody waits for.
                    milliseconds = min(int(wait * 1000) + 1, 0xFFFFFFFF)
                    call_id, future = connection.send(name, block, milliseconds)
                    timer = loop.call_later(wait, connection.expire, call_id, future)
                try:
                    outcome = await future
                except BaseException:
                    connection.cancel(call_id)
                    raise
                finally:
                    if timer is not None:
                        timer.cancel()
                if is_old and isinstance(outcome, Unavailable) and not self._closed:
                    continue  # the server has left its old connections: another one may be in its place
                break
            if isinstance(outcome, CallError):
                result: typing.Any = self._told(outcome)
            else:
                kind = outcome[0]
                result = codec.decode_reply(outcome, self._limits)
                if kind == 1:
                    return result
        except CallError as error:
            error.method = protocol.name
            error.peer = self._peer
            raise
        # Outside of the handlers, and with no name of this frame for it, as in Channel.call.
        raised = [result]
        del result, outcome
        if isinstance(raised[0], RemoteException):
            raised[0].__notes__ = [f"raised by {protocol.name} at {self._peer}"]
        else:
            raised[0].method, raised[0].peer = protocol.name, self._peer
        raise raised.pop()

    def _told(self, error: CallError) -> CallError:
        """Gives what is raised for what the connection or the server said."""
        if isinstance(error, RemoteFault):
            if error.code is FaultCode.UNAVAILABLE:
                told: CallError = Unavailable(error.message)
            elif error.code is FaultCode.DEADLINE_EXCEEDED:
                told = DeadlineExceeded(error.message)
            else:
                return error
            told.__cause__ = error
            return told
        return error

    def _learn(self, protocol: type[MessageProtocol[typing.Any]]) -> tuple[MethodCodec, str, int]:
        """Gives a method's codec, its name, and where the arguments begin in a plain call."""
        made = (protocol.codec(), protocol.name, 8 + len(protocol.name.encode()))
        self._codecs[protocol] = made
        return made

    def _link(self, loop: asyncio.AbstractEventLoop) -> Link:
        from rpcgen.runtime.aio.link import Link

        if self._closed:
            raise Unavailable("the channel is closed; the call was not sent")
        for other in list(self._links):
            if other.is_closed():
                self._links.pop(other, None)
        made = self._links[loop] = Link(loop, self.address, self._terms)
        return made

    def retire(self) -> None:
        """Closes connections when their calls have ended; no call starts any more. From any thread."""
        self._closed = True
        for loop, link in list(self._links.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(link.retire)

    async def close(self) -> None:
        """Closes every connection; calls that run fail with ``Cancelled``. Again is harmless.

        Those of this loop are closed when it returns; other loops' soon afterwards.
        """
        self._closed = True
        here = self._running_loop()
        for loop, link in list(self._links.items()):
            if loop is not here and not loop.is_closed():
                loop.call_soon_threadsafe(link.break_off)
        if here in self._links:
            await self._links[here].close()

    async def __aenter__(self) -> typing.Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        await self.close()

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a channel cannot be pickled: give the other process its address")

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}asyncio channel to {self.address}>"
