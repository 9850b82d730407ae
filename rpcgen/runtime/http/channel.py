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
from rpcgen.runtime.contracts import SIGNATURES, Describe
from rpcgen.runtime.errors import CallError, ConnectionLost, ProtocolError, RemoteFault, Unavailable
from rpcgen.runtime.http.answer import Answer
from rpcgen.runtime.http.client import CLOSED, HttpCaller, Turn, translated
from rpcgen.runtime.options import end_of_call, receiving
from rpcgen.runtime.sync.client.versions import ask_once, refuse

if typing.TYPE_CHECKING:
    from rpcgen.runtime.http.client import Metadata, Protocol


class HttpChannel(HttpCaller, Closing):
    """Calls one server over HTTP. Give it to a stub: ``ClientStub(rpc.connect("http://host:port/prefix"))``.

    Nothing is connected before the first call. Many threads may share a channel; each running call has a
    connection to itself, which is kept for the next one. After a fork, the child makes its own.

    Args:
        url: ``http://host:port/prefix`` or ``https://…``: what the application is mounted at.
        timeout, max_connections, limits, credentials, tls, interceptors, compress, contract: As ``HttpCaller`` has
            them.

    Raises:
        ValueError, ImportError, OSError: As there.
    """

    def _start(self) -> None:
        from rpcgen.runtime.http.network import Network

        self._process = os.getpid()
        self._network = Network(self._target.address, self._tls, self._most)

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
            ContractMismatch: The server has another version of the method; nothing was sent.
            RemoteException: The method raised it.
            RemoteFault: The server, or one in between, refused or failed the call.
            Unavailable: The call was certainly not started.
            ConnectionLost, DeadlineExceeded, Cancelled: The call may have run, or be running.
            ProtocolError: The response is no reply.
        """
        if not self._interceptors:
            return self._call(protocol, args, timeout, metadata)

        from rpcgen.runtime.interceptors import client_call, through

        end = end_of_call(protocol, timeout, self._timeout, monotonic())
        call = client_call(protocol, args, end, metadata, self._target.url)

        def proceed() -> typing.Any:
            return self._call(protocol, call.args, call.remaining(), call.metadata or None)

        with receiving(call.reply_metadata):
            return through(self._interceptors, call, proceed)

    def _call(
        self, protocol: Protocol, args: tuple[object, ...], timeout: float | None, metadata: Metadata | None
    ) -> typing.Any:
        try:
            message = protocol.codec().encode_call(args, self._limits)
            end = end_of_call(protocol, timeout, self._timeout, monotonic())
            if self._process != os.getpid():
                self._leave_to_parent()
            if protocol not in self._met:
                self._meet(protocol)
            contract = self._contract
            if contract is not None:
                ask_once(contract, lambda: self._ask(end), end)
                refuse(contract, protocol, self._target.url)
            return self._result(protocol, self._reply(protocol, message, end, metadata))
        except CallError as error:
            raise self._told(error, protocol)  # noqa: B904 (it is that error, or has it as its cause)

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
        request = self._request(message, metadata, turn)
        if self._closed:
            raise Unavailable(CLOSED)
        with translated(turn), self._network.connection(turn) as connection:
            response = connection.handle_request(request)
            try:
                answer = Answer(response.status, response.headers, self._limits)
                for piece in response.iter_stream():
                    if not answer.take(piece):
                        break
            finally:
                response.close()
        self._hear(answer.version)
        return answer.reply()

    def _ask(self, end: float | None) -> object:
        codec = Describe.codec()
        message = codec.encode_call((SIGNATURES,), self._limits)
        try:
            return codec.decode_reply(self._reply(Describe, message, end, None), self._limits)
        except (ProtocolError, RemoteFault):
            return None

    def _leave_to_parent(self) -> None:
        """In a forked child: closes this process's copies of what the parent goes on using."""
        inherited = self._network
        self._start()
        self._forget()
        inherited.abandon()

    def close(self) -> None:
        """Closes every connection; calls that run in other threads fail now. Again is harmless."""
        self._closed = True
        if self._process != os.getpid():
            self._leave_to_parent()
        self._network.break_off()

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}channel to {self._target.url}>"
