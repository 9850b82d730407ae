"""What both kinds of HTTP channels do alike: requests, the time of a call, errors of httpcore. No I/O here.

A call is one POST of a plain call message. What has become of it is noted on the way, so that an error says
whether it may have run, and what certainly has not is sent again.
"""

from __future__ import annotations

import contextlib
import math
import typing
from time import monotonic

from rpcgen.runtime.contracts import Contracts
from rpcgen.runtime.errors import (
    CallError,
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    RemoteException,
    Unavailable,
)
from rpcgen.runtime.http.answer import CODINGS
from rpcgen.runtime.http.metadata import metadata_headers
from rpcgen.runtime.http.target import Target, tls_of
from rpcgen.runtime.options import checked_timeout
from rpcgen.runtime.wire.codec import RETURNED
from rpcgen.runtime.wire.compression import BY_NAME, checked_names
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits
from rpcgen.runtime.wire.outcomes import MAYBE, told

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    import httpcore

    from rpcgen.runtime.contracts import Contract, Mode
    from rpcgen.runtime.http.metadata import Headers
    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.stubs import MessageProtocol
    from rpcgen.runtime.tls import TLS

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]
    Metadata: typing.TypeAlias = collections.abc.Mapping[str, bytes]

KEPT = 4.0
"""Seconds that an idle connection is kept: servers let go after 5 (uvicorn), or later."""

NO_TURN = "other calls took all the time; the call was not sent"
CLOSED = "the channel is closed; the call was not sent"

_WORTHWHILE = 1024
_AUTHORIZATION = "authorization"
_LONGEST_TIME = 999_999_999.0
_NOT_SENT = "the time was up before the call was sent; it has not run"


class Requests:
    """Makes the requests of a channel.

    Args:
        target: Where they go.
        limits: Of which ``metadata`` counts.
        credentials: An access token, for ``Authorization: Bearer``; ``""``: none.
        compress: Algorithms, the best one first.

    Raises:
        ValueError: An algorithm is not HTTP's, or not installed; or the token has characters that no header has.
    """

    def __init__(
        self, target: Target, limits: Limits, credentials: str, compress: collections.abc.Sequence[str]
    ) -> None:
        for name in checked_names(compress):
            if name not in CODINGS:
                raise ValueError(f"compression {name} is not HTTP's: there are {', '.join(CODINGS)}")
        if not (credentials.isascii() and credentials.isprintable()):
            raise ValueError("credentials go into a header: printable ASCII characters alone")
        self._metadata = limits.metadata
        self._coding = next(iter(compress), "")
        self._has_credentials = bool(credentials)
        self._always: Headers = [
            (b"host", target.host),
            (b"content-type", b"binary"),
            (b"user-agent", b"rpcgen"),
        ]
        if compress:
            self._always.append((b"accept-encoding", ", ".join(compress).encode()))
        if credentials:
            self._always.append((b"authorization", b"Bearer " + credentials.encode()))

    def make(self, message: bytes, metadata: Metadata | None, turn: Turn) -> tuple[Headers, bytes]:
        """Gives a request's headers and body.

        Args:
            message: The call.
            metadata: That goes with it.
            turn: Whose time is told to the server.

        Raises:
            EncodeError: The metadata are more than the limit, or none.
            DeadlineExceeded: The time is up.
        """
        headers = list(self._always)
        if metadata:
            shown = metadata.get(_AUTHORIZATION, b"")
            if shown and not self._has_credentials and shown.isascii() and shown.decode().isprintable():
                # What servers in between go by; the application reads it as metadata, too.
                headers.append((b"authorization", shown))
                metadata = {name: value for name, value in metadata.items() if name != _AUTHORIZATION}
            headers += metadata_headers(metadata, self._metadata)
        left = turn.left()
        if left:
            # Rounded up: no time left is no number of it.
            headers.append((b"rpc-timeout", b"%.6f" % min(left + 0.000_001, _LONGEST_TIME)))
        if self._coding and len(message) >= _WORTHWHILE:
            smaller = BY_NAME[self._coding].compress(message)
            if len(smaller) < len(message):
                headers.append((b"content-encoding", self._coding.encode()))
                message = smaller
        headers.append((b"content-length", b"%d" % len(message)))
        return headers, message


