"""What channels to all servers of a registry are before they call, blocking and asyncio: all that decides.

A usual call takes no lock: it asks the balancer's picker for a server and calls by that one's own channel.
What is unusual (no list yet, a failure, a server to probe) goes the careful way: a generator of steps,
which the shell takes.
"""

from __future__ import annotations

import abc
import os
import typing
import weakref
from time import monotonic

from rpcgen.runtime.discovery.tries import (
    MOVING,
    TELLING,
    Try,
    Wait,
    may_move,
    told,
    was_taken_off,
)
from rpcgen.runtime.errors import (
    CallError,
    ContractMismatch,
    DeadlineExceeded,
    EncodeError,
    NoServers,
    RemoteException,
    RemoteFault,
    RpcError,
    Unavailable,
)
from rpcgen.runtime.options import checked_timeout, checked_tries, end_of_call
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.contracts import Contracts
    from rpcgen.runtime.discovery.balancers import Balancer
    from rpcgen.runtime.discovery.health import Endpoint
    from rpcgen.runtime.discovery.routing import Choice
    from rpcgen.runtime.discovery.service import Channel, Service
    from rpcgen.runtime.discovery.tries import Failed, Steps
    from rpcgen.runtime.interceptors import Call, Interceptor
    from rpcgen.runtime.registry import Instance, Registry
    from rpcgen.runtime.stubs import MessageProtocol

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]
    Metadata: typing.TypeAlias = collections.abc.Mapping[str, bytes]

TRIES = 3
"""That a call may take."""

_FRAMED_ALONE = ("credentials", "compress", "keepalive", "multiplex")
"""Options of which a server hears nothing that is spoken to in plain."""

_channels: weakref.WeakSet[Distribution] = weakref.WeakSet()


def _begin_anew() -> None:
    for channel in list(_channels):
        channel._begin_anew()


os.register_at_fork(after_in_child=_begin_anew)


