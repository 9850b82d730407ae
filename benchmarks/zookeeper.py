"""The registry in ZooKeeper: a list of thousands, a change in it, and registering again.

It needs a ZooKeeper to start, as the tests do; without one the rows say so.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import time
import typing

from benchmarks.figures import Figure, from_rounds

if typing.TYPE_CHECKING:
    from rpcgen.runtime.registry import Instance
    from tests.support.zookeeper import ZooKeeper

GROUP = "discovery: ZooKeeper"
PATIENCE = 60.0


def run(quick: bool) -> typing.Iterable[Figure]:
    from tests.support import zookeeper

    if zookeeper.find_java() is None or zookeeper.find_class_path() is None:
        yield Figure(GROUP, "registering and watching", None, "ms", note="not installed: make zookeeper")
        return
    servers, rounds = (500, 3) if quick else (10_000, 7)
    with zookeeper.ZooKeeper() as server:
        fill(server, servers)
        lists = [first_list(server, servers) for _ in range(3 if quick else 5)]
        yield from_rounds(GROUP, f"first list of {servers:,} servers", lists, "s", at_most=1.5)
        changes, reads, names = change(server, servers, rounds)
        yield from_rounds(GROUP, f"one change among {servers:,}", changes, "ms", at_most=20)
        yield from_rounds(GROUP, "the names alone, by kazoo", names, "ms", note="the floor of a change")
        ratios = [taken / floor for taken, floor in zip(changes, names, strict=True)]
        yield from_rounds(GROUP, "one change ÷ the names alone", ratios, "×")
        yield from_rounds(GROUP, "entries read for that", reads, "", at_most=1)
    with zookeeper.ZooKeeper() as server:
        yield from_rounds(GROUP, "registering", [register(server) for _ in range(rounds)], "ms")
        again = [register_again(server) for _ in range(rounds)]
        yield from_rounds(
            GROUP,
            "registered again after expiry",
            again,
            "ms",
            at_most=1000,
            note="from the session's end on",
        )
        yield from_rounds(
            GROUP,
            "registered again after lost data",
            [register_after_loss(server) for _ in range(min(rounds, 5))],
            "ms",
            note="ZooKeeper was down for 2 s and came back empty",
        )


def instances(count: int) -> typing.Iterator[Instance]:
    from rpcgen.runtime.registry import Instance

    for number in range(count):
        yield Instance(
            f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            9000,
            ("framed", "plain"),
            fingerprint="0123456789abcdef",
            methods={"divide": (1, 2)},
            started=1.7e9,
        )


def fill(server: ZooKeeper, count: int) -> None:
    """Makes the entries of so many servers, which stay."""
    from rpcgen.runtime.discovery.zookeeper import layout
    from tests.support.zookeeper import client

    with client(server.hosts) as operator:
        operator.ensure_path("/rpc")
        entries = (
            operator.create_async(f"/rpc/{layout.prefix(instance.address)}", instance.encode(), sequence=True)
            for instance in instances(count)
        )
        while some := list(itertools.islice(entries, 100)):
            for result in some:
                result.get(timeout=PATIENCE)


def first_list(server: ZooKeeper, count: int) -> float:
    """Gives the seconds from the wish for a list to the whole list, connecting included."""
    from rpcgen.runtime.registry import open_registry

    with open_registry(f"zk://{server.hosts}/rpc") as registry:
        start = time.perf_counter()
        watch = registry.watch("")
        if not watch.wait(PATIENCE):
            raise RuntimeError(f"no list came: {watch.snapshot.problem}")
        taken = time.perf_counter() - start
        if len(watch.snapshot.instances) != count:
            raise RuntimeError(f"the list has {len(watch.snapshot.instances)} entries, not {count}")
        return taken


def change(server: ZooKeeper, count: int, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Gives the milliseconds from the making of a node to the list with it, how many entries were read, and
    the milliseconds in which kazoo reads the names, which every change takes."""
    from rpcgen.runtime.discovery.zookeeper.session import Session
    from rpcgen.runtime.registry import Instance, open_registry
    from tests.support.zookeeper import client

    taken: list[float] = []
    reads: list[float] = []
    names: list[float] = []
    lengths: queue.SimpleQueue[int] = queue.SimpleQueue()

    with client(server.hosts) as operator, open_registry(f"zk://{server.hosts}/rpc") as registry:
        watch = registry.watch("", lambda snapshot: lengths.put(len(snapshot.instances)))
        watch.wait(PATIENCE)
        with counting(Session, "_ask") as asked:
            for number in range(rounds):
                start = time.perf_counter()
                operator.get_children("/rpc")
                names.append(1000 * (time.perf_counter() - start))
                before = asked.count("get")
                data = Instance("10.9.9.9", number + 1).encode()
                start = time.perf_counter()
                operator.create_async("/rpc/server", data, ephemeral=True, sequence=True)
                while lengths.get(timeout=PATIENCE) != count + number + 1:
                    pass
                taken.append(1000 * (time.perf_counter() - start))
                reads.append(asked.count("get") - before)
    return taken, reads, names


