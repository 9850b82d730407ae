"""The framed protocol's sessions: a client and a server that talk in memory, 64 calls in flight.

Beside them, in the same rounds, a bare framing loop: the same bytes, without checks, limits or
states. What the sessions take beyond it is the price of the protocol's rules.
"""

from __future__ import annotations

import collections.abc
import itertools
import statistics
import struct
import time
import typing

from benchmarks.figures import Figure, alternate, from_rounds
from rpcgen.runtime.wire.client import ClientSession
from rpcgen.runtime.wire.hello import Hello, encode_hello
from rpcgen.runtime.wire.server import ServerSession

GROUP = "session, a call"
GOAL = 1.4
WINDOW = 64
BLOCK = bytes.fromhex("01 000000c8 02 00000064")
REPLY = b"\x01" + bytes(8)
PARTS = ("client, sends a call", "server, takes a call", "server, sends a reply", "client, takes a reply")

_head = struct.Struct(">IHI").pack
_read = struct.Struct(">IHI").unpack_from
_clock = time.perf_counter


def run(quick: bool) -> collections.abc.Iterable[Figure]:
    """Measures each part of a call, and all of it."""
    loops = 20 if quick else 300
    measured: dict[str, list[list[float]]] = {"bare": [], "ours": []}

    def measuring(
        name: str, talk: collections.abc.Callable[[int], list[float]]
    ) -> typing.Callable[[], float]:
        def measure() -> float:
            measured[name].append(talk(loops))
            return sum(measured[name][-1])

        return measure

    rounds = alternate({"bare": measuring("bare", bare), "ours": measuring("ours", ours)}, 2 if quick else 15)
    for place, part in enumerate(PARTS):
        for name, label in (("ours", part), ("bare", f"{part}: bare loop")):
            yield from_rounds(GROUP, label, [each[place] for each in measured[name]], "µs")
    yield from_rounds(GROUP, "all", rounds["ours"], "µs")
    ratios = [mine / floor for mine, floor in zip(rounds["ours"], rounds["bare"], strict=True)]
    yield Figure(GROUP, "all ÷ bare loop", statistics.median(ratios), "×", min(ratios), max(ratios), GOAL)
    yield from_rounds(GROUP, "opening, both ends", [opening(loops) for _ in range(5)], "µs")


def bare(loops: int) -> list[float]:
    """Gives µs a call for each part, by a framing loop and nothing else."""
    name, spent, last = b"\x06divide\0\0\0\0", [0.0] * 4, 0
    waiting: dict[int, str] = {}
    for _ in range(loops):
        marks, out = [_clock()], []
        for _ in range(WINDOW):
            last += 1
            waiting[last] = "caller"
            out.append(_head(6 + len(name) + len(BLOCK), 0x100, last) + name + BLOCK)
        data = b"".join(out)
        marks.append(_clock())
        calls, pos = [], 0
        while pos < len(data):
            length, _, call_id = _read(data, pos)
            end, begin = pos + 4 + length, pos + 11 + data[pos + 10]
            calls.append((call_id, data[pos + 11 : begin].decode(), data[begin + 4 : end]))
            pos = end
        marks.append(_clock())
        data = b"".join([_head(6 + len(REPLY), 0x200, call_id) + REPLY for call_id, _, _ in calls])
        marks.append(_clock())
        replies, pos = [], 0
        while pos < len(data):
            length, _, call_id = _read(data, pos)
            end = pos + 4 + length
            replies.append((waiting.pop(call_id), data[pos + 10 : end]))
            pos = end
        _add(spent, [*marks, _clock()])
    return [part / loops / WINDOW * 1e6 for part in spent]


def ours(loops: int) -> list[float]:
    """Gives the same by two sessions."""
    client, server, spent = ClientSession(), ServerSession(), [0.0] * 4
    server.receive(b"".join(client.data_to_send()))
    client.receive(b"".join(server.data_to_send()))
    for _ in range(loops):
        marks = [_clock()]
        for _ in range(WINDOW):
            client.send_call("divide", BLOCK, caller="caller")
        (data,) = client.data_to_send()
        marks.append(_clock())
        calls = server.receive(data)
        marks.append(_clock())
        for call in calls:
            server.send_reply(call[1], REPLY)  # type: ignore[arg-type]
        (data,) = server.data_to_send()
        marks.append(_clock())
        client.receive(data)
        _add(spent, [*marks, _clock()])
    return [part / loops / WINDOW * 1e6 for part in spent]


def opening(loops: int) -> float:
    """Gives µs from two new sessions to the first reply."""
    encode_hello(Hello())
    begin = _clock()
    for _ in range(loops):
        client, server = ClientSession(), ServerSession()
        client.send_call("divide", BLOCK)
        server.receive(b"".join(client.data_to_send()))
        server.send_reply(1, REPLY)
        client.receive(b"".join(server.data_to_send()))
    return (_clock() - begin) / loops * 1e6


def _add(spent: list[float], marks: list[float]) -> None:
    for place, (begin, end) in enumerate(itertools.pairwise(marks)):
        spent[place] += end - begin
