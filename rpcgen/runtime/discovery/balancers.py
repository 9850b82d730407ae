"""Who gets a call: at random, in turn, or whoever has less to do. See ``hashing`` for the same for a key.

A balancer makes a picker for a list of servers, whenever that changes; the picker is asked
at each call, by many threads at once, and takes no lock.
"""

from __future__ import annotations

import itertools
import random as _random
import typing
from bisect import bisect

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.health import Endpoint
    from rpcgen.runtime.stubs import MessageProtocol

    Endpoints: typing.TypeAlias = "collections.abc.Sequence[Endpoint]"
    Draw: typing.TypeAlias = "collections.abc.Callable[[], float]"
    """Gives a number from 0 up to 1."""

Picker: typing.TypeAlias = (
    "collections.abc.Callable[[type[MessageProtocol[typing.Any]], tuple[object, ...], Endpoints], Endpoint]"
)
"""``picker(protocol, arguments, tried)`` gives the server for a call.

``tried`` are those at which this very call has failed. A picker may give one of them again:
then another one is taken at random.
"""


class Balancer(typing.Protocol):
    """What decides who gets a call. Your own may be as small as this one::

    class Newest:
        \"\"\"All calls to the server that was started last.\"\"\"

        def picker(self, endpoints):
            newest = max(endpoints, key=lambda endpoint: endpoint.instance.started)
            return lambda protocol, args, tried: newest

    channel = rpc.DistributedChannel("zk://127.0.0.1:2181/rpc", balancer=Newest())
    """

    def picker(self, endpoints: collections.abc.Sequence[Endpoint]) -> Picker:
        """Gives what picks one of these servers for each call.

        Called when servers come, go, fail or recover, and for each service of a channel;
        it must not block. The picker is called by many threads at once.

        Args:
            endpoints: At least one; none is ejected, all are in the client's zone if it
                prefers one that can serve; their weights are all above 0, or all 0.
        """


class LeastLoaded:
    """Of two servers taken at random, the one where fewer of this client's calls run. The default.

    So a slow server gets fewer calls, and no crowd runs to the one that looks idle (power of
    two choices). Weights count both when the two are taken and when they are compared.

    Args:
        random: Gives a number from 0 up to 1.
    """

    def __init__(self, random: Draw = _random.random) -> None:
        self._random = random

    def picker(self, endpoints: Endpoints) -> Picker:
        """See ``Balancer``."""
        random, count = self._random, len(endpoints)
        servers = tuple(endpoints)
        if count == 1:
            return _always(servers[0])
        cumulative = _cumulative(servers)
        if cumulative is not None:
            return self._weighted(servers, cumulative)
        others = count - 1

        def pick(protocol: object, args: object, tried: object) -> Endpoint:
            index = int(random() * count)
            one = servers[index]
            # One of the others: counted on from the first, and round the end by a negative index.
            other = servers[index - others + int(random() * others)]
            return other if len(other.running) < len(one.running) else one

        return pick

    def _weighted(self, servers: tuple[Endpoint, ...], cumulative: list[float]) -> Picker:
        random, total = self._random, cumulative[-1]
        last = len(servers) - 1

        def pick(protocol: object, args: object, tried: object) -> Endpoint:
            one = servers[min(bisect(cumulative, random() * total), last)]
            other = servers[min(bisect(cumulative, random() * total), last)]
            is_freer = len(other.running) * one.weight < len(one.running) * other.weight
            return other if is_freer else one

        return pick


class Random:
    """Any server, by weight.

    Args:
        random: Gives a number from 0 up to 1.
    """

    def __init__(self, random: Draw = _random.random) -> None:
        self._random = random

    def picker(self, endpoints: Endpoints) -> Picker:
        """See ``Balancer``."""
        random, count = self._random, len(endpoints)
        servers = tuple(endpoints)
        cumulative = _cumulative(servers)
        if cumulative is None:
            return lambda protocol, args, tried: servers[int(random() * count)]
        total, table, last = cumulative[-1], cumulative, count - 1
        return lambda protocol, args, tried: servers[min(bisect(table, random() * total), last)]


_FULL = 65535
"""The heaviest server's weight in a turn; a lighter one is passed over in some turns."""


class RoundRobin:
    """One server after the other. A lighter one is left out of some rounds, evenly spread over them.

    Weights are those of gRPC's static stride scheduler: a number that only grows decides, so
    that no lock is needed. Each client begins somewhere else.

    Args:
        random: Gives a number from 0 up to 1; decides where to begin.
    """

    def __init__(self, random: Draw = _random.random) -> None:
        self._random = random

    def picker(self, endpoints: Endpoints) -> Picker:
        """See ``Balancer``."""
        servers, count = tuple(endpoints), len(endpoints)
        turns = itertools.count(int(self._random() * count))
        if _cumulative(servers) is None:
            return lambda protocol, args, tried: servers[next(turns) % count]
        heaviest = max(endpoint.weight for endpoint in servers)
        weights = [max(1, round(_FULL * endpoint.weight / heaviest)) for endpoint in servers]

        def pick(protocol: object, args: object, tried: object) -> Endpoint:
            while True:
                turn, index = divmod(next(turns), count)
                # The offset keeps equal ones from being left out of the same round.
                if (weights[index] * turn + index * (_FULL // 2)) % _FULL >= _FULL - weights[index]:
                    return servers[index]

        return pick


def _cumulative(endpoints: Endpoints) -> list[float] | None:
    """Gives the sums of weights up to each server; None where all weigh the same."""
    weights = [endpoint.weight for endpoint in endpoints]
    return None if len(set(weights)) == 1 else list(itertools.accumulate(weights))


def _always(endpoint: Endpoint) -> Picker:
    return lambda protocol, args, tried: endpoint
