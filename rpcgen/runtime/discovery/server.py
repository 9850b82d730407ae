"""A channel to one server of several: connecting takes a part of a call's time only."""

from __future__ import annotations

import time
import typing

from rpcgen.runtime.errors import DeadlineExceeded, Unavailable
from rpcgen.runtime.sync.client.channel import Channel

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.client.line import Line

CONNECT_SHARE = 3
"""A server has this part of a call's time to be connected to: one that is silent leaves time for others."""

CONNECT_TIME = 3.0
"""Seconds that it has at most."""


def time_to_connect(end: float | None, now: float) -> float:
    """Gives the seconds in which a server must be connected to, for a call with this deadline."""
    return CONNECT_TIME if end is None else min(CONNECT_TIME, (end - now) / CONNECT_SHARE)


def too_slow(wait: float) -> Unavailable:
    """Gives what to raise where a server has not been connected to in that time, and the call has some left."""
    return Unavailable(f"cannot connect: no answer within {wait:.2g} s; the call was not sent")


class ServerChannel(Channel):
    """See the module."""

    def _connect(self, end: float | None) -> tuple[Line, float]:
        now = time.monotonic()
        wait = time_to_connect(end, now)
        try:
            connection, _ = super()._connect(now + wait)
        except DeadlineExceeded as error:
            if end is not None and time.monotonic() >= end:
                raise
            raise too_slow(wait) from error
        # It was given less than the call has: the rest is the call's.
        return connection, 0.0 if end is None else max(0.000_001, end - time.monotonic())
