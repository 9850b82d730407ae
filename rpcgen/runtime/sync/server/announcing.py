"""What servers of every kind make of the options that say what they announce, and how they say it in the log.

The registry's modules are loaded only for a server that registers somewhere.
"""

from __future__ import annotations

import os
import typing

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.address import Address
    from rpcgen.runtime.announce import Announcement
    from rpcgen.runtime.stubs import ServerStub

ANNOUNCED = ("registry", "advertise", "weight", "zone", "version", "metadata")
"""The options that say what is announced, and where."""

PATIENCE = 5.0
"""Seconds that ``start`` waits to be registered."""

_DRAIN = 0.2
"""Seconds; a change in a registry reaches its watchers in a hundredth of that."""


def check_stubs(stubs: collections.abc.Sequence[object]) -> None:
    """Raises TypeError if there are no stubs, or something else stands where one should."""
    from rpcgen.runtime.stubs import ServerStub

    if not stubs:
        raise TypeError("a server needs a stub to serve: ServerStub(Handlers())")
    for stub in stubs:
        if not isinstance(stub, ServerStub):
            raise TypeError(f"a server serves stubs, ServerStub(Handlers()); not {stub!r}")


def introduction(stubs: collections.abc.Sequence[ServerStub], address: Address) -> str:
    """Gives how the log begins to say what is served, where, and by which codec."""
    from rpcgen.runtime.wire.choice import choice

    codec = "C" if choice().native else "Python"
    names = ", ".join(type(stub).__module__ + "." + type(stub).__qualname__ for stub in stubs)
    return f"serving {names} at {address} (codec: {codec})"


def announced_by(
    stubs: collections.abc.Sequence[ServerStub], options: dict[str, typing.Any], *, takes_plain: bool = True
) -> Announcement | None:
    """Gives what a server announces; None if it registers nowhere.

    Args:
        stubs: What it serves.
        options: Those of ``AnnounceOptions`` that the program gave.
        takes_plain: Clients that speak plain messages are served, too.

    Raises:
        TypeError, ValueError, ImportError: As ``announce.announcement``.
    """
    # Loading the registry's module for its name of the variable would load msgspec.
    if not options and not os.environ.get("RPCGEN_REGISTRY"):
        return None
    from rpcgen.runtime.announce import announcement

    protocols = ("framed", "plain") if takes_plain else ("framed",)
    return announcement(stubs, protocols=protocols, **options)


def draining(drain: float | None, announcement: Announcement | None) -> float:
    """Gives the seconds between withdrawing and stopping.

    Args:
        drain: What the program said; None: it says nothing.
        announcement: What the server announces.

    Raises:
        ValueError: It is no such number.
    """
    if drain is None:
        return 0.0 if announcement is None else _DRAIN
    if not 0 <= drain < float("inf"):
        raise ValueError(f"drain is a number of seconds from 0 up, not {drain!r}")
    return drain
