"""The same server for the same key: consistent hashing on a ring.

Each server stands at many points of a circle, a key belongs to the next point after its own.
So a server that goes leaves its keys to many others, and no other key moves. Servers that
are ejected stay on the ring and are passed over.
"""

from __future__ import annotations

import array
import hashlib
import math
import random as _random
import struct
import typing
from bisect import bisect

from rpcgen.runtime.schema import DEFAULT

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.balancers import Draw, Endpoints, Picker
    from rpcgen.runtime.discovery.health import Endpoint
    from rpcgen.runtime.stubs import MessageProtocol

    Key: typing.TypeAlias = (
        "collections.abc.Callable[[type[MessageProtocol[typing.Any]], tuple[typing.Any, ...]], object]"
    )

POINTS = 64
"""Of a server whose weight is the ring's scale: servers' shares differ by about an eighth."""

_SLOTS = 1 << 24
"""The low bits of a point are its server's slot."""

_FROM_DIGEST = struct.Struct(">8Q")


class ConsistentHash:
    """All calls with one key go to one server, whichever client they come from.

    When a server comes or goes, few keys move. Methods without the key go to any server.

    Args:
        key: The name of the argument that is the key, or a function of the method's protocol
            and its arguments (in the IDL's order) that gives it; None from that: any server.
            Of keys that are neither text, bytes nor numbers, ``str()`` is the key.
        random: Gives a number from 0 up to 1.
    """

    def __init__(self, key: str | Key, random: Draw = _random.random) -> None:
        self._key = _argument(key) if isinstance(key, str) else key
        self._random = random
        self._ring = _Ring({})

    def picker(self, endpoints: Endpoints) -> Picker:
        """See ``Balancer``."""
        ring = self._ring = self._ring.fitting(endpoints)
        points, size = ring.points, len(ring.points)
        servers: list[Endpoint | None] = [None] * len(ring.slots)
        for endpoint in endpoints:
            servers[ring.slots[endpoint.address]] = endpoint
        key_of, random = self._key, self._random

        def pick(
            protocol: type[MessageProtocol[typing.Any]], args: tuple[object, ...], tried: Endpoints
        ) -> Endpoint:
            key = key_of(protocol, args)
            place = int(random() * size) if key is None else bisect(points, _hash(key))
            first: Endpoint | None = None
            for index in range(place, place + size):
                endpoint = servers[points[index % size] % _SLOTS]
                if endpoint is None:
                    continue
                if endpoint not in tried:
                    return endpoint
                first = first or endpoint
            assert first is not None
            return first

        return pick


def _argument(name: str) -> Key:
    """Gives what finds the argument of this name, in Python or in the IDL; None where there is none."""
    places: dict[type[MessageProtocol[typing.Any]], int | None] = {}

    def key(protocol: type[MessageProtocol[typing.Any]], args: tuple[typing.Any, ...]) -> object:
        try:
            place = places[protocol]
        except KeyError:
            names = [index for index, param in enumerate(protocol.params) if name in (param.name, param.attr)]
            place = places[protocol] = names[0] if names else None
        if place is None:
            return None
        return protocol.params[place].default if args[place] is DEFAULT else args[place]

    return key


def _hash(key: object) -> int:
    """The same in every process, unlike ``hash()``."""
    data = key if isinstance(key, bytes) else str(key).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


class _Ring:
    """Points in order, each with its server's slot in its low bits.

    Args:
        weights: Address → weight, of all servers on it; a slot each, in this order.
        base: A ring of the first of these servers, with the same scale.
    """

    def __init__(self, weights: dict[str, float], base: _Ring | None = None) -> None:
        self.weights = weights
        self.slots = {address: slot for slot, address in enumerate(weights)}
        self.scale: float = _scale(weights.values()) if base is None else base.scale
        known = {} if base is None else base.weights
        found = [] if base is None else base.points.tolist()
        for address, weight in weights.items():
            if address not in known:
                found += _points(address, max(1, round(POINTS * weight / self.scale)), self.slots[address])
        found.sort()
        self.points: array.array[int] = array.array("Q", found)

    def fitting(self, endpoints: Endpoints) -> _Ring:
        """Gives this ring, or this one with more servers, or a new one: where keys go is the same on each.

        So all clients with one list agree, whatever they saw before.
        """
        known = self.weights
        weights = {endpoint.address: endpoint.weight for endpoint in endpoints}
        together = known | weights
        if (
            len(together) > 2 * len(weights)
            or self.scale != _scale(weights.values())
            or any(together[address] != known[address] for address in known)
        ):
            return _Ring(weights)
        return self if len(together) == len(known) else _Ring(together, self)


def _scale(weights: collections.abc.Iterable[float]) -> float:
    """Gives the power of two next to the heaviest weight: it seldom changes when servers come and go."""
    heaviest = max(weights, default=0.0)
    return 2.0 ** math.ceil(math.log2(heaviest)) if heaviest else 1.0


def _points(address: str, count: int, slot: int) -> list[int]:
    """Gives the first points of a server: with a larger count there are more, and none moves."""
    points: list[int] = []
    name = address.encode()
    for number in range(0, count, 8):
        digest = hashlib.blake2b(name, salt=number.to_bytes(8, "big")).digest()
        points += [point - point % _SLOTS + slot for point in _FROM_DIGEST.unpack(digest)]
    return points[:count]
