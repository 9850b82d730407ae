"""The servers of a list as a client sees them, and what their failures do to them.

             fails too often              its time is up, a call is given to it
READY ───────────────────────▶ EJECTED ─────────────────────────▶ PROBING
  ▲                               ▲ │                               │ │
  │                               └─┼──── the call fails ───────────┘ │
  └───────── a call succeeds ───────┴─────────────────────────────────┘

REMOVED  from the list, for good: a server that comes back is another endpoint
"""

from __future__ import annotations

import enum
import typing

from rpcgen.runtime.errors import ConnectionLost, DeadlineExceeded, Unavailable
from rpcgen.runtime.records import Record

if typing.TYPE_CHECKING:
    from rpcgen.runtime.registry import Instance


class State(enum.Enum):
    """What a server gets."""

    READY = "calls"
    EJECTED = "none for a time"
    PROBING = "one, to see whether it is well again"
    REMOVED = "none any more"


class Event(enum.Enum):
    """What moves a server from one state to another."""

    SUCCEEDED = "a call was answered"
    FAILED = "it failed more often in a row than is tolerated, or in a probe"
    PROBED = "a call was given to it although it is ejected"
    UNTOLD = "a probe ended without telling anything"
    REMOVED = "the list has it no more"


MOVES = {
    (State.READY, Event.SUCCEEDED): State.READY,
    (State.READY, Event.FAILED): State.EJECTED,
    (State.READY, Event.REMOVED): State.REMOVED,
    (State.EJECTED, Event.SUCCEEDED): State.READY,
    (State.EJECTED, Event.PROBED): State.PROBING,
    (State.EJECTED, Event.REMOVED): State.REMOVED,
    (State.PROBING, Event.SUCCEEDED): State.READY,
    (State.PROBING, Event.FAILED): State.EJECTED,
    (State.PROBING, Event.UNTOLD): State.EJECTED,
    (State.PROBING, Event.REMOVED): State.REMOVED,
}
"""State and event → the next state; what is missing never happens."""


class Failure(Record):
    """What one kind of failure means.

    Args:
        tolerated: So many in a row, of any kind, and the server is ejected.
        first: Seconds of the first ejection; later ones are longer.
        keeps_half: It ejects nobody if fewer than half of the servers would stay: where most
            are late, it is their work that is slow.
    """

    tolerated: int
    first: float
    keeps_half: bool


FAILURES: dict[type[BaseException], Failure] = {
    Unavailable: Failure(1, 0.1, False),
    ConnectionLost: Failure(3, 0.1, False),
    DeadlineExceeded: Failure(3, 1.0, True),
}
"""Error of a call → what it means. Other errors are answers, or the caller's own."""


class Endpoint:
    """A server of the list, as balancers are given it.

    Args:
        instance: As it announced itself.
    """

    __slots__ = (
        "address",
        "channel",
        "ejections",
        "failures",
        "instance",
        "running",
        "state",
        "until",
        "weight",
    )

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.weight = instance.weight
        """Its share of the calls, against the others'."""
        self.address = instance.address
        """``tcp://host:port`` or ``unix:///path``: two endpoints of a list differ in it."""
        self.state = State.READY
        self.failures = 0
        """In a row."""
        self.ejections = 0
        """In a row, without a success between them."""
        self.until = 0.0
        """When its ejection ends, on the caller's clock."""
        self.running: list[None] = []
        """An item a running call: ``append``, ``pop`` and ``len`` take no lock and lose no count."""
        self.channel: typing.Any = None
        """Of the shell that makes the calls; None until the first one."""

    @property
    def load(self) -> int:
        """This client's calls that run there now."""
        return len(self.running)

    @property
    def is_listed(self) -> bool:
        """It is on the list still."""
        return self.state is not State.REMOVED

    def describe(self, instance: Instance) -> bool:
        """Takes what the server says of itself now; tells whether it was started anew."""
        was, self.instance, self.weight = self.instance, instance, instance.weight
        return (was.pid, was.started) != (instance.pid, instance.started)

    def move(self, event: Event) -> None:
        """Goes to the next state."""
        self.state = MOVES[self.state, event]

    def recover(self) -> None:
        """Forgets what went wrong."""
        self.failures = self.ejections = 0

    def __repr__(self) -> str:
        return f"<endpoint {self.address}, {self.state.name.lower()}>"
