"""A channel over HTTP, for blocking programs: httpcore, the engine of httpx, on sockets of our own.

httpcore speaks HTTP and keeps the connections. The sockets are ours, because a call's time is one time for
all that it waits for, and a channel that is closed must end what other threads wait for: what httpx knows
are times for each receive.
"""

from __future__ import annotations

import os
import typing
from time import monotonic

from rpcgen.runtime.closing import Closing
from rpcgen.runtime.errors import CallError, Cancelled, ConnectionLost, Unavailable
from rpcgen.runtime.http.answer import Answer
from rpcgen.runtime.http.client import (
    CLOSED,
    CLOSED_MEANWHILE,
    KEPT,
    NEEDED,
    Requests,
    Turn,
    named,
    outcome,
    translated,
)
from rpcgen.runtime.http.target import Target, tls_of
from rpcgen.runtime.options import checked_timeout, end_of_call, receiving
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.http.client import Metadata, Protocol
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.tls import TLS

_INSIDE = -1
"""As a number of tries: the call is made inside its interceptors."""


class HttpChannel(Closing):
    """Calls one server over HTTP. Give it to a stub: ``ClientStub(rpc.connect("http://host:port/prefix"))``.

    Nothing is connected before the first call. Many threads may share a channel; each running call has a
    connection to itself, which is kept for the next one. After a fork, the child makes its own.

    Args:
        url: ``http://host:port/prefix`` or ``https://…``: what the application is mounted at.
        timeout: Seconds that a call may take, connecting included, where neither the IDL
            (``@timeout``) nor ``rpc.with_options`` says otherwise. None waits for ever.
        max_connections: Calls at once; further ones wait for their turn. None: no limit.
        limits: What is accepted in responses, and sent in calls.
        credentials: The access token, for ``Authorization: Bearer``.
        tls: ``rpc.TLS`` or an ``ssl.SSLContext``, for https; by default what the system trusts is trusted.
        interceptors: What is done around each call; see ``rpc.Interceptor``.
        compress: ``gzip`` or ``zstd`` to compress calls by, the best one first; replies may be, too, then.

    Raises:
        ValueError: The URL is none, or an option is out of its range.
        ImportError: httpx is not installed.
        OSError: A certificate cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float | None = None,
        max_connections: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        credentials: str = "",
        tls: TLS | ssl.SSLContext | bool | None = None,
        interceptors: collections.abc.Sequence[Interceptor] = (),
        compress: collections.abc.Sequence[str] = (),
    ) -> None:
        self._target = Target.parse(url)
        if max_connections is not None and max_connections < 1:
            raise ValueError(f"max_connections is at least 1, or None; not {max_connections!r}")
        self._requests = Requests(self._target, limits, credentials, compress)
        self._tls = tls_of(self._target, tls)
        self._interceptors = tuple(interceptors)
        self._timeout = checked_timeout(timeout)
        self._max_connections = max_connections
        self._limits = limits
        self._closed = False
        self._start()

    def _start(self) -> None:
        try:
            import httpcore
        except ModuleNotFoundError as error:
            raise ImportError(NEEDED) from error

        from rpcgen.runtime.http.network import Network

        self._process = os.getpid()
        self._network = Network(self._target.address, self._tls)
        self._pool = httpcore.ConnectionPool(
            max_connections=self._max_connections, keepalive_expiry=KEPT, network_backend=self._network
        )
        # TLS is the network's, and so the pool need not know of it.
        self._place = httpcore.URL(
            scheme=b"http",
            host=self._target.address.host.encode(),
            port=self._target.address.port,
            target=self._target.path,
        )

    def call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None = None,
        tries: int | None = None,
        metadata: Metadata | None = None,
    ) -> typing.Any:
        """Calls a method; what stubs do.

        Args:
            protocol: The method's.
            args: All of them, positionally; ``rpc.DEFAULT`` leaves one out.
            timeout: Seconds, instead of the IDL's and the channel's.
            tries: Means nothing here: one server is tried once.
            metadata: That goes with the call, by name.

        Returns:
            What the method returned.

        Raises:
            EncodeError: An argument does not fit; nothing was sent.
            RemoteException: The method raised it.
            RemoteFault: The server, or one in between, refused or failed the call.
            Unavailable: The call was certainly not started.
            ConnectionLost, DeadlineExceeded, Cancelled: The call may have run, or be running.
            ProtocolError: The response is no reply.
        """
        if self._interceptors and tries != _INSIDE:
            return self._call_through(protocol, args, timeout, metadata)
        try:
            codec = protocol.codec()
            message = codec.encode_call(args, self._limits)
            end = end_of_call(protocol, timeout, self._timeout, monotonic())
            if self._process != os.getpid():
                self._leave_to_parent()
            reply = self._reply(protocol, message, end, metadata)
            result = codec.decode_reply(reply, self._limits)
            if reply[0] == 1:
                return result
        except CallError as error:
            error.method, error.peer = protocol.name, self._target.url
            if self._closed and isinstance(error, ConnectionLost):
                raise Cancelled(CLOSED_MEANWHILE, method=error.method, peer=error.peer) from error
            raise
        # Outside of the handlers, and with no name of this frame for it: the traceback holds the frame.
        raised = outcome(result)
        del result
        named(raised, protocol, self._target.url)
        raise raised.pop()

    def _reply(
        self, protocol: Protocol, message: bytes, end: float | None, metadata: Metadata | None
    ) -> bytes:
        while True:
            turn = Turn(end, self._limits.receive_time)
            try:
                return self._exchange(message, metadata, turn)
            except (ConnectionLost, Unavailable) as error:
                if self._closed or not turn.may_repeat(error, protocol):
                    raise

    def _exchange(self, message: bytes, metadata: Metadata | None, turn: Turn) -> bytes:
        import httpcore

        headers, body = self._requests.make(message, metadata, turn)
        times = {"pool": turn.left() or None, "connect": turn, "write": turn, "read": turn}
        request = httpcore.Request(
            "POST", self._place, headers=headers, content=body, extensions={"timeout": times}
        )
        if self._closed:
            raise Unavailable(CLOSED)
        with translated(turn):
            response = self._pool.handle_request(request)
            try:
                answer = Answer(response.status, response.headers, self._limits)
                for piece in response.iter_stream():
                    if not answer.take(piece):
                        break
            finally:
                response.close()
        return answer.reply()

    def _call_through(
        self, protocol: Protocol, args: tuple[object, ...], timeout: float | None, metadata: Metadata | None
    ) -> typing.Any:
        from rpcgen.runtime.interceptors import client_call, through

        end = end_of_call(protocol, timeout, self._timeout, monotonic())
        call = client_call(protocol, args, end, metadata, self._target.url)

        def proceed() -> typing.Any:
            return self.call(protocol, call.args, call.remaining(), _INSIDE, call.metadata or None)

        with receiving(call.reply_metadata):
            return through(self._interceptors, call, proceed)

    def _leave_to_parent(self) -> None:
        """In a forked child: closes this process's copies of what the parent goes on using."""
        inherited = self._network
        self._start()
        inherited.abandon()

    def close(self) -> None:
        """Closes every connection; calls that run in other threads fail now. Again is harmless."""
        self._closed = True
        if self._process != os.getpid():
            self._leave_to_parent()
        # Closing the descriptor under a thread that waits on it would wake nobody.
        self._network.break_off()
        for connection in self._pool.connections:
            if connection.is_idle():
                connection.close()

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a channel cannot be pickled: give the other process its URL")

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}channel to {self._target.url}>"
