"""What a channel does about versions: it says its own, hears the server's, and compares where they differ.

The server is asked over the connection that the call is to use, once a fingerprint; others wait for that.
"""

from __future__ import annotations

import typing
from time import monotonic

from rpcgen.runtime.contracts import SIGNATURES, Contracts, Describe
from rpcgen.runtime.errors import ConnectionLost, DeadlineExceeded, DecodeError
from rpcgen.runtime.wire.outcomes import unasked

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.contracts import Contract, Mode, Protocol
    from rpcgen.runtime.sync.client.connector import Connector
    from rpcgen.runtime.sync.client.line import Line
    from rpcgen.runtime.sync.client.shared import SharedConnection
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.plain import MethodCodec

NO_TIME = "the time was up while the server was asked for its version; the call was not sent"


class Versions:
    """See the module.

    Args:
        mode: The channel's option.
        connector: Makes its connections.
        peer: The server's address.
        limits: Of messages.

    Raises:
        ValueError: There is no such mode.
    """

    __slots__ = ("_connector", "_known", "_limits", "_peer", "contracts")

    def __init__(self, mode: Mode, connector: Connector, peer: str, limits: Limits) -> None:
        self.contracts = Contracts(mode)
        """Those that are known; channels to servers of one registry share them."""
        self._connector = connector
        self._known = 0
        """Interfaces, of which connections have heard."""
        self._peer = peer
        self._limits = limits

    def learn(self, protocol: Protocol, connections: collections.abc.Iterable[Line]) -> MethodCodec:
        """Gives a method's codec. The channel calls its first interface, or one more.

        Args:
            protocol: The method's.
            connections: That are there already.
        """
        known = self.contracts.learn(protocol) if self._connector.is_framed else 0
        if known != self._known:
            self._known = known
            self._connector.introduce(self.contracts.own)
            for connection in list(connections):
                connection.contract = self.contracts.of(connection.fingerprint)
        return protocol.codec()

    def greet(self, connection: Line, end: float | None) -> None:
        """Lets a new server say who it is, where that matters."""
        if self.contracts.own:
            connection.greet(self.contracts, end)

    def compare(self, connection: Line, protocol: Protocol, end: float | None) -> float:
        """Looks whether a method can be called; gives the seconds that are left then (0: no deadline).

        Raises:
            ContractMismatch: It cannot; nothing was sent.
            CallError: The server could not be asked.
        """
        contract = connection.contract
        if contract is None:
            return _left(end)
        ask_once(contract, lambda: self._ask(connection, end), end)
        refuse(contract, protocol, self._peer)
        return _left(end)

    def _ask(self, connection: Line, end: float | None) -> object:
        codec = Describe.codec()
        message = codec.encode_frame((SIGNATURES,), self._limits)
        try:
            if self._connector.is_multiplexed:
                shared = typing.cast("SharedConnection", connection)
                return shared.answer(message, codec, self._limits, end, None)[1]
            return connection.exchange(message, codec, self._limits, end, _left(end), None)
        except DecodeError:
            return None


def ask_once(contract: Contract, ask: collections.abc.Callable[[], object], end: float | None) -> None:
    """Has one thread ask for a version that is not known yet; others wait for that.

    Args:
        contract: What is known of it.
        ask: Asks the server; gives its answer.
        end: Of the call, on the clock of ``time.monotonic``.

    Raises:
        DeadlineExceeded: There is no time left.
        CallError: The server could not be asked.
    """
    if contract.is_known:
        return
    if not contract.asking.acquire(timeout=-1 if end is None else max(0.0, end - monotonic())):
        raise DeadlineExceeded(NO_TIME)
    try:
        if not contract.is_known:
            contract.hear(ask())
    except ConnectionLost as error:
        raise unasked(error) from error
    except DeadlineExceeded:
        raise DeadlineExceeded(NO_TIME) from None
    finally:
        contract.asking.release()


def refuse(contract: Contract, protocol: Protocol, peer: str) -> None:
    """Looks whether a method of a version that is known can be called.

    Raises:
        ContractMismatch: It cannot.
    """
    found = [contract.objection(protocol, peer)]
    if found[0] is not None:
        raise found.pop() or AssertionError  # no name of this frame for what its traceback holds


def _left(end: float | None) -> float:
    if end is None:
        return 0.0
    left = end - monotonic()
    if left <= 0:
        raise DeadlineExceeded(NO_TIME)
    return left
