"""One service as a channel follows it: its watch, its router, and a channel to each server.

The router decides under the lock; connections are made and closed outside it. Lists come on
the registry's thread, outcomes of calls on those of their callers, be they blocking or event loops.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import typing

from rpcgen.runtime.address import Address
from rpcgen.runtime.discovery.health import State
from rpcgen.runtime.discovery.latch import Latch
from rpcgen.runtime.discovery.routing import Choice, Router
from rpcgen.runtime.discovery.tries import Wait
from rpcgen.runtime.errors import CallError, NoServers, Unavailable

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.balancers import Balancer
    from rpcgen.runtime.discovery.cache import ListCache
    from rpcgen.runtime.discovery.health import Endpoint
    from rpcgen.runtime.discovery.tries import Steps
    from rpcgen.runtime.registry import Instance, Registry, Snapshot, Watch
    from rpcgen.runtime.stubs import MessageProtocol

    Channel: typing.TypeAlias = typing.Any
    """A channel to one server, blocking or asyncio: of either kind ``retire`` may be called by any thread."""

_log = logging.getLogger("rpcgen")


class Service:
    """Follows the servers of a service from ``follow`` on until it is closed.

    Args:
        name: In the IDL; ``""``: a file's own.
        registry: Where its servers stand.
        balancer: Decides between them.
        zone: That is preferred; ``""``: none.
        cache: Where its last list is kept, if anywhere.
        start_wait: Seconds for the first list to come.
        new_channel: Makes the channel to a server; nothing is connected by that.
    """

    def __init__(
        self,
        name: str,
        registry: Registry,
        balancer: Balancer,
        zone: str,
        cache: ListCache | None,
        start_wait: float,
        new_channel: collections.abc.Callable[[Instance], Channel],
    ) -> None:
        self.name = name
        self.router = Router(balancer, random.random, zone)
        self._overdue = time.monotonic() + start_wait
        self._registry = registry
        self._cache = cache
        self._new_channel = new_channel
        self._lock = threading.Lock()
        self._heard = Latch()
        """A list is there, be it of the cache; or none will come."""
        self._seen: tuple[float, int] | None = None
        """When the registry's last list came, and how many servers were on it."""
        self._problem = ""
        """Why the registry does not answer."""
        self._unusable: set[str] = set()
        """Addresses on the list that are none, and were logged."""
        self._leaving: set[Endpoint] = set()
        """No longer on the list; calls run there still."""
        self._closed = False
        self._watch: Watch | None = None

    def follow(self) -> None:
        """Begins to watch; must be called once.

        Raises:
            RuntimeError: The registry is closed.
        """
        self._watch = self._registry.watch(self.name, self._heed)

    def first_list(self, end: float | None) -> Steps:
        """Waits for the first list, while there is time until ``end``, and until it is overdue."""
        if self._heard.is_open:
            return
        until = self._overdue if end is None else min(self._overdue, end)
        is_there = yield Wait(self._heard, max(0.0, until - time.monotonic()))
        if not is_there and until == self._overdue:
            self._live_from_cache()

    def _heed(self, snapshot: Snapshot) -> None:
        """Takes a snapshot of the registry, on its thread."""
        self._problem = "" if snapshot.live else snapshot.problem
        if not snapshot.live:
            # What is known stays. If nothing is, an old list must do: the registry's, or the cache's.
            if not self._heard.is_open and snapshot.instances:
                self._take([instance for instance in snapshot.instances if self._is_usable(instance)])
            elif not snapshot.at:
                self._live_from_cache()
            return
        instances = [instance for instance in snapshot.instances if self._is_usable(instance)]
        self._seen = (snapshot.at, len(snapshot.instances))
        self._take(instances)
        if self._cache is not None:
            self._cache.save(self.name, instances)

    def _live_from_cache(self) -> None:
        if self._cache is None or self._heard.is_open:
            return
        instances = [instance for instance in self._cache.load(self.name) if self._is_usable(instance)]
        if instances and not self._heard.is_open:
            self._take(instances)

    def _take(self, instances: list[Instance]) -> None:
        with self._lock:
            if self._closed:
                return
            removed = self.router.update(instances, time.monotonic())
        self._heard.open()
        self._retire(removed)

    def _is_usable(self, instance: Instance) -> bool:
        if self.router.knows(instance):
            return True
        try:
            Address.parse(instance.address)
        except ValueError as error:
            if instance.address not in self._unusable:
                self._unusable.add(instance.address)
                _log.warning("ignored a server that %s lists: %s", self._registry.url, error)
            return False
        return True

    def choose(
        self,
        protocol: type[MessageProtocol[typing.Any]],
        args: tuple[object, ...],
        tried: list[Endpoint],
        may_probe: bool,
    ) -> tuple[Choice, Channel] | None:
        """Gives the server for a call, and its channel; None where every one has been tried.

        Raises:
            NoServers: None is known.
        """
        now = time.monotonic()
        with self._lock:
            removed = self.router.expire(now) if now >= self.router.look_at else []
            choice = self.router.choose(protocol, args, tried, now, may_probe=may_probe)
            channel = None if choice is None else self._open(choice.endpoint)
            is_known = len(self.router) > 0
        self._retire(removed)
        if choice is None or channel is None:
            if is_known:
                return None
            raise self._no_servers()
        return choice, channel

    def channel(self, endpoint: Endpoint) -> Channel | None:
        """Gives the channel to a server that was picked; None if that was removed meanwhile."""
        with self._lock:
            return None if endpoint.state is State.REMOVED else self._open(endpoint)

    def _open(self, endpoint: Endpoint) -> Channel:
        channel: Channel | None = endpoint.channel
        if channel is None:
            if self._closed:
                raise Unavailable("the channel is closed; the call was not sent")
            channel = endpoint.channel = self._new_channel(endpoint.instance)
        return channel

    def succeeded(self, endpoint: Endpoint) -> None:
        """A call to a server that had failed before was answered."""
        with self._lock:
            was, is_back = endpoint.state, endpoint.state is not State.READY
            self.router.succeeded(endpoint)
        if is_back and was is not State.REMOVED:
            _log.info("%s answers again: it gets calls", endpoint.address)

    def failed(self, endpoint: Endpoint, error: CallError, is_probe: bool) -> None:
        """A call to a server ended in one of ``FAILURES``."""
        now = time.monotonic()
        with self._lock:
            was = endpoint.state
            removed = self.router.failed(endpoint, error, now, is_probe=is_probe)
            state, until = endpoint.state, endpoint.until
        self._retire(removed)
        if was is State.READY and state is State.EJECTED:
            _log.warning("%s gets no calls for %.2g s: %s", endpoint.address, until - now, error.problem)

    def gave_up(self, endpoint: Endpoint) -> None:
        """A probe ended without telling anything of the server."""
        with self._lock:
            self.router.gave_up(endpoint)

    def _retire(self, endpoints: list[Endpoint]) -> None:
        """Lets servers go that are listed no more: running calls end as they would."""
        with self._lock:
            self._leaving.update(endpoints)
            self._leaving = {endpoint for endpoint in self._leaving if endpoint.running}
        for endpoint in endpoints:
            if endpoint.channel is not None:
                endpoint.channel.retire()

    def _no_servers(self) -> NoServers:
        url, place = self._registry.url, self._registry.path(self.name)
        of = f"service {self.name}" if self.name else "the file's own service"
        hint = f"is a server registered? rpcgen ls {url}"
        if self._seen is None:
            problem = (
                f"does not answer: {self._problem}" if self._problem else f"has not answered yet; {hint}"
            )
            return NoServers(f"nothing is known of {of} at {url} ({place}): the registry {problem}")
        at, count = self._seen
        seen = f"{count}, none of which has an address to call" if count else "none"
        problem = f"; since then it does not answer: {self._problem}" if self._problem else ""
        return NoServers(
            f"no server of {of} is registered at {url} ({place}): "
            f"it listed {seen}, {time.monotonic() - at:.1f} s ago{problem}; {hint}"
        )

    def end(self) -> None:
        """Takes no more lists, opens no more channels, and lets go who waits. Again is harmless."""
        with self._lock:
            self._closed = True
        self._heard.open()

    def unwatch(self) -> None:
        """Ends the watch; the registry may have to be waited for."""
        if self._watch is not None:
            self._watch.close()

    def channels(self) -> list[Channel]:
        """Gives the channels to all servers, to close; takes no lock, which a forked child might wait for."""
        endpoints = (*self.router.endpoints, *self._leaving)
        return [endpoint.channel for endpoint in endpoints if endpoint.channel is not None]
