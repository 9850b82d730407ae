"""A channel: calls to one address over pooled connections.

Where the turns are in C, a call's usual course is, too. A call is sent a second time only if it certainly
did not run.
"""

from __future__ import annotations

import typing
from time import monotonic

from rpcgen.runtime.address import Address
from rpcgen.runtime.errors import (
    CallError,
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    EncodeError,
    FaultCode,
    RemoteException,
    RemoteFault,
    RpcError,
    Unavailable,
)
from rpcgen.runtime.options import checked_timeout, current_deadline
from rpcgen.runtime.sync.client.connector import Connector
from rpcgen.runtime.sync.client.line import FAULT, RETURNED
from rpcgen.runtime.sync.client.pool import FORKS, IDLE_TIME, TRUSTED, Pool
from rpcgen.runtime.sync.client.versions import Versions
from rpcgen.runtime.sync.turns import calls
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits
from rpcgen.runtime.wire.outcomes import told
from rpcgen.runtime.wire.plain import UNDECIDED

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl
    import threading

    from rpcgen.runtime.contracts import Mode
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.stubs import MessageProtocol
    from rpcgen.runtime.sync.client.line import Line, Metadata
    from rpcgen.runtime.sync.client.sharing import Shared
    from rpcgen.runtime.sync.turns import Route
    from rpcgen.runtime.tls import TLS
    from rpcgen.runtime.wire.plain import MethodCodec
    from rpcgen.runtime.wire.tailed import Message

    Begun: typing.TypeAlias = tuple[Line, Message, typing.Any, float, float | None, float]
    """A call that was sent: its connection, message, what came, when it began, its deadline, and the seconds until then."""

_INSIDE = -1
"""As a number of tries: the call is made inside its interceptors."""


