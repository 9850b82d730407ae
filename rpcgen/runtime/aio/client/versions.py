"""What an asyncio channel does about versions: as ``sync.client.versions``, which says more.

The server is asked by a task of its own, so that a call that is cancelled takes nothing away from others.
"""

from __future__ import annotations

import asyncio
import typing
from time import monotonic

from rpcgen.runtime.contracts import PATIENCE, SIGNATURES, Contracts, Describe
from rpcgen.runtime.errors import CallError, DeadlineExceeded, ProtocolError, RemoteFault, Unavailable
from rpcgen.runtime.sync.client.versions import NO_TIME, refuse
from rpcgen.runtime.transport import client_terms
from rpcgen.runtime.wire.outcomes import unasked

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.aio.client.connection import ClientConnection
    from rpcgen.runtime.contracts import Contract, Mode, Protocol
    from rpcgen.runtime.wire.limits import Limits

    Asking: typing.TypeAlias = collections.abc.Coroutine[typing.Any, typing.Any, CallError | None]


class AsyncVersions:
    """See the module.

    Args:
        mode: The channel's option.
        peer: The server's address.
        limits, credentials, compress: Of its terms.

    Raises:
        ValueError: There is no such mode, or the terms cannot be.
    """

    def __init__(
        self,
        mode: Mode,
        peer: str,
        limits: Limits,
        credentials: str,
        compress: collections.abc.Sequence[str],
    ) -> None:
        self.contracts = Contracts(mode)
        """Those that are known; channels to servers of one registry share them."""
        self.terms = client_terms(limits, credentials, compress)
        """Of connections that are made from now on."""
        self._known = 0
        """Interfaces, of which connections have heard."""
        self._peer = peer
        self._limits = limits
        self._credentials, self._compress = credentials, compress

    def learn(self, protocol: Protocol, connections: collections.abc.Iterable[ClientConnection]) -> None:
        """Notes that the channel calls a method of its first interface, or of one more."""
        known = self.contracts.learn(protocol)
        if known != self._known:
            self._known = known
            own = self.contracts.own
            self.terms = client_terms(self._limits, self._credentials, self._compress, own)
            for connection in connections:
                connection.contract = self.contracts.of(connection.fingerprint)

    async def greet(self, connection: ClientConnection) -> None:
        """Lets a new server say who it is, where that matters, before the first call."""
        if self.contracts.own:
            connection.contracts = self.contracts
            if PATIENCE:
                await connection.greet(PATIENCE)

    async def compare(
        self, connection: ClientConnection, contract: Contract, protocol: Protocol, end: float | None
    ) -> None:
        """Looks whether a method can be called.

        Raises:
            ContractMismatch: It cannot; nothing was sent.
            CallError: The server could not be asked.
        """
        await ask_once(contract, lambda: self._ask(connection, contract), end)
        refuse(contract, protocol, self._peer)

    async def _ask(self, connection: ClientConnection, contract: Contract) -> CallError | None:
        """Asks the server for its version; gives why it could not be asked."""
        codec = Describe.codec()
        try:
            _, future = connection.send(codec.name, codec.encode_block((SIGNATURES,), self._limits), 0)
            outcome = await future
            answer = outcome[0] if isinstance(outcome, tuple) else outcome
            text = None if isinstance(answer, CallError) else codec.decode_reply(answer, self._limits)
        except ProtocolError:
            answer, text = b"", None
        except CallError as error:
            return Unavailable(error.problem)
        if isinstance(answer, CallError) and not isinstance(answer, RemoteFault):
            return answer
        contract.hear(text)
        return None


async def ask_once(contract: Contract, ask: collections.abc.Callable[[], Asking], end: float | None) -> None:
    """Has one task of the loop ask for a version that is not known yet; calls wait for that.

    Args:
        contract: What is known of it.
        ask: Asks the server; gives why it could not be asked.
        end: Of the call, on the clock of ``time.monotonic``.

    Raises:
        DeadlineExceeded: There is no time left.
        CallError: The server could not be asked.
    """
    if contract.is_known:
        return
    loop = asyncio.get_running_loop()
    task: asyncio.Task[CallError | None] | None = contract.asked.get(loop)
    if task is None:
        task = contract.asked[loop] = loop.create_task(ask())
        task.add_done_callback(lambda _: contract.asked.pop(loop, None))
    done, _ = await asyncio.wait({task}, timeout=None if end is None else max(0.0, end - monotonic()))
    if not done:
        raise DeadlineExceeded(NO_TIME)
    failure = task.result()
    if failure is not None:
        raise unasked(failure)
