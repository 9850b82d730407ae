"""Whether a client's version of a method and a server's understand each other, known before a call is sent.

A server's HELLO says by a fingerprint which interface it has. Where that is not the client's own, the client
asks once what the server's methods look like (``signatures``), and compares each with its own when it is
first called.
"""

from __future__ import annotations

import functools
import sys
import typing

from rpcgen.runtime.schema import STRING, Interface, OptionalOf, Param, fingerprint
from rpcgen.runtime.signatures import described, judge
from rpcgen.runtime.stubs import MessageProtocol

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.errors import ContractMismatch
    from rpcgen.runtime.signatures import Json, Mismatch
    from rpcgen.runtime.stubs import ServerStub

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]
    Mode: typing.TypeAlias = typing.Literal["check", "warn", "off"]

PATIENCE = 0.25
"""Seconds for which the first call waits for the server's HELLO, so as to know its version. 0: not at all."""

SIGNATURES: typing.Final = "signatures"
"""The form of ``rpc.describe`` that is compared."""

_MODES: typing.Final = ("check", "warn", "off")
_MOST: typing.Final = 64
"""Fingerprints that a channel remembers: peers must not fill memory."""


class Describe(MessageProtocol[str]):
    """string rpc.describe(1: string? form)"""

    name = "rpc.describe"
    params = (Param(1, "form", OptionalOf(STRING)),)
    returns = STRING


def interface_of(protocol: Protocol) -> Interface | None:
    """Gives the interface that a method was generated from; None: its module has none."""
    found = getattr(sys.modules.get(protocol.__module__), "INTERFACE", None)
    return found if isinstance(found, Interface) else None


@functools.lru_cache(maxsize=64)
def _fingerprint(interface: Interface) -> str:
    return interface.fingerprint


def fingerprint_of(stubs: collections.abc.Iterable[ServerStub]) -> str:
    """Gives the fingerprint of all that a server serves; empty: its stubs say nothing of their interfaces."""
    interfaces = [stub.interface for stub in stubs if stub.interface is not None]
    return fingerprint(interfaces) if interfaces else ""


class Contracts:
    """What a channel, or those to all servers of a registry, know of their servers' versions.

    Args:
        mode: ``check``: a call that would be misunderstood is refused; ``warn``: it is logged, once a
            method and version; ``off``: nobody looks.

    Raises:
        ValueError: There is no such mode.
    """

    def __init__(self, mode: Mode = "check") -> None:
        if mode not in _MODES:
            raise ValueError(f'contract is "check", "warn" or "off", not {mode!r}')
        self.mode = mode
        self._own: dict[Interface, str] = {}
        self._known: dict[str, Contract] = {}

    @property
    def own(self) -> str:
        """The fingerprint of the first interface whose methods were called here; empty: of none yet."""
        return next(iter(self._own.values()), "")

    def learn(self, protocol: Protocol) -> int:
        """Notes which interface a method is of; gives how many are known, other channels' included."""
        interface = None if self.mode == "off" else interface_of(protocol)
        if interface is not None and interface not in self._own:
            self._own[interface] = _fingerprint(interface)
        return len(self._own)

    def forget(self) -> None:
        """In a forked child: leaves to the parent what its threads may be asking for just now."""
        self._known = {}

    def of(self, fingerprint: str) -> Contract | None:
        """Gives what is known of a server's version; None: there is nothing to be compared."""
        own = set(self._own.values())
        if not own or not fingerprint or own == {fingerprint}:
            return None
        known = self._known.get(fingerprint)
        if known is None:
            for oldest in list(self._known)[: 1 - _MOST]:
                self._known.pop(oldest, None)
            known = self._known.setdefault(fingerprint, Contract(fingerprint, self.mode == "warn"))
        return known


class Contract:
    """A server's version of its interface, as far as a client has asked.

    Args:
        fingerprint: Of the server's HELLO.
        warns: What does not fit is logged, not refused.
    """

    def __init__(self, fingerprint: str, warns: bool) -> None:
        import threading

        self.fingerprint = fingerprint
        self.asking = threading.Lock()
        """Held by the thread that asks."""
        self.asked: dict[object, typing.Any] = {}
        """By event loop: the task that asks."""
        self.is_known = False
        """The server has been asked, whatever it has said."""
        self._warns = warns
        self._theirs: Json = None
        self._verdicts: dict[Protocol, Mismatch | None] = {}

    def hear(self, answer: object) -> None:
        """Takes what the server says of its methods. Anything but text says nothing.

        A server that refuses the form, or does not know it, is called as ever.
        """
        import json

        try:
            theirs = json.loads(answer) if isinstance(answer, str) else None
        except (ValueError, RecursionError):
            theirs = None
        self._theirs = theirs if isinstance(theirs, dict) else None
        self.is_known = True

    def objection(self, protocol: Protocol, peer: str) -> ContractMismatch | None:
        """Gives why a method cannot be called; None: it can, or is not the server's at all, as it will say.

        Args:
            protocol: The method's.
            peer: The server's address.
        """
        try:
            found = self._verdicts[protocol]
        except KeyError:
            found = self._judge(protocol)
            self._verdicts[protocol] = found
            if found is not None and self._warns:
                import logging

                logging.getLogger("rpcgen").warning("%s", found.error(protocol, peer))
        return None if found is None or self._warns else found.error(protocol, peer)

    def _judge(self, protocol: Protocol) -> Mismatch | None:
        if self._theirs is None:
            return None
        ours = described([protocol])
        try:
            theirs = self._theirs["methods"].get(protocol.name)
            return None if theirs is None else judge(ours, self._theirs, protocol.name)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return None  # a form that is not known here says nothing
