"""A channel for asyncio: many calls at once over one connection, or plain calls over a few.

Connections belong to event loops, so a channel has its own for each loop that calls; nothing is shared
between them but the table of which is whose. A call is sent a second time only if it certainly did
not run. Generated modules name this class: what calls need is loaded when a channel is made.
"""

from __future__ import annotations

import contextlib
import os
import typing
from time import monotonic

from rpcgen.runtime.address import Address
from rpcgen.runtime.closing import AsyncClosing
from rpcgen.runtime.errors import (
    CallError,
    DeadlineExceeded,
    EncodeError,
    RemoteException,
    Unavailable,
)
from rpcgen.runtime.options import (
    checked_timeout,
    current_deadline,
    current_received,
    end_of_call,
    receiving,
)
from rpcgen.runtime.transport import is_plain
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits
from rpcgen.runtime.wire.outcomes import told

if typing.TYPE_CHECKING:
    import asyncio
    import collections.abc
    import ssl

    from rpcgen.runtime.aio.client.connection import Answer
    from rpcgen.runtime.aio.client.link import Link
    from rpcgen.runtime.aio.client.pool import Pool
    from rpcgen.runtime.contracts import Mode
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.stubs import MessageProtocol
    from rpcgen.runtime.tls import TLS
    from rpcgen.runtime.wire.plain import MethodCodec

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]
    Metadata: typing.TypeAlias = collections.abc.Mapping[str, bytes]
    Calling: typing.TypeAlias = collections.abc.Coroutine[typing.Any, typing.Any, typing.Any]

