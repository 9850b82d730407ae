"""Queued calls: from queuing to the result, how many a second, beside how many, and when a worker dies.

It needs a ZooKeeper to start, as the tests do; without one the rows say so. The master, each worker and
ZooKeeper are processes of their own; this one queues.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import statistics
import tempfile
import time
import typing

from benchmarks.figures import Figure, from_rounds
from rpcgen import runtime as rpc

if typing.TYPE_CHECKING:
    from tests.support.tasks import TasksProcess, TaskStub
    from tests.support.zookeeper import ZooKeeper

GROUP = "tasks"
PATIENCE = 120.0
SESSION = 2.0
WORKERS = 4
LATER = 24 * 3600.0


def run(quick: bool) -> typing.Iterable[Figure]:
    from tests.support import zookeeper

    if zookeeper.find_java() is None or zookeeper.find_class_path() is None:
        yield Figure(GROUP, "submit to result", None, "ms", note="not installed: make zookeeper")
        return
    calls, tasks, waiting, rounds = (20, 100, 500, 1) if quick else (500, 5_000, 20_000, 5)
    with zookeeper.ZooKeeper() as server:
        yield from idle(server, calls)
        yield from a_second(server, tasks, rounds)
        yield from beside(server, waiting, tasks // 5, rounds)
        deaths = [death(server, f"/death{number}") for number in range(rounds)]
        yield from_rounds(
            GROUP,
            "kill -9 of a worker to the task's next run",
            deaths,
            "s",
            at_most=SESSION + 1,
            note=f"sessions of {SESSION:g} s",
        )


class Cluster:
    """A master, workers and a queue at a root of their own.

    Args:
        server: Where.
        root: ``/idle``.
        workers: How many.
    """

    def __init__(self, server: ZooKeeper, root: str, workers: int) -> None:
        from tests.support.tasks import TasksProcess, TaskStub

        self.url = f"zk://{server.hosts}{root}?timeout={SESSION}"
        self._stack = contextlib.ExitStack()
        self.queue = rpc.TaskQueue(self.url, timeout=PATIENCE)
        self.stub: TaskStub = TaskStub(self.queue)
        self.members: list[TasksProcess] = [TasksProcess("master", self.url)]
        self.members += [TasksProcess("worker", self.url) for _ in range(workers)]

    def __enter__(self) -> typing.Self:
        with self._stack:
            self._stack.enter_context(self.queue)
            for member in self.members:
                self._stack.enter_context(member)
            workers = len(self.members) - 1
            until(lambda: self.queue.counts().workers == workers)
            self.burst(20 * workers)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def one(self) -> float:
        """Gives the milliseconds from a call to its result."""
        start = time.perf_counter()
        self.stub.divide(200, 100).result(PATIENCE)
        return 1000 * (time.perf_counter() - start)

    def burst(self, count: int) -> float:
        """Queues so many at once; gives the seconds until all results are there."""
        start = time.perf_counter()
        with self.queue.batch():
            tasks = [self.stub.divide(number, 2) for number in range(count)]
        ended = sum(1 for _ in rpc.as_completed(tasks, PATIENCE))
        taken = time.perf_counter() - start
        if ended != count or tasks[-1].result(0) != (count - 1) / 2:
            raise RuntimeError(f"{ended} of {count} tasks ended")
        return taken

    def processor(self, server: ZooKeeper) -> dict[str, float]:
        """Gives the seconds of processor time that each kind of process has taken."""
        master, *workers = self.members
        return {
            "this process": time.process_time(),
            "master": spent(master.pid),
            "workers": sum(spent(worker.pid) for worker in workers),
            "ZooKeeper": spent(server.pid),
        }

    def delay(self, count: int) -> None:
        """Queues so many that wait for their time, which does not come."""
        stub = rpc.with_task_options(self.stub, delay=LATER)
        with self.queue.batch():
            for number in range(count):
                stub.divide(number, 2)
        self.one()  # the master has seen them


def idle(server: ZooKeeper, calls: int) -> typing.Iterator[Figure]:
    from tests.support.zookeeper import client

    with Cluster(server, "/idle", 1) as cluster, client(server.hosts) as operator:
        writes, taken = [], []
        for number in range(calls):
            start = time.perf_counter()
            operator.create(f"/idle-tasks/results/bare-{number}", b"", ephemeral=True)
            writes.append(1000 * (time.perf_counter() - start))
            taken.append(cluster.one())
    taken.sort()
    yield from_rounds(
        GROUP, "one write, by kazoo", writes, "ms", note="a task takes three, one after the other"
    )
    yield Figure(
        GROUP, "submit to result, idle, p50", statistics.median(taken), "ms", taken[0], taken[-1], at_most=15
    )
    yield Figure(GROUP, "submit to result, idle, p99", taken[int(0.99 * len(taken))], "ms")
    ratios = [task / write for task, write in zip(taken, sorted(writes), strict=True)]
    yield from_rounds(GROUP, "submit to result ÷ one write", ratios, "×", note="by rank")


def a_second(server: ZooKeeper, tasks: int, rounds: int) -> typing.Iterator[Figure]:
    with Cluster(server, "/many", WORKERS) as cluster:
        before = cluster.processor(server)
        rates = [tasks / cluster.burst(tasks) for _ in range(rounds)]
        used = {
            who: 1000 * (after - before[who]) / (tasks * rounds)
            for who, after in cluster.processor(server).items()
        }
    yield from_rounds(
        GROUP,
        f"tasks a second, {WORKERS} workers",
        rates,
        "",
        at_least=500,
        note=f"{tasks:,} queued at once; queuing and results included",
    )
    # On a machine that does other things, too, it says more than the rate: 4 ms are 500 a second on two cores.
    yield Figure(GROUP, "processor time of a task", sum(used.values()), "ms", at_most=4)
    for who, each in used.items():
        yield Figure(GROUP, f"of that, {who}", each, "ms")


def beside(server: ZooKeeper, waiting: int, tasks: int, rounds: int) -> typing.Iterator[Figure]:
    """What a task costs while few and while many wait: two clusters, alternated."""
    few, many = 100, waiting
    with Cluster(server, "/few", 2) as small, Cluster(server, "/much", 2) as large:
        small.delay(few)
        large.delay(many)
        pairs, used = [], []
        for _ in range(rounds):
            one, another = (measured(cluster, server, tasks) for cluster in (small, large))
            pairs.append((one[0], another[0]))
            used.append((one[1], another[1]))
        singles = [(small.one(), large.one()) for _ in range(10 * rounds)]
    yield from_rounds(GROUP, f"a task's cost, {few} wait", [1000 * pair[0] for pair in pairs], "ms")
    yield from_rounds(GROUP, f"a task's cost, {many:,} wait", [1000 * pair[1] for pair in pairs], "ms")
    yield from_rounds(
        GROUP,
        f"cost with {many:,} ÷ with {few} waiting",
        [pair[1] / pair[0] for pair in pairs],
        "×",
        at_most=1.5,
        note=f"bursts of {tasks:,}, alternated",
    )
    yield from_rounds(
        GROUP, "the same, in processor time", [pair[1] / pair[0] for pair in used], "×", at_most=1.5
    )
    yield from_rounds(GROUP, f"submit to result, {few} wait", [pair[0] for pair in singles], "ms")
    yield from_rounds(GROUP, f"submit to result, {many:,} wait", [pair[1] for pair in singles], "ms")


def measured(cluster: Cluster, server: ZooKeeper, tasks: int) -> tuple[float, float]:
    """Gives the seconds that each task of a burst takes, and the seconds of processor time."""
    before = sum(cluster.processor(server).values())
    taken = cluster.burst(tasks)
    return taken / tasks, (sum(cluster.processor(server).values()) - before) / tasks


def death(server: ZooKeeper, root: str) -> float:
    """Gives the seconds from the death of a worker to the next run of what it had."""
    with Cluster(server, root, 2) as cluster, tempfile.TemporaryDirectory() as folder:
        runs = pathlib.Path(folder) / "runs"
        task = cluster.stub.run(f"once {runs}")
        until(lambda: runs.exists() and runs.read_text())
        first = int(runs.read_text())
        start = time.perf_counter()
        next(member for member in cluster.members if member.pid == first).kill()
        until(lambda: len(runs.read_text().split()) == 2)
        taken = time.perf_counter() - start
        runs.with_suffix(".go").touch()
        if task.result(PATIENCE) == first:
            raise RuntimeError("the dead worker answered")
        return taken


def spent(process: int) -> float:
    """Gives the seconds of processor time that a process has taken."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until(condition: typing.Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("it never came to pass")
        time.sleep(0.002)
