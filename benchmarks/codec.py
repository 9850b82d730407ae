"""The message codec: six messages, encoded from the objects a user holds, decoded and read; and many of them held.

Ours are replies, through ``MethodCodec``. Peers take part where they are installed; ratios
are of the same run, rounds alternated.
"""

from __future__ import annotations

import collections.abc
import time
import typing

from benchmarks import codec_peers
from benchmarks.codec_messages import MESSAGES, READ
from benchmarks.codec_peers import Work
from benchmarks.figures import Figure, alternate, from_rounds, ratios
from rpcgen.runtime.wire.plain import MethodCodec, native
from rpcgen.runtime.wire.tailed import Tailed

GOALS = {
    "encode": {"S": 0.95, "M": 0.50, "L": 0.60, "N": 0.60, "P": 0.75, "B": 1.05},
    "decode": {"S": 0.85, "M": 0.80, "L": 0.75, "N": 0.97, "P": 0.85, "B": 1.05},
}
"""At most so many times msgspec (as arrays, without garbage collection) or the best of all, for the codec in C."""

AGAINST = {"encode": "msgspec", "decode": "the best peer"}

PYTHON_PEERS = (codec_peers.FILLED, "thriftpy2")
"""Whom the codec in Python is held against: it is ahead where ``PYTHON_AHEAD`` says, else never far behind."""

PYTHON_AHEAD = {("S", "encode"), ("M", "encode")}
PYTHON_BEHIND = 2.5

HELD = 60
HELD_GOAL = 0.6
"""So many L are decoded and kept; at most so many times msgspec."""

LOOPS = {"S": 8_000, "M": 2_000, "L": 2, "N": 2, "P": 20, "B": 80}
"""How often a message is encoded in one try; seconds are too long, one is too few."""

TRIES = 3
"""Of which the quickest counts: what other programs of the machine take only ever adds."""


def run(quick: bool) -> typing.Iterable[Figure]:
    """Measures every message with every codec that is installed."""
    contenders = {"rpcgen": _ours} | {
        name: make for name, make in codec_peers.PEERS.items() if codec_peers.installed(name)
    }
    for peer in codec_peers.PEERS.keys() - contenders.keys():
        yield Figure("codec", peer, None, "µs", note="not installed: make peers")
    for message in MESSAGES:
        loops = max(1, LOOPS[message] // 50) if quick else LOOPS[message]
        made = {name: make(message) for name, make in contenders.items()}
        for place, direction in enumerate(GOALS):
            names = [name for name in made if (name, direction) != (codec_peers.FILLED, "decode")]
            works = {name: _timed(made[name][place], loops) for name in names}
            yield from _figures(message, direction, alternate(works, 2 if quick else 9))
        if message == "L":
            held = {
                name: _held(work[1], HELD // 10 if quick else HELD)
                for name, work in made.items()
                if name != codec_peers.FILLED
            }
            yield from _held_figures(alternate(held, 1 if quick else 9))


def _figures(
    message: str, direction: str, measured: collections.abc.Mapping[str, list[float]]
) -> typing.Iterable[Figure]:
    group = f"codec, {direction}"
    for name, rounds in measured.items():
        yield from_rounds(group, f"{message} {name}", rounds, "µs")
    peers = {name: rounds for name, rounds in measured.items() if name != "rpcgen"}
    if peers:
        peers["the best peer"] = [min(found) for found in zip(*peers.values(), strict=True)]
    for peer, rounds in peers.items():
        yield from_rounds(
            group,
            f"{message} ÷ {peer}",
            ratios(measured["rpcgen"], rounds),
            "×",
            at_most=_goal(message, direction, peer),
        )


def _goal(message: str, direction: str, peer: str) -> float | None:
    if native:
        return GOALS[direction][message] if peer == AGAINST[direction] else None
    if peer not in PYTHON_PEERS and (peer, direction) != ("protobuf", "decode"):
        return None
    return 1.0 if (message, direction) in PYTHON_AHEAD else PYTHON_BEHIND


def _held_figures(measured: collections.abc.Mapping[str, list[float]]) -> typing.Iterable[Figure]:
    group = f"codec, {HELD} L decoded and held"
    for name, rounds in measured.items():
        yield from_rounds(group, name, rounds, "µs each")
    for peer, rounds in measured.items():
        if peer != "rpcgen":
            goal = HELD_GOAL if native and peer == "msgspec" else None
            yield from_rounds(
                group, f"rpcgen ÷ {peer}", ratios(measured["rpcgen"], rounds), "×", at_most=goal
            )


def _timed(work: Work, loops: int) -> collections.abc.Callable[[], float]:
    def once() -> float:
        start = time.perf_counter()
        for _ in range(loops):
            work()
        return (time.perf_counter() - start) / loops * 1e6

    work()
    return lambda: min(once() for _ in range(TRIES))


def _held(decode: Work, count: int) -> collections.abc.Callable[[], float]:
    def microseconds() -> float:
        start = time.perf_counter()
        held = [decode() for _ in range(count)]
        spent = time.perf_counter() - start
        del held
        return spent / count * 1e6

    return microseconds


def _ours(message: str) -> tuple[Work, Work]:
    type_, value = MESSAGES[message]
    codec = MethodCodec("get", (), (), type_, ())
    # The peers give one piece, and read one: so do we here, where a call would have no use for it.
    is_long = isinstance(codec.encode_reply(value), Tailed)
    data = bytes(codec.encode_reply(value))
    read = READ[message]
    codec.decode_reply(data)
    encode_reply, decode_reply = codec.encode_reply, codec.decode_reply
    encode = (lambda: bytes(encode_reply(value))) if is_long else (lambda: encode_reply(value))
    return encode, lambda: read(decode_reply(data))
