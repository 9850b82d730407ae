"""A channel to all servers of a registry: each call goes to one, and to another if that one fails.

A usual call takes no lock: it asks the balancer's picker and calls the picked server's own
channel. What is unusual (no list yet, a failure, a server to probe) goes the careful way,
which the router decides. Generated modules name this class: what a program without a
registry does not need is loaded when a channel is made.
"""

from __future__ import annotations

import os
import typing
import weakref
from time import monotonic

from rpcgen.runtime.discovery.tries import (
    MOVING,
    TELLING,
    may_move,
    told,
    was_taken_off,
)
from rpcgen.runtime.errors import (
    CallError,
    DeadlineExceeded,
    EncodeError,
    NoServers,
    RemoteException,
    RemoteFault,
    Unavailable,
)
from rpcgen.runtime.options import checked_timeout, checked_tries, current_deadline
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits

if typing.TYPE_CHECKING:
    import collections.abc
    import types

    from rpcgen.runtime.discovery.balancers import Balancer
    from rpcgen.runtime.discovery.health import Endpoint
    from rpcgen.runtime.discovery.routing import Choice
    from rpcgen.runtime.discovery.service import Service
    from rpcgen.runtime.discovery.tries import Failed
    from rpcgen.runtime.registry import Registry
    from rpcgen.runtime.stubs import MessageProtocol
    from rpcgen.runtime.sync.channel import Channel
    from rpcgen.runtime.sync.options import ChannelOptions

    Protocol: typing.TypeAlias = type[MessageProtocol[typing.Any]]

TRIES = 3
"""That a call may take."""

_channels: weakref.WeakSet[DistributedChannel] = weakref.WeakSet()


def _begin_anew() -> None:
    for channel in list(_channels):
        channel._begin_anew()


os.register_at_fork(after_in_child=_begin_anew)