class Channel(Pool):
    """Calls one server. Give it to a stub: ``ClientStub(Channel(host, port))``.

    Nothing is connected before the first call. Many threads may share a channel; each
    running call has a connection to itself. After a fork, the child makes its own.

    Args:
        host: A name, an IPv4 or IPv6 address, or ``unix:///path``.
        port: 1 to 65535; None with ``unix:///path``.
        timeout: Seconds that a call may take, connecting included, where neither the IDL
            (``@timeout``) nor ``rpc.with_options`` says otherwise. None waits for ever.
        max_connections: Calls at once; further ones wait for their turn. None: no limit.
        limits: What is accepted in replies, and sent in calls.
        protocol: ``"plain"`` for a server that does not speak framed messages; there are no metadata
            then, and none of ``credentials``, ``compress`` and ``multiplex``.
        credentials: Who this client is, for servers that ask.
        tls: ``rpc.TLS``, an ``ssl.SSLContext``, or True: what the system trusts is trusted.
        interceptors: What is done around each call; see ``rpc.Interceptor``.
        compress: Names of algorithms (gzip, zstd, lz4) to compress calls by, the best one first.
        multiplex: All threads' calls go over one connection, instead of one for each that runs.
        contract: What becomes of a call that the server's version of the method would misunderstand, as its
            HELLO and then its interface show: ``"check"``: it is refused with ``ContractMismatch``; ``"warn"``:
            it is logged, and made; ``"off"``: nobody looks. Plain messages have no HELLO.

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
        max_connections: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        protocol: typing.Literal["framed", "plain"] = "framed",
        credentials: str = "",
        tls: TLS | ssl.SSLContext | bool | None = None,
        interceptors: collections.abc.Sequence[Interceptor] = (),
        compress: collections.abc.Sequence[str] = (),
        multiplex: bool = False,
        contract: Mode = "check",
    ) -> None:
        self.address = Address.of(host, port)
        self._peer = str(self.address)
        if max_connections is not None and max_connections < 1:
            raise ValueError(f"max_connections is at least 1, or None; not {max_connections!r}")
        if max_connections is not None and multiplex:
            raise ValueError("max_connections with multiplex: there is one connection then")
        connector = Connector(
            self.address,
            limits=limits,
            protocol=protocol,
            credentials=credentials,
            tls=tls,
            compress=compress,
            multiplex=multiplex,
        )
        self._is_framed = connector.is_framed
        self._interceptors = tuple(interceptors)
        self._timeout = checked_timeout(timeout)
        self._max_connections = max_connections
        self._limits = limits
        self._codecs: dict[type[MessageProtocol[typing.Any]], MethodCodec] = {}
        super().__init__(connector, Versions(contract, connector, self._peer, limits))

    def _start(self) -> None:
        super()._start()
        self._turns: threading.Semaphore | None = None
        if self._max_connections is not None:
            import threading

            self._turns = threading.Semaphore(self._max_connections)
        self._routes: dict[type[MessageProtocol[typing.Any]], Route] = {}
        if calls is not None and not (self._shared or self._turns or self._interceptors):
            self._usual = calls(
                self._routes,
                self._idle,
                self._limits,
                UNDECIDED,
                current_deadline,
                FORKS,
                TRUSTED,
                IDLE_TIME,
                self._is_framed,
            )

    def call(
        self,
        protocol: type[MessageProtocol[typing.Any]],
        args: tuple[object, ...],
        timeout: float | None = None,
        tries: int | None = None,
        metadata: collections.abc.Mapping[str, bytes] | None = None,
    ) -> typing.Any:
        """Calls a method; what stubs do.

        Args:
            protocol: The method's.
            args: All of them, positionally; ``rpc.DEFAULT`` leaves one out.
            timeout: Seconds, instead of the IDL's and the channel's.
            tries: Means nothing here: one server is tried once.
            metadata: That goes with the call.

        Returns:
            What the method returned.

        Raises:
            EncodeError: An argument does not fit; nothing was sent.
            ContractMismatch: The server has another version of the method; nothing was sent.
            RemoteException: The method raised it.
            RemoteFault: The server refused or failed the call.
            Unavailable: The call was certainly not started.
            ConnectionLost, DeadlineExceeded, Cancelled: The call may have run, or be running.
            ProtocolError: The reply is not one.
        """
        if metadata is None and tries is None and self._usual is not None:
            return self._usual(self, protocol, args, timeout)
        return self._call(protocol, args, timeout, tries, metadata)

    def _call(
        self,
        protocol: type[MessageProtocol[typing.Any]],
        args: tuple[object, ...],
        timeout: float | None,
        tries: int | None,
        metadata: Metadata | None,
        begun: Begun | None = None,
    ) -> typing.Any:
        """Makes any call; or goes on with one that was sent, and has not ended as usual."""
        # Without the turns in C all calls come here: every function, branch and attribute on the way
        # of a usual one was measured. Hence no smaller functions, and codecs at hand.
        if self._interceptors and tries != _INSIDE:
            return self._call_through(protocol, args, timeout, metadata)
        found = None
        try:
            codec = self._codecs.get(protocol)
            if codec is None:
                codec = self._codecs[protocol] = self.versions.learn(protocol, self._open)
            if begun is not None:
                connection, message, found, now, end, wait = begun
            else:
                if self._is_framed:
                    message = codec.encode_frame(args, self._limits)
                elif metadata:
                    raise EncodeError("plain messages carry no metadata; the call was not sent")
                else:
                    message = codec.encode_plain(args, self._limits)
                now = monotonic()
                end = current_deadline.get()
                if timeout is None:
                    timeout = protocol.timeout
                    if timeout is None:
                        timeout = self._timeout
                if timeout is not None and (end is None or now + timeout < end):
                    end = now + timeout
                wait = 0.0
                if end is not None:
                    wait = end - now
                    if wait <= 0:
                        raise DeadlineExceeded("the time was up before the call was sent")
                if self._forks != FORKS[0]:
                    self._leave_to_parent()
                if self._usual is not None and protocol not in self._routes:
                    self._learn(protocol, codec)
            turns = self._turns
            if turns is not None:
                now, wait = self._take_turn(turns, end, wait)
            try:
                while True:
                    if self._shared is not None:
                        kind, result = self._share(self._shared, message, protocol, end, metadata)
                        if kind == RETURNED:
                            return result
                        break
                    come, found = found, None
                    if come is None:
                        try:
                            connection = self._idle.pop()
                        except IndexError:
                            connection, wait = self._connect(end)
                        else:
                            if now - connection.used > TRUSTED and not self._usable(connection, now):
                                self._drop(connection)
                                continue
                        connection.used = now
                    try:
                        if connection.contract is not None and come is None:
                            wait = self.versions.compare(connection, protocol, end)
                        result = connection.exchange(message, codec, self._limits, end, wait, metadata, come)
                    except Unavailable:
                        self._drop(connection)
                        if connection.fresh or self._closed:
                            raise
                        continue  # an old connection, closed by the server meanwhile: the call has not run
                    except RpcError as error:
                        if connection.survives(error) and not self._closed:
                            self._idle.append(connection)
                        else:
                            self._drop(connection)
                        raise
                    except BaseException:
                        self._drop(connection)
                        raise
                    kind = connection.kind
                    if (
                        kind == FAULT
                        and isinstance(result, RemoteFault)
                        and result.code is FaultCode.UNAVAILABLE
                    ):
                        # A server that is full says so unasked and closes; one that ends refuses old
                        # connections, and another may be in its place.
                        self._drop(connection)
                        if connection.fresh or self._closed:
                            raise Unavailable(result.message) from result
                        continue
                    connection.fresh = False
                    self._idle.append(connection)
                    if self._closed or len(self._idle) > 1:
                        self._tidy(now)
                    if kind == RETURNED:
                        return result
                    break
            finally:
                if turns is not None:
                    turns.release()
        except CallError as error:
            error.method = protocol.name
            error.peer = self._peer
            if self._breaks_off and isinstance(error, ConnectionLost):
                raise Cancelled(
                    "the channel was closed while the call was running", method=error.method, peer=error.peer
                ) from error
            raise
        # Outside of the handlers, each of which costs, and with no name of this frame for it: the
        # traceback holds the frame, and only the collector could end that circle.
        raised = [result]
        del result
        if isinstance(raised[0], RemoteException):
            # As add_note does to an exception that has just been made, in a third of the time.
            raised[0].__notes__ = [self._note(protocol)]
        else:
            raised[0] = told(raised[0])
            raised[0].method, raised[0].peer = protocol.name, self._peer
        raise raised.pop()

    def _learn(self, protocol: type[MessageProtocol[typing.Any]], codec: MethodCodec) -> None:
        """Has the method's further calls made in their usual course."""
        if codec.oneway:
            return
        encode, decode = (
            (codec.encode_frame, codec.decode_reply)
            if self._is_framed
            else (codec.encode_plain, codec.quick_reply)
        )
        seconds = self._timeout if protocol.timeout is None else protocol.timeout
        self._routes[protocol] = (encode, decode, seconds, self._note(protocol), codec.tail)

    def _note(self, protocol: type[MessageProtocol[typing.Any]]) -> str:
        """Gives what is noted on an exception that the method has raised."""
        return f"raised by {protocol.name} at {self._peer}"

    def _call_through(
        self,
        protocol: type[MessageProtocol[typing.Any]],
        args: tuple[object, ...],
        timeout: float | None,
        metadata: Metadata | None,
    ) -> typing.Any:
        from rpcgen.runtime.interceptors import client_call, through
        from rpcgen.runtime.options import end_of_call, receiving

        end = end_of_call(protocol, timeout, self._timeout, monotonic())
        call = client_call(protocol, args, end, metadata, self._peer)

        def proceed() -> typing.Any:
            with receiving(call.reply_metadata):
                return self.call(protocol, call.args, call.remaining(), _INSIDE, call.metadata or None)

        return through(self._interceptors, call, proceed)

    def _share(
        self,
        shared: Shared,
        message: Message,
        protocol: type[MessageProtocol[typing.Any]],
        end: float | None,
        metadata: Metadata | None,
    ) -> tuple[int, typing.Any]:
        """Makes a call over the connection that all share; gives the kind of its reply, and its result."""
        while True:
            connection = shared.take(self._connect, self._usable, end)
            try:
                if connection.contract is not None:
                    self.versions.compare(connection, protocol, end)
                return connection.answer(message, self._codecs[protocol], self._limits, end, metadata)
            except Unavailable:
                if connection.fresh or self._closed:
                    raise
            finally:
                if connection.leaves or len(self._open) > 1:
                    self._forget_closed()

    def _take_turn(self, turns: threading.Semaphore, end: float | None, wait: float) -> tuple[float, float]:
        """Waits while too many other calls run; gives the time then, and the seconds left (0: no deadline)."""
        if turns.acquire(timeout=wait or None):
            now = monotonic()
            if end is None or now < end:
                return now, 0.0 if end is None else end - now
            turns.release()
        raise DeadlineExceeded(
            f"{self._max_connections} other calls took all the time; the call was not sent"
        )

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a channel cannot be pickled: give the other process its address")

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}channel to {self.address}>"
