"""What a channel to many servers adds to a call, and what a list of 10,000 of them costs.

The client and its servers are processes on one processor, as in ``calls``. Beside a call over
three servers stand calls over three channels in turn: three processes that wake each other
cost more than one, whoever picks them.
"""

from __future__ import annotations

import pathlib
import random
import tempfile
import timeit
import typing

from benchmarks.contestants import PINNED
from benchmarks.figures import Figure, from_rounds
from benchmarks.processes import Bench
from rpcgen import runtime as rpc
from rpcgen.runtime.discovery.routing import Router
from rpcgen.runtime.errors import Unavailable
from rpcgen.runtime.registry import Instance

SERVER = """\
from divide import ThreadServer
class Handlers:
    def divide(self, num1, num2):
        return num1 / num2
server = ThreadServer("127.0.0.1", 0, Handlers())
print(server.bind().port, flush=True)
server.serve()
"""

CLIENT = """\
import itertools, sys, time
from rpcgen import runtime as rpc
from divide import Channel, ClientStub
rounds, count, ports = int(sys.argv[1]), int(sys.argv[2]), [int(port) for port in sys.argv[3:]]
def many(ports):
    return ClientStub(rpc.connect("static://" + ",".join(f"127.0.0.1:{port}" for port in ports))).divide
def in_turn(ports):
    turn = itertools.cycle([ClientStub(Channel("127.0.0.1", port)).divide for port in ports]).__next__
    return lambda num1, num2: turn()(num1, num2)
contestants = [
    ClientStub(Channel("127.0.0.1", ports[0])).divide,
    many(ports[:1]),
    in_turn(ports),
    many(ports),
    many([*ports, 1]),
]
def median(call):
    clock, times = time.perf_counter, []
    for _ in range(count):
        begin = clock()
        call(200, 100)
        times.append(clock() - begin)
    times.sort()
    return times[count // 2] * 1e6
for call in contestants:
    for _ in range(100):
        call(200, 100)
for _ in range(rounds):
    print(*[median(call) for call in contestants])
"""

SERVERS = 10_000

BALANCERS: dict[str, typing.Callable[[], rpc.Balancer]] = {
    "least loaded": rpc.LeastLoaded,
    "random": rpc.Random,
    "round robin": rpc.RoundRobin,
    "consistent hash": lambda: rpc.ConsistentHash(lambda protocol, args: args[0]),
}


def run(quick: bool) -> typing.Iterable[Figure]:
    yield from _calls(quick)
    yield from _lists(quick)


def _calls(quick: bool) -> typing.Iterable[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        (bench.folder / "divide.idl").write_text("float divide(1:int num1, 2:int num2=1)\n", encoding="utf-8")
        bench.compile("divide")
        for name, text in {"server": SERVER, "client": CLIENT}.items():
            (bench.folder / f"{name}.py").write_text(PINNED + text, encoding="utf-8")
        with bench.serve("server.py") as a, bench.serve("server.py") as b, bench.serve("server.py") as c:
            rounds, count = (2, 200) if quick else (11, 3000)
            told = bench.run("client.py", str(rounds), str(count), str(a), str(b), str(c))
    measured = [[float(part) for part in line.split()] for line in told.splitlines()]
    plain, one, turn, three, dead = zip(*measured, strict=True)
    group = "calls, of many servers"
    yield from_rounds(group, "a channel to one server", plain, "µs")
    yield from_rounds(group, "distributed, one server", one, "µs")
    yield from_rounds(group, "÷ channel", _ratios(one, plain), "×", at_most=1.15)
    yield from_rounds(group, "three channels in turn", turn, "µs")
    yield from_rounds(group, "distributed, three servers", three, "µs")
    yield from_rounds(group, "÷ three channels", _ratios(three, turn), "×", at_most=1.15)
    yield from_rounds(group, "distributed, three and a dead one", dead, "µs")


def _ratios(ones: typing.Sequence[float], others: typing.Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(ones, others, strict=True)]


def _lists(quick: bool) -> typing.Iterable[Figure]:
    group = f"{SERVERS:,} servers on a list"
    instances = [Instance(f"10.0.{i // 250}.{i % 250}", 80) for i in range(SERVERS)]
    rounds = 2 if quick else 7
    for name, make in BALANCERS.items():
        times: dict[str, list[float]] = {
            "first list": [],
            "one more server": [],
            "one ejected": [],
            "pick": [],
        }
        for _ in range(rounds):
            router = Router(make(), random.random)
            times["first list"].append(_ms(router.update, instances[1:], 0.0))
            times["one more server"].append(_ms(router.update, instances, 0.0))
            times["one ejected"].append(_ms(router.failed, router.endpoints[0], Unavailable("refused"), 0.0))
            times["pick"].append(_pick(router, 1000 if quick else 20_000))
        for what, measured in times.items():
            unit = "µs" if what == "pick" else "ms"
            goal = {"pick": 10.0, "one more server": 20.0}.get(what) if name == "least loaded" else None
            yield from_rounds(group, f"{name}: {what}", measured, unit, at_most=goal)


def _ms(work: typing.Callable[..., object], *args: object) -> float:
    return timeit.timeit(lambda: work(*args), number=1) * 1e3


def _pick(router: Router, count: int) -> float:
    pick, protocol = router.pick, rpc.MessageProtocol
    numbers = iter(range(count))
    return timeit.timeit(lambda: pick(protocol, (next(numbers),), ()), number=count) / count * 1e6
