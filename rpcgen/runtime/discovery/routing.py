"""Where the calls of one service go: all decisions, no thread, no socket, no clock.

The list comes in by ``update``, outcomes of calls by ``succeeded``, ``failed`` and
``gave_up``; ``pick`` is what the balancer makes of it. A usual call reads ``look_at`` and
calls ``pick``, both without a lock; for everything else the shell holds one, and does
afterwards what it is told: let go of the endpoints that it is given.
"""

from __future__ import annotations

import math
import typing

from rpcgen.runtime.backoff import backoff
from rpcgen.runtime.discovery.health import FAILURES, Endpoint, Event, State
from rpcgen.runtime.errors import CallError, Unavailable
from rpcgen.runtime.records import Record

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.balancers import Balancer, Picker
    from rpcgen.runtime.registry import Instance
    from rpcgen.runtime.stubs import MessageProtocol

    Tried: typing.TypeAlias = "collections.abc.Collection[Endpoint]"

GRACE = 30.0
"""Seconds for which the last list is kept when a registry that can be reached says that it is empty."""

NEVER = math.inf


class Choice(Record):
    """A server for a call.

    Args:
        endpoint: The server.
        is_probe: It was ejected, and this call shall tell whether it is well again: the shell
            must end it with ``succeeded``, ``failed`` or ``gave_up``.
    """

    endpoint: Endpoint
    is_probe: bool