@contextlib.contextmanager
def counting(owner: type, name: str) -> typing.Iterator[list[object]]:
    """Notes the first argument of each call of a method."""
    original = getattr(owner, name)
    noted: list[object] = []

    def note(self: object, *arguments: object, **options: object) -> object:
        noted.append(arguments[0])
        return original(self, *arguments, **options)

    setattr(owner, name, note)
    try:
        yield noted
    finally:
        setattr(owner, name, original)


def register(server: ZooKeeper) -> float:
    """Gives the milliseconds from the wish to the entry, connecting included."""
    from rpcgen.runtime.registry import Instance, open_registry

    with open_registry(f"zk://{server.hosts}/rpc") as registry:
        start = time.perf_counter()
        registry.register("", Instance("10.0.0.1", 1)).wait(PATIENCE)
        return 1000 * (time.perf_counter() - start)


def register_again(server: ZooKeeper) -> float:
    """Gives the milliseconds from the end of the session to the new entry, as another client sees it."""
    from rpcgen.runtime.discovery.zookeeper import ZooKeeperRegistry
    from rpcgen.runtime.registry import Instance
    from tests.support.zookeeper import client, expire

    with ZooKeeperRegistry(f"zk://{server.hosts}/rpc") as registry, client(server.hosts) as operator:
        if not registry.register("", Instance("10.0.0.1", 1)).wait(PATIENCE) or registry.session is None:
            raise RuntimeError("it was never registered")
        before = set(operator.get_children("/rpc"))
        expire(server.hosts, registry.session)
        return until(lambda: set(operator.get_children("/rpc")) - before)


def register_after_loss(server: ZooKeeper) -> float:
    """Gives the milliseconds from the first answer of a ZooKeeper without its data to the new entry."""
    from rpcgen.runtime.discovery.zookeeper import ZooKeeperRegistry
    from rpcgen.runtime.registry import Instance
    from tests.support.zookeeper import client

    with ZooKeeperRegistry(f"zk://{server.hosts}/rpc") as registry:
        if not registry.register("", Instance("10.0.0.1", 1)).wait(PATIENCE):
            raise RuntimeError("it was never registered")
        server.kill()
        server.wipe()
        time.sleep(2)
        server.start()
        start = time.perf_counter()
        with client(server.hosts) as operator:
            until(lambda: operator.exists("/rpc") and operator.get_children("/rpc"))
        return 1000 * (time.perf_counter() - start)


def until(condition: typing.Callable[[], object]) -> float:
    """Gives the milliseconds until the condition holds."""
    start = time.perf_counter()
    while not condition():
        if time.perf_counter() - start > PATIENCE:
            raise RuntimeError("it never came to pass")
        time.sleep(0.001)
    return 1000 * (time.perf_counter() - start)