class Turn:
    """One try of a call, on its way: how much time is left, and how far it has come.

    httpcore hands it on to the network where it hands on timeouts, which are all that it knows of time.

    Args:
        end: Of the call, on the clock of ``time.monotonic``; None: it has none.
        receive_time: Seconds from the first byte of the response to its last.
    """

    __slots__ = (
        "_latest",
        "_receive_time",
        "cause",
        "end",
        "end_it",
        "head",
        "is_cut",
        "is_ended",
        "is_fresh",
        "is_given_up",
        "is_sent",
    )

    def __init__(self, end: float | None, receive_time: float) -> None:
        self.end = end
        self._receive_time = receive_time
        self._latest = math.inf
        self.head = b""
        """Headers that wait for the body, to go with it."""
        self.is_fresh = False
        """A connection was made for it."""
        self.is_sent = False
        self.is_cut = False
        """The connection broke while it was sent; there may be a response all the same."""
        self.is_ended = False
        """The server has ended the connection."""
        self.end_it: collections.abc.Callable[[], object] | None = None
        """Closes its connection, or what makes one, where another task may want that."""
        self.is_given_up = False
        self.cause: BaseException | None = None
        """Of the error that it ends in: httpcore takes that away."""

    def left(self) -> float:
        """Gives the seconds that it may go on, above 0; 0: for ever.

        Raises:
            DeadlineExceeded: The call's time is up.
            ConnectionLost: The response takes too long.
        """
        if self.end is None and self._latest == math.inf:
            return 0.0
        now = monotonic()
        if self.end is not None and self.end <= now:
            raise DeadlineExceeded(f"no reply within the call's time; {MAYBE}" if self.is_sent else _NOT_SENT)
        if self._latest <= now:
            raise ConnectionLost(f"a reply took longer than {self._receive_time:g} s to come; {MAYBE}")
        return min(self._latest, math.inf if self.end is None else self.end) - now

    def give_up(self) -> None:
        """Nobody waits for it any more: has it end soon, by an error of its connection."""
        self.is_given_up = True
        if self.end_it is not None:
            self.end_it()

    def begun(self) -> None:
        """Something of the response has come."""
        if self._latest == math.inf:
            self._latest = monotonic() + self._receive_time

    def together(self, data: bytes) -> bytes:
        """Gives what is to be sent now, of what httpcore sends: the headers go with the body, in one packet."""
        if not self.head:
            self.head = data
            return b""
        if self.is_sent:
            return data
        self.is_sent = True
        return self.head + data

    def broken(self, problem: str) -> CallError:
        """Gives what becomes of it where the connection has ended, for that reason."""
        if self._latest != math.inf:
            return ConnectionLost(f"{problem} inside its reply; {MAYBE}")
        if self.is_cut:
            return Unavailable(f"{problem} while the call was being sent")
        return ConnectionLost(f"{problem} without a reply; {MAYBE}")

    def may_repeat(self, error: CallError, protocol: Protocol) -> bool:
        """Says whether the call is to be tried again: on a connection that the server has left meanwhile."""
        if self.is_fresh or self._latest != math.inf:
            return False
        return self.is_cut or (isinstance(error, ConnectionLost) and protocol.idempotent)


