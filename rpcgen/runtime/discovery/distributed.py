"""A channel to all servers of a registry: each call goes to one, and to another if that one fails.

This is the blocking shell of ``distribution``, which decides. Generated modules name this class: what a
program without a registry does not need is loaded when a channel is made.
"""

from __future__ import annotations

import typing
from time import monotonic

from rpcgen.runtime.closing import Closing
from rpcgen.runtime.discovery.distribution import Distribution
from rpcgen.runtime.discovery.tries import Wait
from rpcgen.runtime.errors import RpcError
from rpcgen.runtime.options import receiving

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.distribution import Metadata, Protocol
    from rpcgen.runtime.discovery.options import DistributedOptions
    from rpcgen.runtime.discovery.tries import Steps
    from rpcgen.runtime.registry import Registry


class DistributedChannel(Distribution, Closing):
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
        limits, credentials, tls, compress, multiplex, contract: Of the channels to the servers: see
            ``rpc.Channel``. A call that one server's version does not fit goes to another server.
        protocol: ``"framed"`` or ``"plain"`` to all servers; by default to each as its entry says.
        interceptors: What is done around each call, all its tries together; see ``rpc.Interceptor``.
        tries: That a call may take at most; 1: it is never tried again.
        start_wait: Seconds that calls wait for the registry's first list, within their deadline.
        cache: A file, or a folder, where the last list is kept, for starts without the registry.

    Raises:
        ValueError: The URL names no registry, or an option is out of its range.
        ImportError: The registry needs a package that is not installed.
        OSError: A certificate cannot be read.
    """

    def __init__(
        self,
        registry: Registry | str | None = None,
        service: str | None = None,
        **options: typing.Unpack[DistributedOptions],
    ) -> None:
        super().__init__(registry, service, **options)

    def _kind(self) -> collections.abc.Callable[..., typing.Any]:
        from rpcgen.runtime.discovery.server import ServerChannel

        return ServerChannel

    def call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None = None,
        tries: int | None = None,
        metadata: Metadata | None = None,
    ) -> typing.Any:
        """Calls a method; what stubs do.

        Args:
            protocol: The method's.
            args: All of them, positionally; ``rpc.DEFAULT`` leaves one out.
            timeout: Seconds, instead of the IDL's and the channel's.
            tries: At most, instead of the channel's.
            metadata: That goes with the call, by name.

        Returns:
            What the method returned.

        Raises:
            NoServers: The registry lists none, or has not answered yet.
            EncodeError: An argument does not fit; no server was tried.
            ContractMismatch: The servers tried have another version of the method; nothing was sent.
            RemoteException: The method raised it.
            RemoteFault: The server refused or failed the call.
            Unavailable: The call was certainly not started, at none of the servers tried.
            ConnectionLost, DeadlineExceeded, Cancelled: The call may have run, or be running.
            ProtocolError: The reply is not one.
        """
        if not self._interceptors:
            return self._call(protocol, args, timeout, tries, metadata)

        from rpcgen.runtime.interceptors import through

        call = self._seen_by_interceptors(protocol, args, timeout, metadata)

        def proceed() -> typing.Any:
            return self._call(protocol, call.args, call.remaining(), tries, call.metadata or None)

        with receiving(call.reply_metadata):
            return through(self._interceptors, call, proceed)

    def _call(
        self,
        protocol: Protocol,
        args: tuple[object, ...],
        timeout: float | None,
        tries: int | None,
        metadata: Metadata | None,
    ) -> typing.Any:
        begin = monotonic()
        usual = self._pick(protocol, args, begin)
        if usual is None:
            return _do(self._careful(protocol, args, timeout, tries, begin, []), protocol, args, metadata)
        service, endpoint, channel = usual
        running = endpoint.running
        running.append(None)
        own = self._timeout if timeout is None and protocol.timeout is None else timeout
        try:
            result = channel.call(protocol, args, own, None, metadata)
        except RpcError as error:
            failed = self._judge(service, endpoint, error, begin)
            if failed is None:
                raise
        else:
            if endpoint.failures:
                service.succeeded(endpoint)
            return result
        finally:
            running.pop()
        return _do(self._careful(protocol, args, timeout, tries, begin, failed), protocol, args, metadata)

    def close(self) -> None:
        """Closes every connection; calls that run in other threads fail now. Again is harmless.

        A registry that was opened from a URL is closed as well.
        """
        services, registry = self._end()
        for service in services:
            service.unwatch()
            for channel in service.channels():
                channel.close()
        if registry is not None:
            registry.close()

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}channel to the servers of {self.registry_url}>"


def _do(steps: Steps, protocol: Protocol, args: tuple[object, ...], metadata: Metadata | None) -> typing.Any:
    """Takes the steps of a call; gives what it returned."""
    answer: typing.Any = None
    failure: BaseException | None = None
    try:
        while True:
            step = steps.send(answer) if failure is None else steps.throw(failure)
            failure = None
            try:
                if isinstance(step, Wait):
                    answer = step.latch.wait(step.seconds)
                else:
                    answer = step.channel.call(protocol, args, step.timeout, None, metadata)
            except BaseException as error:
                failure = error
    except StopIteration as done:
        return done.value
    finally:
        del failure  # it knows this frame by its traceback