class DistributedChannel:
    """Calls the servers that a registry lists. Give it to a stub: ``ClientStub(DistributedChannel())``.

    A call that was certainly not started goes to another server at once; one that was sent,
    only if its method is ``@idempotent``; all within its deadline, and within a budget: a
    fifth of the calls and ten a second. Servers that fail get no calls for a time. While the
    registry is away the last list stays.

    Nothing is connected before the first call. Many threads may share a channel. After a
    fork, the child begins anew.

    Args:
        registry: Where servers are found: a registry, or its URL (``zk://``, ``registry://``,
            ``static://``), which is then opened, and closed with the channel. None: what
            ``RPCGEN_REGISTRY`` says, else ``zk://127.0.0.1:2181/rpc``.
        service: Whose servers are called; ``""`` for a file's own service. None: each method's.
        balancer: Decides who gets a call; ``rpc.LeastLoaded()`` by default.
        zone: Servers of this zone get all calls while one of them can serve.
        timeout: Seconds that a call may take, tries included, where neither the IDL
            (``@timeout``) nor ``rpc.with_options`` says otherwise. None waits for ever.
        max_connections: Calls at once to one server; further ones wait. None: no limit.
        limits: What is accepted in replies, and sent in calls.
        tries: That a call may take at most; 1: it is never tried again.
        start_wait: Seconds that calls wait for the registry's first list, within their deadline.
        cache: A file, or a folder, where the last list is kept, for starts without the registry.

    Raises:
        ValueError: The URL names no registry, or an option is out of its range.
        ImportError: The registry needs a package that is not installed.
    """

    def __init__(
        self,
        registry: Registry | str | None = None,
        service: str | None = None,
        *,
        balancer: Balancer | None = None,
        zone: str | None = None,
        timeout: float | None = None,
        max_connections: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        tries: int = TRIES,
        start_wait: float = 5.0,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        from rpcgen.runtime.discovery.balancers import LeastLoaded
        from rpcgen.runtime.discovery.cache import ListCache
        from rpcgen.runtime.registry import Registry, open_registry

        if max_connections is not None and max_connections < 1:
            raise ValueError(f"max_connections is at least 1, or None; not {max_connections!r}")
        if not start_wait >= 0:
            raise ValueError(f"start_wait is a number of seconds from 0 up, not {start_wait!r}")
        self._channel_options: ChannelOptions = {"max_connections": max_connections, "limits": limits}
        self._timeout = checked_timeout(timeout)
        self._limits = limits
        self._tries = checked_tries(tries)
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

        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._budget = RetryBudget(monotonic())
        self._services: dict[str, Service] = {}
        self._ways: dict[Protocol, Service] = {}
        """Method → the service whose servers are called for it."""

    def call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None = None,
        tries: int | None = None,
        metadata: collections.abc.Mapping[str, bytes] | None = None,
    ) -> typing.Any:
        """Calls a method; what stubs do.

        Args:
            protocol: The method's.
            args: All of them, positionally; ``rpc.DEFAULT`` leaves one out.
            timeout: Seconds, instead of the IDL's and the channel's.
            tries: At most, instead of the channel's.

        Returns:
            What the method returned.

        Raises:
            NoServers: The registry lists none, or has not answered yet.
            EncodeError: An argument does not fit; no server was tried.
            RemoteException: The method raised it.
            RemoteFault: The server refused or failed the call.
            Unavailable: The call was certainly not started, at none of the servers tried.
            ConnectionLost, DeadlineExceeded, Cancelled: The call may have run, or be running.
            ProtocolError: The reply is not one.
        """
        # A usual call is written out here: every function and lock on its way would be measured.
        begin = monotonic()
        service = self._ways.get(protocol)
        if service is None or begin >= service.router.look_at:
            return self._careful_call(protocol, args, timeout, tries, begin, [])
        endpoint = service.router.pick(protocol, args, ())
        channel = endpoint.channel or service.channel(endpoint)
        if channel is None:
            return self._careful_call(protocol, args, timeout, tries, begin, [])
        if timeout is None and protocol.timeout is None:
            timeout = self._timeout
        self._budget.calls += 1
        running = endpoint.running
        running.append(None)
        try:
            result = channel.call(protocol, args, timeout)
        except MOVING as error:
            failed: Failed = [] if was_taken_off(endpoint, error) else [(endpoint, error)]
            self._count_failure(service, endpoint, error, False, begin)
        except EncodeError as error:
            error.peer = None
            raise
        except (RemoteException, RemoteFault):
            if endpoint.failures:
                service.succeeded(endpoint)
            raise
        else:
            if endpoint.failures:
                service.succeeded(endpoint)
            return result
        finally:
            running.pop()
        return self._careful_call(protocol, args, timeout, tries, begin, failed)

    def _careful_call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None,
        tries: int | None,
        begin: float,
        failed: Failed,
    ) -> typing.Any:
        """Calls, or goes on with a call that failed: looks at everything that a usual call passes by."""
        end = self._end(protocol, timeout, begin)
        most = self._tries if tries is None else tries
        try:
            if not failed:
                # What cannot be sent is the caller's error, whether servers are known or not.
                protocol.codec().encode_call(args, self._limits)
                self._budget.calls += 1
            while not failed or self._may_go_on(protocol, failed, most, end):
                service = self._service_of(protocol, end)
                chosen = service.choose(protocol, args, [server for server, _ in failed], self._may_probe())
                if chosen is None:
                    if not self._pause(len(failed), end):
                        break
                    chosen = service.choose(protocol, args, [], self._may_probe())
                    if chosen is None:
                        break
                choice, channel = chosen
                try:
                    return self._try(service, choice, channel, protocol, args, end)
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
            raise
        finally:
            # The errors know this frame by their tracebacks; it shall not know them, too.
            failed.clear()

    def _try(
        self,
        service: Service,
        choice: Choice,
        channel: Channel,
        protocol: Protocol,
        args: tuple[object, ...],
        end: float | None,
    ) -> typing.Any:
        """Calls one server, and tells the router what came of it."""
        endpoint, is_probe = choice
        begin, is_told = monotonic(), False
        endpoint.running.append(None)
        try:
            if end is not None and begin >= end:
                raise DeadlineExceeded("the time was up before the call was sent", method=protocol.name)
            result = channel.call(protocol, args, None if end is None else end - begin)
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

    def _end(self, protocol: Protocol, timeout: float | None, begin: float) -> float | None:
        """Gives the call's deadline on the clock of ``time.monotonic``."""
        end = current_deadline.get()
        if timeout is None:
            timeout = self._timeout if protocol.timeout is None else protocol.timeout
        if timeout is not None and (end is None or begin + timeout < end):
            end = begin + timeout
        return end

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
        with self._lock:
            return self._budget.take(now)

    def _may_probe(self) -> bool:
        """Whether a call that fails at a server that was ejected can go to another one."""
        with self._lock:
            return self._budget.has(monotonic())

    def _pause(self, failures: int, end: float | None) -> bool:
        """Waits before a server gets the same call again; says whether it shall."""
        import random

        from rpcgen.runtime.backoff import backoff

        wait = backoff(failures, random.random)
        if end is not None and monotonic() + wait >= end:
            return False
        return not self._closing.wait(wait)

    def _count_failure(
        self, service: Service, endpoint: Endpoint, error: CallError, is_probe: bool, begin: float
    ) -> bool:
        """Holds a failure against a server, if it tells anything of it."""
        if self._closed or (isinstance(error, DeadlineExceeded) and monotonic() - begin < TELLING):
            return False
        service.failed(endpoint, error, is_probe)
        return True

    def _service_of(self, protocol: Protocol, end: float | None) -> Service:
        """Gives the service whose servers are called, as soon as its first list is there or is overdue."""
        service = self._ways.get(protocol) or self._follow(protocol)
        service.wait(end)
        if self._closed:
            raise Unavailable("the channel is closed; the call was not sent", method=protocol.name)
        return service

    def _follow(self, protocol: Protocol) -> Service:
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
                    self._channel_options,
                )
                service.follow()
                self._services[name] = service
            self._ways[protocol] = service
        for left in inherited:
            left.close_channels()
        return service

    def _begin_anew(self) -> None:
        """In a forked child: leaves what was there to the parent. Nothing is closed before the first use."""
        self._inherited += self._services.values()
        self._start()
        if self._is_own:
            self._registry = None

    def close(self) -> None:
        """Closes every connection; calls that run in other threads fail now. Again is harmless.

        A registry that was opened from a URL is closed as well.
        """
        with self._lock:
            self._closed = True
            services, self._services, self._ways = list(self._services.values()), {}, {}
            inherited, self._inherited = self._inherited, []
            registry = self._registry if self._is_own else None
        self._closing.set()
        for service in services:
            service.close()
        for left in inherited:
            left.close_channels()
        if registry is not None:
            registry.close()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a channel cannot be pickled: give the other process the registry's URL")

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}channel to the servers of {self.registry_url}>"
