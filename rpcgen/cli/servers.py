"""Servers of a registry, called as `doctor` does: connected to, and asked for their health."""

from __future__ import annotations

import time
import typing

from rpcgen import runtime as rpc
from rpcgen.cli.registry_checks import Outcome
from rpcgen.runtime.address import Address
from rpcgen.runtime.dispatch import Health
from rpcgen.runtime.sync.client.dial import dial

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.registry import Instance

CALLERS = 32
"""Servers that are called at once."""

ROUNDS = 15
"""All together take at most so many times the time of one, and that of one more."""


def call_all(
    servers: collections.abc.Sequence[tuple[str, Instance]], timeout: float, rounds: float = ROUNDS
) -> list[Outcome]:
    """Asks each server (service, instance) for its health, many at once; gives how each answered.

    Args:
        timeout: Seconds for each.
        rounds: After so many times as long no further one is begun: it is ``untried``.
    """
    import concurrent.futures

    end = time.monotonic() + timeout * rounds

    def call_in_time(server: tuple[str, Instance]) -> Outcome:
        if time.monotonic() >= end:
            return Outcome("untried", f"others took all of the {timeout * rounds:g} s")
        return call(*server, timeout)

    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        try:
            return list(pool.map(call_in_time, servers))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def call(service: str, instance: Instance, timeout: float) -> Outcome:
    """Connects, and asks for the health of the service, within so many seconds."""
    end = time.monotonic() + timeout
    try:
        address = Address.parse(instance.address)
        dial(address, end).close()
    except (rpc.Unavailable, rpc.DeadlineExceeded) as error:
        return Outcome("unreachable", error.problem)
    except (ValueError, OSError) as error:
        return Outcome("unreachable", str(error))
    try:
        with rpc.connect(str(address), timeout=max(0.001, end - time.monotonic())) as channel:
            healthy = channel.call(Health, (service or None,))
    except (rpc.DeadlineExceeded, rpc.Unavailable) as error:
        return Outcome("silent", error.problem)
    except rpc.RemoteFault as error:
        # A server of another kind has methods of its own alone.
        unknown = error.code is rpc.FaultCode.UNKNOWN_METHOD
        return Outcome("") if unknown else Outcome("unhealthy", error.problem)
    except (rpc.ConnectionLost, rpc.ProtocolError) as error:
        # One that announces no more than host and port need not know the method, either.
        return Outcome("stranger", error.problem) if instance.started or instance.methods else Outcome("")
    if healthy:
        return Outcome("")
    return Outcome("unhealthy", f"it does not serve {service}, or is ending" if service else "it is ending")