class HttpCaller:
    """What both channels are, but for waiting.

    Args:
        url: ``http://host:port/prefix`` or ``https://…``: what the application is mounted at.
        timeout: Seconds that a call may take, connecting included, where neither the IDL
            (``@timeout``) nor ``rpc.with_options`` says otherwise. None waits for ever.
        max_connections: Calls at once (asyncio: in one event loop); further ones wait for their turn. None: no
            limit.
        limits: What is accepted in responses, and sent in calls.
        credentials: The access token, for ``Authorization: Bearer``.
        tls: ``rpc.TLS`` or an ``ssl.SSLContext``, for https; by default what the system trusts is trusted.
        interceptors: What is done around each call; see ``rpc.Interceptor``.
        compress: ``gzip`` or ``zstd`` to compress calls by, the best one first; replies may be, too, then.
        contract: What becomes of a call that the server's version would misunderstand, as its last response
            said which it has: see ``rpc.Channel``. The first call is not compared.

    Raises:
        ValueError: The URL is none, or an option is out of its range.
        ImportError: httpcore is not installed.
        OSError: A certificate cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float | None = None,
        max_connections: int | None = 100,
        limits: Limits = DEFAULT_LIMITS,
        credentials: str = "",
        tls: TLS | ssl.SSLContext | bool | None = None,
        interceptors: collections.abc.Sequence[Interceptor] = (),
        compress: collections.abc.Sequence[str] = (),
        contract: Mode = "check",
    ) -> None:
        try:
            import httpcore
        except ModuleNotFoundError as error:
            raise ImportError("channels over HTTP need httpcore: pip install 'rpcgen[http]'") from error

        target = self._target = Target.parse(url)
        if max_connections is not None and max_connections < 1:
            raise ValueError(f"max_connections is at least 1, or None; not {max_connections!r}")
        self._requests = Requests(target, limits, credentials, compress)
        self._tls = tls_of(target, tls)
        self._interceptors = tuple(interceptors)
        self._timeout = checked_timeout(timeout)
        self._limits = limits
        self._most = max_connections
        self._closed = False
        self._contracts = Contracts(contract)
        self._met: set[Protocol] = set()
        """Methods whose interfaces are learnt."""
        self._version = b""
        """The fingerprint that the last response said."""
        self._contract: Contract | None = None
        """Of that version, where methods are to be compared with it."""
        # TLS is the network's, and so httpcore need not know of it.
        self._place = httpcore.URL(
            scheme=b"http", host=target.address.host.encode(), port=target.address.port, target=target.path
        )
        self._start()

    def _start(self) -> None:
        """Begins without a connection."""
        raise NotImplementedError

    def _request(self, message: bytes, metadata: Metadata | None, turn: Turn) -> httpcore.Request:
        """Gives a try's request."""
        import httpcore

        headers, body = self._requests.make(message, metadata, turn)
        times = {"write": turn, "read": turn}
        return httpcore.Request(
            "POST", self._place, headers=headers, content=body, extensions={"timeout": times}
        )

    def _meet(self, protocol: Protocol) -> None:
        """Notes that a method is called for the first time."""
        self._contracts.learn(protocol)
        self._met.add(protocol)
        self._contract = self._contracts.of(self._version.decode("latin-1"))

    def _hear(self, version: bytes | None) -> None:
        """Takes which version the server has, as its last response said; None: it did not answer itself."""
        if version is not None and version != self._version:
            self._version = version
            self._contract = self._contracts.of(version.decode("latin-1"))

    def _forget(self) -> None:
        """In a forked child: leaves to the parent what its threads may be asking for just now."""
        self._contracts.forget()
        self._hear(b"")

    def _result(self, protocol: Protocol, reply: bytes) -> typing.Any:
        """Gives what a reply says that the method returned, and raises everything else."""
        result = protocol.codec().decode_reply(reply, self._limits)
        if reply[0] == RETURNED:
            return result
        # In a list, and with no name of this frame for it: the traceback holds the frame.
        raised: list[CallError | RemoteException] = [
            told(result) if isinstance(result, CallError) else result
        ]
        del result
        if isinstance(raised[0], RemoteException):
            raised[0].__notes__ = [f"raised by {protocol.name} at {self._target.url}"]
        raise raised.pop()

    def _told(self, error: CallError, protocol: Protocol) -> CallError:
        """Gives the error that a call ends in, with where it comes from."""
        if self._closed and isinstance(error, ConnectionLost):
            closed = Cancelled("the channel was closed while the call was running")
            closed.__cause__ = error
            error = closed
        error.method, error.peer = protocol.name, self._target.url
        return error

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a channel cannot be pickled: give the other process its URL")


@contextlib.contextmanager
def translated(turn: Turn) -> collections.abc.Iterator[None]:
    """Raises what httpcore raises as an error of a call; those that the network raised come through as they are."""
    import httpcore

    try:
        yield
    except CallError as error:
        error.__cause__, turn.cause = turn.cause, None
        raise
    except httpcore.RemoteProtocolError as error:
        if turn.is_ended:
            raise turn.broken("the server closed the connection") from error
        raise ProtocolError(f"what the server sent is not HTTP: {error}") from error