class Router:
    """The servers of one service.

    Args:
        balancer: Decides between those that can serve.
        random: Gives a number from 0 up to 1.
        zone: Its servers are preferred; ``""``: none is.
        grace: Seconds; see ``GRACE``.
    """

    def __init__(
        self,
        balancer: Balancer,
        random: collections.abc.Callable[[], float],
        zone: str = "",
        grace: float = GRACE,
    ) -> None:
        self._balancer = balancer
        self._random = random
        self._zone = zone
        self._grace = grace
        self._endpoints: dict[str, Endpoint] = {}
        """By address."""
        self._known: dict[int, Endpoint] = {}
        """By the identity of their instances: of 10,000, a new list changes one or two."""
        self._groups: tuple[tuple[Endpoint, ...], ...] = ()
        """Of the servers that are ready: those that the balancer picks from, then the others."""
        self._empty_since: float | None = None
        self.pick: Picker = _nobody
        """The balancer's; what it gives may have been removed in this moment."""
        self.look_at = -NEVER
        """From this time on, ``choose`` must be asked instead of ``pick``, after ``expire``."""

    def __len__(self) -> int:
        return len(self._endpoints)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of the list."""
        return tuple(self._endpoints.values())

    def update(self, instances: collections.abc.Iterable[Instance], now: float) -> list[Endpoint]:
        """Takes the list that a registry gives now; gives those that are no longer on it.

        Of a server that was started anew, what went wrong is forgotten; one that speaks something else
        is another one. An empty list leaves the last one for a time: see ``expire``.
        """
        known, listed = self._known, {}
        for instance in instances:
            endpoint = known.get(id(instance))
            if endpoint is None:
                endpoint = self._endpoints.get(instance.address)
                if endpoint is None or endpoint.instance.protocols != instance.protocols:
                    endpoint = Endpoint(instance)  # it is spoken to in another way, by another channel
                elif endpoint.describe(instance):
                    self._let_back(endpoint)
            listed[endpoint.address] = endpoint
        if not listed and self._endpoints:
            self._empty_since = now if self._empty_since is None else self._empty_since
            self._look()
            return []
        self._empty_since = None
        removed = [
            endpoint for address, endpoint in self._endpoints.items() if listed.get(address) is not endpoint
        ]
        for endpoint in removed:
            endpoint.move(Event.REMOVED)
        self._endpoints = listed
        self._arrange()
        return removed

    def knows(self, instance: Instance) -> bool:
        """Says whether this very instance was on the last list."""
        return id(instance) in self._known

    def expire(self, now: float) -> list[Endpoint]:
        """Gives up the last list if another has not come in time; gives those that were on it."""
        if self._empty_since is None or now < self._empty_since + self._grace:
            return []
        return self._remove(list(self._endpoints.values()))

    def choose(
        self,
        protocol: type[MessageProtocol[typing.Any]],
        args: tuple[object, ...],
        tried: Tried,
        now: float,
        *,
        may_probe: bool = True,
    ) -> Choice | None:
        """Gives the server for a call: another one than those tried, an ejected one only if need be.

        Args:
            protocol: The method's.
            args: The call's.
            tried: The servers where this call has failed.
            now: The time.
            may_probe: The call may be tried again if the server turns out to be unwell.

        Returns:
            None where every server has been tried, or none is known.
        """
        if may_probe and not tried and now >= self.look_at:
            ejected = [e for e in self._endpoints.values() if e.state is State.EJECTED and e.until <= now]
            if ejected:
                endpoint = min(ejected, key=_until)
                endpoint.move(Event.PROBED)
                self._look()
                return Choice(endpoint, True)
        if not self._groups:
            return None
        endpoint = self.pick(protocol, args, tuple(tried))
        if endpoint not in tried:
            return Choice(endpoint, False)
        for group in self._groups:
            others = [endpoint for endpoint in group if endpoint not in tried]
            if others:
                return Choice(others[int(self._random() * len(others))], False)
        left = [e for e in self._endpoints.values() if e.state is not State.READY and e not in tried]
        return Choice(min(left, key=_until), False) if left else None

    def succeeded(self, endpoint: Endpoint) -> None:
        """A call was answered, whatever the answer was. Need not be said of an endpoint without failures."""
        if endpoint.state is State.REMOVED:
            return
        was_ready = endpoint.state is State.READY
        self._let_back(endpoint)
        if not was_ready:
            self._arrange()

    def failed(
        self, endpoint: Endpoint, error: CallError, now: float, *, is_probe: bool = False
    ) -> list[Endpoint]:
        """A call failed as one of ``FAILURES`` does. Gives the endpoint if it is given up for it."""
        state = endpoint.state
        if state is State.REMOVED:
            return []
        if self._empty_since is not None and isinstance(error, Unavailable):
            return self._remove([endpoint])  # not on the list, and not there
        if state is State.EJECTED or (state is State.PROBING and not is_probe):
            return []  # a call that began before it was ejected, or had nowhere else to go
        endpoint.failures += 1
        failure = next(FAILURES[kind] for kind in FAILURES if isinstance(error, kind))
        if state is State.READY:
            ready = sum(map(len, self._groups))
            enough = ready > 1 and not (failure.keeps_half and 2 * (ready - 1) < len(self._endpoints))
            if endpoint.failures < failure.tolerated or not enough:
                return []
        endpoint.move(Event.FAILED)
        endpoint.ejections += 1
        endpoint.until = now + backoff(endpoint.ejections, self._random, failure.first)
        self._arrange() if state is State.READY else self._look()
        return []

    def gave_up(self, endpoint: Endpoint) -> None:
        """A probe ended without telling anything of the server: another one is due at once."""
        if endpoint.state is State.PROBING:
            endpoint.move(Event.UNTOLD)
            self._look()

    def _remove(self, endpoints: list[Endpoint]) -> list[Endpoint]:
        for endpoint in endpoints:
            endpoint.move(Event.REMOVED)
            del self._endpoints[endpoint.address]
        if not self._endpoints:
            self._empty_since = None
        self._arrange()
        return endpoints

    def _let_back(self, endpoint: Endpoint) -> None:
        endpoint.move(Event.SUCCEEDED)
        endpoint.recover()

    def _arrange(self) -> None:
        """Sorts who can serve from who cannot; of those, who shall."""
        endpoints = self._endpoints.values()
        if endpoints and not any(endpoint.state is State.READY for endpoint in endpoints):
            for endpoint in endpoints:
                self._let_back(endpoint)  # nobody is left that they could be spared for
        ready = [endpoint for endpoint in endpoints if endpoint.state is State.READY]
        weighty = [endpoint for endpoint in ready if endpoint.weight > 0] or ready
        chosen = weighty
        if self._zone:
            chosen = [endpoint for endpoint in weighty if endpoint.instance.zone == self._zone] or weighty
        groups = [tuple(chosen)]
        if len(chosen) < len(ready):
            placed = set(chosen)
            for more in (weighty, ready):
                groups.append(tuple(endpoint for endpoint in more if endpoint not in placed))
                placed.update(more)
        self._groups = tuple(group for group in groups if group)
        self._known = {id(endpoint.instance): endpoint for endpoint in endpoints}
        if chosen:
            self.pick = self._balancer.picker(groups[0])
        self._look()

    def _look(self) -> None:
        if not self._endpoints:
            self.look_at = -NEVER
            return
        times = [endpoint.until for endpoint in self._endpoints.values() if endpoint.state is State.EJECTED]
        if self._empty_since is not None:
            times.append(self._empty_since + self._grace)
        self.look_at = min(times, default=NEVER)


def _until(endpoint: Endpoint) -> float:
    return endpoint.until


def _nobody(protocol: object, args: object, tried: object) -> Endpoint:
    raise LookupError("no server is known")