class Distribution(abc.ABC):
    """A channel to many servers, but for the calling itself. The shells say what its options mean.

    Args:
        registry: Or its URL, or None.
        service: Whose servers are called; None: each method's.
        **of_servers: Options of the channels to the servers.
    """

    def __init__(
        self,
        registry: Registry | str | None,
        service: str | None,
        *,
        balancer: Balancer | None = None,
        zone: str | None = None,
        timeout: float | None = None,
        protocol: str | None = None,
        interceptors: collections.abc.Sequence[Interceptor] = (),
        tries: int = TRIES,
        start_wait: float = 5.0,
        cache: str | os.PathLike[str] | None = None,
        **of_servers: typing.Any,
    ) -> None:
        from rpcgen.runtime.discovery.balancers import LeastLoaded
        from rpcgen.runtime.discovery.cache import ListCache
        from rpcgen.runtime.registry import Instance, Registry, open_registry
        from rpcgen.runtime.tls import client_context

        if not start_wait >= 0:
            raise ValueError(f"start_wait is a number of seconds from 0 up, not {start_wait!r}")
        made = client_context(of_servers.get("tls"))
        if made is not None and made[1] is None:
            of_servers["tls"] = made[0]  # certificates are read once
        self._protocol = protocol
        self._contracts: Contracts | None = None
        self._of_servers = of_servers
        self._limits = of_servers.get("limits", DEFAULT_LIMITS)
        self._timeout = checked_timeout(timeout)
        self._tries = checked_tries(tries)
        self._interceptors = tuple(interceptors)
        # What is wrong with the options of servers' channels is told now, not when the first one is called.
        self._new_channel(Instance("127.0.0.1", 1, protocols=(protocol or "framed",)))
        self._start_wait = start_wait
        self._service = service
        self._balancer = LeastLoaded() if balancer is None else balancer
        self._zone = zone or ""
        self._url = None if isinstance(registry, Registry) else registry
        self._registry: Registry | None = (
            registry if isinstance(registry, Registry) else open_registry(registry)
        )
        self._is_own = not isinstance(registry, Registry)
        self.registry_url = self._registry.url
        """Of the registry, without secrets."""
        self._cache = None if cache is None else ListCache(cache, self.registry_url)
        self._closed = False
        self._inherited: list[Service] = []
        self._start()
        _channels.add(self)

    def _start(self) -> None:
        import threading

        from rpcgen.runtime.discovery.budget import RetryBudget
        from rpcgen.runtime.discovery.latch import Latch

        self._lock = threading.Lock()
        self._closing = Latch()
        self._budget = RetryBudget(monotonic())
        self._services: dict[str, Service] = {}
        self._ways: dict[Protocol, Service] = {}
        """Method → the service whose servers are called for it."""

    @abc.abstractmethod
    def _kind(self) -> collections.abc.Callable[..., Channel]:
        """Gives what makes a channel to one server; loaded when it is needed."""

    def _new_channel(self, instance: Instance) -> Channel:
        """Makes the channel to a server, which is spoken to as its entry says."""
        options, protocol = self._of_servers, self._protocol
        if protocol is None:
            protocol = "framed" if "framed" in instance.protocols else "plain"
        if protocol == "plain":
            options = {name: value for name, value in options.items() if name not in _FRAMED_ALONE}
        channel = self._kind()(instance.host, instance.port or None, protocol=protocol, **options)
        # Each version is asked for once, whichever servers have it.
        self._contracts = channel.versions.contracts = self._contracts or channel.versions.contracts
        return channel

    # A usual call

    def _pick(
        self, protocol: Protocol, args: tuple[object, ...], now: float
    ) -> tuple[Service, Endpoint, Channel] | None:
        """Gives the server of a usual call, and counts the call; None: the careful way."""
        service = self._ways.get(protocol)
        if service is None or now >= service.router.look_at:
            return None
        endpoint = service.router.pick(protocol, args, ())
        channel = endpoint.channel or service.channel(endpoint)
        if channel is None:
            return None
        self._budget.calls += 1
        return service, endpoint, channel

    def _judge(self, service: Service, endpoint: Endpoint, error: RpcError, begin: float) -> Failed | None:
        """Notes how a usual call failed; gives what the careful way goes on from, None where that is its end."""
        if isinstance(error, MOVING):
            failed: Failed = [] if was_taken_off(endpoint, error) else [(endpoint, error)]
            self._count_failure(service, endpoint, error, False, begin)
            return failed
        if isinstance(error, EncodeError):
            error.peer = None
        elif isinstance(error, RemoteException | RemoteFault) and endpoint.failures:
            service.succeeded(endpoint)
        return None

    # The careful way

    def _careful(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None,
        tries: int | None,
        begin: float,
        failed: Failed,
    ) -> Steps:
        """Calls, or goes on with a call that failed: looks at everything that a usual call passes by.

        Returns:
            What the method returned.
        """
        end = end_of_call(protocol, timeout, self._timeout, begin)
        most = self._tries if tries is None else tries
        try:
            if not failed:
                # What cannot be sent is the caller's error, whether servers are known or not.
                protocol.codec().encode_call(args, self._limits)
                self._budget.calls += 1
            while not failed or self._may_go_on(protocol, failed, most, end):
                service = self._ways.get(protocol) or self._follow(protocol)
                yield from service.first_list(end)
                if self._closed:
                    raise Unavailable("the channel is closed; the call was not sent", method=protocol.name)
                chosen = service.choose(protocol, args, [server for server, _ in failed], self._may_probe())
                if chosen is None:
                    pause = self._pause(len(failed), end)
                    if pause is None or (yield Wait(self._closing, pause)):
                        break
                    chosen = service.choose(protocol, args, [], self._may_probe())
                    if chosen is None:
                        break
                choice, channel = chosen
                try:
                    return (yield from self._try(service, choice, channel, protocol, end))
                except MOVING as error:
                    if not was_taken_off(choice.endpoint, error):
                        failed.append((choice.endpoint, error))
            raise told(failed)
        except NoServers as error:
            error.method = protocol.name
            if not failed:
                raise
            raise told([*failed, (None, error)]) from None
        except EncodeError as error:
            error.method = protocol.name
            error.peer = None
            raise
        finally:
            # The errors know this frame by their tracebacks; it shall not know them, too.
            failed.clear()

    def _try(
        self, service: Service, choice: Choice, channel: Channel, protocol: Protocol, end: float | None
    ) -> Steps:
        """Calls one server, and tells the router what came of it."""
        endpoint, is_probe = choice
        begin, is_told = monotonic(), False
        endpoint.running.append(None)
        try:
            if end is not None and begin >= end:
                raise DeadlineExceeded("the time was up before the call was sent", method=protocol.name)
            result = yield Try(channel, None if end is None else end - begin)
        except MOVING as error:
            is_told = self._count_failure(service, endpoint, error, is_probe, begin)
            raise
        except (RemoteException, RemoteFault):
            is_told = True
            service.succeeded(endpoint)
            raise
        else:
            is_told = True
            if endpoint.failures or is_probe:
                service.succeeded(endpoint)
            return result
        finally:
            endpoint.running.pop()
            if is_probe and not is_told:
                service.gave_up(endpoint)

    def _may_go_on(self, protocol: Protocol, failed: Failed, most: int, end: float | None) -> bool:
        """Whether a call that failed may be tried again; counts it if so."""
        error = failed[-1][1]
        now = monotonic()
        if (
            not may_move(error, protocol.idempotent)
            or len(failed) >= most
            or self._closed
            or (end is not None and now >= end)
        ):
            return False
        if isinstance(error, ContractMismatch):
            return True  # it has cost no server anything
        with self._lock:
            return self._budget.take(now)

    def _may_probe(self) -> bool:
        """Whether a call that fails at a server that was ejected can go to another one."""
        with self._lock:
            return self._budget.has(monotonic())

    def _pause(self, failures: int, end: float | None) -> float | None:
        """Gives the seconds before a server gets the same call again; None: the call's time does not allow it."""
        import random

        from rpcgen.runtime.backoff import backoff

        wait = backoff(failures, random.random)
        return None if end is not None and monotonic() + wait >= end else wait

    def _count_failure(
        self, service: Service, endpoint: Endpoint, error: CallError, is_probe: bool, begin: float
    ) -> bool:
        """Holds a failure against a server, if it tells anything of it."""
        if isinstance(error, ContractMismatch):
            return False  # it serves those who have its version
        if self._closed or (isinstance(error, DeadlineExceeded) and monotonic() - begin < TELLING):
            return False
        service.failed(endpoint, error, is_probe)
        return True

    def _follow(self, protocol: Protocol) -> Service:
        """Gives the service whose servers are called for a method."""
        from rpcgen.runtime.discovery.service import Service
        from rpcgen.runtime.registry import open_registry

        name = protocol.name.rpartition(".")[0] if self._service is None else self._service
        with self._lock:
            if self._closed:
                raise Unavailable("the channel is closed; the call was not sent", method=protocol.name)
            inherited, self._inherited = self._inherited, []
            if self._registry is None:
                self._registry = open_registry(self._url)
            service = self._services.get(name)
            if service is None:
                service = Service(
                    name,
                    self._registry,
                    self._balancer,
                    self._zone,
                    self._cache,
                    self._start_wait,
                    self._new_channel,
                )
                service.follow()
                self._services[name] = service
            self._ways[protocol] = service
        _leave(inherited)
        return service

    # Around a call, and the end

    def _seen_by_interceptors(
        self, protocol: Protocol, args: tuple[object, ...], timeout: float | None, metadata: Metadata | None
    ) -> Call:
        from rpcgen.runtime.interceptors import client_call

        end = end_of_call(protocol, timeout, self._timeout, monotonic())
        return client_call(protocol, args, end, metadata)

    def _begin_anew(self) -> None:
        """In a forked child: leaves what was there to the parent. Nothing is closed before the first use."""
        self._inherited += self._services.values()
        if self._contracts is not None:
            self._contracts.forget()
        self._start()
        if self._is_own:
            self._registry = None

    def _end(self) -> tuple[list[Service], Registry | None]:
        """Starts no call any more, and ends what waits; gives what is to be closed: services, then the registry."""
        with self._lock:
            self._closed = True
            services, self._services, self._ways = list(self._services.values()), {}, {}
            inherited, self._inherited = self._inherited, []
            registry = self._registry if self._is_own else None
        self._closing.open()
        for service in services:
            service.end()
        _leave(inherited)
        return services, registry

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a channel cannot be pickled: give the other process the registry's URL")


def _leave(inherited: list[Service]) -> None:
    """In a forked child: closes its copies of the parent's connections."""
    for service in inherited:
        for channel in service.channels():
            channel.retire()