LEAST_KEEPALIVE = 1.0
"""Seconds: servers take leave of who sends more than one PING a second."""

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class AsyncChannel(AsyncClosing):
    """Calls one server, from asyncio. Give it to a stub: ``AsyncClientStub(AsyncChannel(host, port))``.

    All calls share one connection, made on the first call, and again after it broke. Where several event
    loops run in several threads, they may share a channel: each has a connection to itself. Close it in a
    loop that it was used in. After a fork, the child makes connections of its own, in a loop of its own.

    Args:
        host: A name, an IPv4 or IPv6 address, or ``unix:///path``.
        port: 1 to 65535; None with ``unix:///path``.
        timeout: Seconds that a call may take, connecting included, where neither the IDL
            (``@timeout``) nor ``rpc.with_options`` says otherwise. None waits for ever.
        limits: What is accepted in replies, and sent in calls.
        protocol: ``"plain"`` for a server that does not speak framed messages: each running call has a
            connection to itself then, and there is none of what follows but ``tls`` and ``interceptors``.
        credentials: Who this client is, for servers that ask.
        tls: ``rpc.TLS``, an ``ssl.SSLContext``, or True: what the system trusts is trusted.
        interceptors: What is done around each call; see ``rpc.Interceptor``.
        compress: Names of algorithms (gzip, zstd, lz4) to compress calls by, the best one first.
        keepalive: Seconds from 1 up that a server may be silent while calls run. Then it is asked whether it
            is there, and given as long again before they end as ``ConnectionLost``. None: that is not asked.
        contract: What becomes of a call that the server's version would misunderstand: see ``rpc.Channel``.

    Raises:
        ValueError: Host and port name no address, or an option is out of its range.
        OSError: A certificate cannot be read.
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        timeout: float | None = None,
        limits: Limits = DEFAULT_LIMITS,
        protocol: typing.Literal["framed", "plain"] = "framed",
        credentials: str = "",
        tls: TLS | ssl.SSLContext | bool | None = None,
        interceptors: collections.abc.Sequence[Interceptor] = (),
        compress: collections.abc.Sequence[str] = (),
        keepalive: float | None = None,
        contract: Mode = "check",
    ) -> None:
        import asyncio

        from rpcgen.runtime.aio.client.dial import Dial
        from rpcgen.runtime.aio.client.versions import AsyncVersions
        from rpcgen.runtime.tls import client_context

        self.address = Address.of(host, port)
        self._peer = str(self.address)
        self._timeout = checked_timeout(timeout)
        self._limits = limits
        self._is_plain = is_plain(protocol, credentials=credentials, compress=compress, keepalive=keepalive)
        if keepalive is not None and not keepalive >= LEAST_KEEPALIVE:
            raise ValueError(
                f"keepalive is a number of seconds from {LEAST_KEEPALIVE:g} up, not {keepalive!r}"
            )
        self._keepalive = keepalive
        self.versions = AsyncVersions(contract, self._peer, limits, credentials, compress)
        self._dial = Dial(self.address, client_context(tls))
        self._interceptors = tuple(interceptors)
        self._is_usual = not self._is_plain and not self._interceptors
        self._closed = False
        self._forks = _forks
        self._running_loop = asyncio.get_running_loop
        self._links: dict[asyncio.AbstractEventLoop, typing.Any] = {}
        """What each loop has here: a ``Link``, or a ``Pool`` where messages are plain."""
        self._codecs: dict[Protocol, tuple[MethodCodec, str, bool]] = {}

    def call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None = None,
        tries: int | None = None,
        metadata: Metadata | None = None,
    ) -> Calling:
        """Calls a method; what stubs do. A task that is cancelled meanwhile tells the server so.

        Args:
            protocol: The method's.
            args: All of them, positionally; ``rpc.DEFAULT`` leaves one out.
            timeout: Seconds, instead of the IDL's and the channel's.
            tries: Means nothing here: one server is tried once.
            metadata: That goes with the call, by name.

        Returns:
            What gives, awaited, what the method returned. A ``oneway`` call of framed messages waits for
            nothing: it is on its way.

        Raises:
            EncodeError: An argument does not fit; nothing was sent.
            ContractMismatch: The server has another version of the method; nothing was sent.
            RemoteException: The method raised it.
            RemoteFault: The server refused or failed the call.
            Unavailable: The call was certainly not started.
            ConnectionLost, DeadlineExceeded, Cancelled: The call may have run, or be running.
            ProtocolError: The reply is not one.
            RuntimeError: No event loop is running.
        """
        if self._is_usual:
            return self._call(protocol, args, timeout, metadata)
        return self._call_rarely(protocol, args, timeout, metadata)

    async def _call_rarely(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None,
        metadata: Metadata | None,
    ) -> typing.Any:
        """Calls inside of interceptors, or in plain messages."""
        do = self._call_plain if self._is_plain else self._call
        if not self._interceptors:
            return await do(protocol, args, timeout, metadata)

        from rpcgen.runtime.interceptors import client_call, through_async

        end = end_of_call(protocol, timeout, self._timeout, monotonic())
        call = client_call(protocol, args, end, metadata, self._peer)

        def proceed() -> Calling:
            return do(protocol, call.args, call.remaining(), call.metadata or None)

        with receiving(call.reply_metadata):
            return await through_async(self._interceptors, call, proceed)

    async def _call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None,
        metadata: Metadata | None,
    ) -> typing.Any:
        # As in Channel.call, what a usual call passes is written out here.
        try:
            try:
                codec, name, is_oneway = self._codecs[protocol]
            except KeyError:
                codec, name, is_oneway = self._learn(protocol)
            block = codec.encode_block(args, self._limits)
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
            link: Link = self._links.get(loop) or self._link(loop)
            while True:
                connection = link.connection
                is_old = connection is not None
                if connection is None or connection.is_stuck:
                    connection = await link.ready(end)
                if connection.contract is not None:
                    await self.versions.compare(connection, connection.contract, protocol, end)
                milliseconds = 0
                if end is not None:
                    wait = end - monotonic()
                    if wait <= 0:
                        raise DeadlineExceeded("the time was up before the call was sent; it has not run")
                    # Rounded up, and more than 49 days are no deadline that anybody waits for.
                    milliseconds = min(int(wait * 1000) + 1, 0xFFFFFFFF)
                try:
                    if is_oneway:
                        connection.send_oneway(name, block, milliseconds, metadata)
                        return None
                    call_id, future = connection.send(name, block, milliseconds, metadata)
                except Unavailable:
                    link.leave(connection)
                    if is_old:
                        continue  # it takes no more calls: another one does
                    raise
                timed = 0 if end is None else connection.deadlines.add(end, (call_id, future))
                try:
                    outcome = await future
                except BaseException:
                    connection.cancel(call_id)
                    raise
                finally:
                    if timed:
                        connection.deadlines.discard(timed)
                if outcome.__class__ is bytes:
                    break
                if isinstance(outcome, tuple):
                    outcome = _received(outcome)
                elif is_old and isinstance(outcome, Unavailable) and not self._closed:
                    continue  # the server has left its old connections: another one may be in its place
                break
            if isinstance(outcome, CallError):
                result: typing.Any = told(outcome)
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
        raise self._named(raised, protocol).pop()

    async def _call_plain(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None,
        metadata: Metadata | None,
    ) -> typing.Any:
        try:
            if metadata:
                raise EncodeError("plain messages carry no metadata; the call was not sent")
            codec = protocol.codec()
            message = codec.encode_call(args, self._limits)
            end = end_of_call(protocol, timeout, self._timeout, monotonic())
            loop = self._running_loop()
            pool: Pool = self._links.get(loop) or self._link(loop)
            kind, result = await pool.call(message, codec, end)
        except CallError as error:
            error.method = protocol.name
            error.peer = self._peer
            raise
        if kind == 1:
            return result
        raised = [told(result) if isinstance(result, CallError) else result]
        del result
        raise self._named(raised, protocol).pop()

    def _named(
        self, raised: list[CallError | RemoteException], protocol: Protocol
    ) -> list[CallError | RemoteException]:
        """Puts into what is raised where it comes from; no other name of a frame shall hold it."""
        if isinstance(raised[0], RemoteException):
            raised[0].__notes__ = [f"raised by {protocol.name} at {self._peer}"]
        else:
            raised[0].method, raised[0].peer = protocol.name, self._peer
        return raised

    def _learn(self, protocol: Protocol) -> tuple[MethodCodec, str, bool]:
        """Gives a method's codec, its name, and whether it is oneway."""
        self.versions.learn(
            protocol, [each for link in list(self._links.values()) for each in link.connections()]
        )
        made = (protocol.codec(), protocol.name, protocol.oneway)
        self._codecs[protocol] = made
        return made

    def _link(self, loop: asyncio.AbstractEventLoop) -> typing.Any:
        if self._forks != _forks:
            self._leave_to_parent()
        if self._closed:
            raise Unavailable("the channel is closed; the call was not sent")
        for other in list(self._links):
            if other.is_closed():
                self._links.pop(other, None)
        made = self._links[loop] = self._new_link(loop)
        if self._closed:
            made.retire()  # by another thread, just now
        return made

    def _new_link(self, loop: asyncio.AbstractEventLoop) -> Link | Pool:
        """Makes what a loop has here."""
        if self._is_plain:
            from rpcgen.runtime.aio.client.pool import Pool

            return Pool(loop, self._dial, self._limits)

        from rpcgen.runtime.aio.client.link import Link

        return Link(loop, self._dial, self.versions, self._keepalive)

    def _leave_to_parent(self) -> None:
        """In a forked child: closes this process's copies of what the parent goes on using."""
        self._forks = _forks
        inherited, self._links = self._links, {}
        for link in inherited.values():
            link.leave_to_parent()

    def retire(self) -> None:
        """Closes connections when their calls have ended; no call starts any more. From any thread."""
        self._closed = True
        if self._forks != _forks:
            self._leave_to_parent()
        for loop, link in list(self._links.items()):
            _tell(loop, link.retire)

    async def close(self) -> None:
        """Closes every connection; calls that run fail with ``Cancelled``. Again is harmless.

        Calls that are not answered have come to the server then, if it could be reached within 3 s. Connections
        of this loop are closed when this returns; other loops' soon afterwards.
        """
        self._closed = True
        if self._forks != _forks:
            self._leave_to_parent()
        here = self._running_loop()
        for loop, link in list(self._links.items()):
            if loop is not here:
                _tell(loop, link.end)
        if here in self._links:
            await self._links[here].close()

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a channel cannot be pickled: give the other process its address")

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}asyncio channel to {self.address}>"


def _received(outcome: tuple[Answer, dict[str, bytes]]) -> Answer:
    """Gives the outcome without its metadata, which goes where the caller wants it."""
    answer, metadata = outcome
    wanted = current_received.get()
    if wanted is not None:
        wanted.update(metadata)
    return answer


def _tell(loop: asyncio.AbstractEventLoop, do: collections.abc.Callable[[], None]) -> None:
    """Lets a loop, of any thread, do something soon; one that is closed has nothing to do it to."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(do)
