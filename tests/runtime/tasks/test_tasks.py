"""Tasks on a real ZooKeeper: what callers, workers and operators see of them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from tests.runtime.tasks.conftest import Cluster
from tests.support import services
from tests.support.processes import line, python
from tests.support.tasks import Handlers, TaskStub
from tests.support.waiting import PATIENCE, until
from tests.support.zookeeper import client

pytestmark = pytest.mark.xdist_group("zookeeper")


def test_a_task_returns_or_raises_as_the_call_would(cluster: Cluster) -> None:
    stub = cluster.stub
    with pytest.raises(rpc.EncodeError):
        stub.divide(2**40)
    assert stub.divide(6, 3).result(PATIENCE) == 2.0
    assert stub.divide(6).result(PATIENCE) == 6.0
    assert stub.log("line").result(PATIENCE) is None
    assert cluster.handlers.lines == ["line"]
    with pytest.raises(services.InvalidOperation, match="division by zero"):
        stub.divide(6, 0).result(PATIENCE)
    task = rpc.with_task_options(stub, attempts=1).run("")
    with pytest.raises(services.InvalidOperation):
        task.result(PATIENCE)
    assert task.status() == "failed"
    assert task.done()


def test_a_failing_handler_is_tried_again_and_its_history_kept(cluster: Cluster) -> None:
    calls: list[float] = []

    def fail(what: str) -> int:
        calls.append(time.monotonic())
        if len(calls) < 3:
            raise OSError("not yet")
        return 7

    cluster.handlers.run = fail  # type: ignore[method-assign]
    worker = rpc.Worker(cluster.url, services.ServerStub(cluster.handlers))
    cluster.worker.close()
    with worker:
        task = cluster.stub.run("")
        assert task.result(PATIENCE) == 7
        info = cluster.queue.show(task.id)
        assert (info.status, info.attempts, len(calls)) == ("done", 3, 3)
        assert [attempt.number for attempt in info.history] == [1, 2]
        assert all("INTERNAL" in attempt.error for attempt in info.history)
        calls.clear()
        hopeless = rpc.with_task_options(cluster.stub, attempts=2).run("")
        with pytest.raises(rpc.RemoteFault, match="INTERNAL"):
            hopeless.result(PATIENCE)
        assert (cluster.queue.show(hopeless.id).attempts, len(calls)) == (2, 2)


def test_many_at_once(cluster: Cluster) -> None:
    with cluster.queue.batch():
        tasks = [cluster.stub.divide(number) for number in range(200)]
    assert {task.result(PATIENCE) for task in rpc.as_completed(tasks, PATIENCE)} == set(range(200))
    assert cluster.queue.counts().waiting == 0


def test_awaiting(cluster: Cluster) -> None:
    async def calls() -> list[float]:
        return await asyncio.gather(*(cluster.stub.divide(number) for number in range(10)))

    assert asyncio.run(calls()) == list(range(10))

    async def gives_up() -> None:
        task = cluster.stub.wait(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await task
        cluster.handlers.go_on.set()
        assert await task == 1

    asyncio.run(gives_up())


def test_as_completed_gives_what_is_there_and_says_what_is_not(cluster: Cluster) -> None:
    slow, quick = cluster.stub.wait(1), cluster.stub.divide(2)
    tasks = rpc.as_completed([slow, quick], 1.0)
    assert next(tasks) is quick
    with pytest.raises(rpc.DeadlineExceeded, match="1 of 2 tasks have not ended"):
        next(tasks)


def test_waiting_ends_in_time_and_the_task_goes_on(cluster: Cluster) -> None:
    task = cluster.stub.wait(5)
    with pytest.raises(rpc.DeadlineExceeded, match="the task goes on"):
        task.result(0.05)
    with rpc.deadline(0.05), pytest.raises(rpc.DeadlineExceeded):
        task.result()
    assert task.status() in ("waiting", "running")
    cluster.handlers.go_on.set()
    assert task.result(PATIENCE) == 5


def test_a_task_is_had_again_by_its_id(cluster: Cluster) -> None:
    task = cluster.stub.divide(8, 2)
    with rpc.TaskQueue(cluster.url) as other:
        assert other.task(task.id, services.DivideProtocol).result(PATIENCE) == 4.0
        with pytest.raises(rpc.RemoteFault, match="no such task"):
            other.task("task-none", services.DivideProtocol).result(PATIENCE)
        assert other.status("task-none") == "gone"


def test_a_key_queues_a_call_once(cluster: Cluster) -> None:
    keyed = rpc.with_task_options(cluster.stub, key="order 7/ä")
    first, second = keyed.divide(6, 3), keyed.divide(6, 3)
    assert first.id == second.id == "task-order%207%2F%C3%A4"
    assert (first.result(PATIENCE), second.result(PATIENCE)) == (2.0, 2.0)
    assert len(cluster.queue.tasks()) == 1
    with pytest.raises(ValueError, match="with another call"):
        keyed.divide(7, 3)
    for key in ("", "x" * 300, "0000000001"):
        with pytest.raises(ValueError, match="no key of a task"):
            rpc.with_task_options(cluster.stub, key=key).divide(1)


def test_priorities_then_age_say_who_is_next(cluster: Cluster) -> None:
    cluster.worker.close()
    low = [cluster.stub.log(f"low {number}") for number in range(3)]
    high = [rpc.with_task_options(cluster.stub, priority=1).log(f"high {number}") for number in range(3)]
    until(lambda: cluster.master.counts()["waiting"] == 6)
    with rpc.Worker(cluster.url, services.ServerStub(cluster.handlers), concurrency=1):
        for task in (*high, *low):
            task.result(PATIENCE)
    assert cluster.handlers.lines == ["high 0", "high 1", "high 2", "low 0", "low 1", "low 2"]


def test_a_delayed_task_waits(cluster: Cluster) -> None:
    task = rpc.with_task_options(cluster.stub, delay=0.5).divide(1)
    assert cluster.stub.divide(2).result(PATIENCE) == 2
    assert task.result(PATIENCE) == 1
    info = cluster.queue.show(task.id)
    assert info.ended - info.submitted >= 0.5


def test_an_attempt_that_takes_too_long_is_ended(cluster: Cluster) -> None:
    task = rpc.with_task_options(cluster.stub, attempts=1).hurry()
    with pytest.raises(rpc.DeadlineExceeded):
        task.result(PATIENCE)
    assert task.status() == "failed"
    cluster.handlers.go_on.set()


def test_what_a_handler_knows(cluster: Cluster) -> None:
    seen: list[object] = []

    def look(what: str) -> int:
        context = rpc.context()
        left = context.remaining()
        assert left is not None
        seen.append((context.peer, 50 < left <= 60))
        return 1

    cluster.worker.close()
    cluster.handlers.run = look  # type: ignore[method-assign]
    methods: list[str] = []

    class Around:
        def __init__(self, call: rpc.Call) -> None:
            methods.append(call.method)

        def __enter__(self) -> None: ...
        def __exit__(self, *error: object) -> None: ...

    with rpc.Worker(cluster.url, services.ServerStub(cluster.handlers), interceptors=[Around]):
        rpc.with_task_options(cluster.stub, timeout=60).run("").result(PATIENCE)
    assert seen == [(cluster.queue.url, True)]
    assert methods == ["run"]


def test_cancelling_what_waits_and_what_runs(cluster: Cluster) -> None:
    noticed = threading.Event()

    def run(what: str) -> int:
        context = rpc.context()
        cluster.handlers.entered.release()
        until(lambda: context.cancelled)
        noticed.set()
        return 1

    cluster.worker.close()
    waits = cluster.stub.divide(1)
    assert waits.cancel()
    assert waits.cancel()
    with pytest.raises(rpc.Cancelled):
        waits.result(PATIENCE)
    until(lambda: cluster.master.counts()["ended"] == 1)
    cluster.handlers.run = run  # type: ignore[method-assign]
    with rpc.Worker(cluster.url, services.ServerStub(cluster.handlers)) as worker:
        runs = cluster.stub.run("")
        assert cluster.handlers.entered.acquire(timeout=PATIENCE)
        assert runs.cancel()
        assert noticed.wait(PATIENCE)
        with pytest.raises(rpc.Cancelled):
            runs.result(PATIENCE)
        until(lambda: worker.counts()["refused"] == 1)
        done = cluster.stub.divide(1)
        done.result(PATIENCE)
        assert not done.cancel()
    assert not cluster.queue.cancel("task-none")


def test_retrying_and_purging(cluster: Cluster) -> None:
    task = cluster.stub.divide(1, 0)
    with pytest.raises(services.InvalidOperation):
        task.result(PATIENCE)
    cluster.handlers.divide = lambda num1, num2: 3.0  # type: ignore[method-assign]
    cluster.worker.close()
    assert cluster.queue.retry(task.id)
    assert not cluster.queue.retry(task.id)
    with rpc.Worker(cluster.url, services.ServerStub(cluster.handlers)):
        assert cluster.queue.task(task.id, services.DivideProtocol).result(PATIENCE) == 3.0
    assert cluster.queue.purge(older=1000) == 0
    assert cluster.queue.purge(statuses=["failed"]) == 0
    waiting = cluster.stub.divide(1)
    assert cluster.queue.purge() == 1
    assert [info.id for info in cluster.queue.tasks()] == [waiting.id]


def test_lists_for_people(cluster: Cluster) -> None:
    first = rpc.with_task_options(cluster.stub, priority=3, keep=50).divide(1)
    first.result(PATIENCE)
    second = cluster.stub.wait(2)
    assert cluster.handlers.entered.acquire(timeout=PATIENCE)
    done, running = cluster.queue.tasks()
    assert (done.id, done.status, done.method, done.priority, done.keep) == (
        first.id,
        "done",
        "divide",
        3,
        50,
    )
    assert (running.id, running.status, running.worker) == (second.id, "running", cluster.worker.name)
    (worker,) = cluster.queue.workers()
    assert (worker.entry.host, worker.tasks) == (cluster.worker.name, (second.id,))
    counts = cluster.queue.counts()
    assert (counts.waiting, counts.running, counts.ended, counts.workers) == (0, 1, 1, 1)
    assert cluster.master.counts() == {"waiting": 0, "running": 1, "ended": 1, "left": 0}


def test_what_has_ended_is_removed_in_its_time(cluster: Cluster) -> None:
    task = rpc.with_task_options(cluster.stub, keep=0.2).divide(1)
    assert task.result(PATIENCE) == 1
    with client(cluster.hosts) as operator:
        root = cluster.root
        until(lambda: operator.get_children(f"{root}/tasks") == [])
        assert operator.get_children(f"{root}-tasks/results") == []
        assert operator.get_children(f"{root}-tasks/history") == []
    assert task.status() == "gone"


def test_what_is_too_large_is_refused_before_it_is_sent(cluster: Cluster) -> None:
    with pytest.raises(rpc.EncodeError, match="are the most that is queued"):
        cluster.stub.echo(bytes(1024 * 1024))
    largest = bytes(899 * 1024)
    assert cluster.stub.echo(largest).result(PATIENCE) == largest
    cluster.worker.close()
    with rpc.Worker(cluster.url, services.ServerStub(cluster.handlers), largest=1000):
        task = cluster.stub.echo(bytes(2000))
        with pytest.raises(rpc.RemoteFault, match="RESOURCE_EXHAUSTED"):
            task.result(PATIENCE)
        assert (task.status(), cluster.queue.show(task.id).attempts) == ("failed", 1)


def test_a_full_queue_takes_nothing(cluster: Cluster) -> None:
    cluster.worker.close()
    with rpc.TaskQueue(cluster.url, max_waiting=5) as queue:
        stub = TaskStub(queue)
        for _ in range(5):
            stub.divide(1)
        until(lambda: len(cluster.queue.tasks()) == 5)
        with pytest.raises(rpc.Unavailable, match="the queue is full: 5 tasks wait"):
            stub.divide(1)
    assert len(cluster.queue.tasks()) == 5


class OlderStub(rpc.ServerStub):
    """Knows less of a method than its callers."""

    class Divide(rpc.MessageProtocol[float]):
        """float divide(1: int num1)"""

        name = "divide"
        params = (rpc.Param(1, "num1", rpc.INT),)
        returns = rpc.FLOAT

    protocols = (Divide,)


def test_tasks_go_only_to_workers_that_know_their_arguments(cluster: Cluster) -> None:
    class Older:
        def divide(self, num1: int) -> float:
            return -1.0

    cluster.worker.close()
    with rpc.Worker(cluster.url, OlderStub(Older()), weight=100):
        newer_call, older_call = cluster.stub.divide(6, 3), cluster.stub.divide(6, 1)
        assert older_call.result(PATIENCE) == -1.0
        assert newer_call.status() == "waiting"
        with rpc.Worker(cluster.url, services.ServerStub(cluster.handlers)):
            assert newer_call.result(PATIENCE) == 2.0


def test_concurrency_and_weights(cluster: Cluster) -> None:
    cluster.worker.close()
    one, two = Handlers(), Handlers()
    with (
        rpc.Worker(cluster.url, services.ServerStub(one), concurrency=2, weight=1) as small,
        rpc.Worker(cluster.url, services.ServerStub(two), concurrency=9, weight=3) as large,
    ):
        until(lambda: cluster.queue.counts().concurrency == 11)
        with cluster.queue.batch():
            tasks = [cluster.stub.wait(number) for number in range(12)]
        until(lambda: small.counts()["running"] == 2 and large.counts()["running"] == 9)
        assert cluster.queue.counts().waiting == 1
        one.go_on.set()
        two.go_on.set()
        assert [task.result(PATIENCE) for task in tasks] == list(range(12))


def test_after_closing(zk_url: str) -> None:
    queue = rpc.TaskQueue(zk_url)
    stub = TaskStub(queue)
    task = stub.divide(1)
    ends: list[BaseException] = []

    def wait() -> None:
        try:
            task.result()
        except rpc.RpcError as error:
            ends.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: queue._duty._awaited)
    queue.close()
    thread.join(PATIENCE)
    assert isinstance(ends[0], rpc.Cancelled)
    queue.close()
    for call in (lambda: stub.divide(1), task.status, queue.tasks, queue.counts):
        with pytest.raises(RuntimeError, match="is closed: make another"):
            typing.cast("typing.Callable[[], object]", call)()
    for made in (rpc.Master(zk_url), rpc.Worker(zk_url)):
        made.close()
        made.close()
        with pytest.raises(RuntimeError, match="is closed"):
            made.start()


def test_a_worker_that_closes_ends_what_it_runs_and_leaves_nothing(cluster: Cluster) -> None:
    task = cluster.stub.wait(3)
    assert cluster.handlers.entered.acquire(timeout=PATIENCE)
    closing = threading.Thread(target=cluster.worker.close)
    closing.start()
    with client(cluster.hosts) as operator:
        until(lambda: operator.get_children(f"{cluster.root}/workers") == [])
        other = cluster.stub.divide(1)
        assert task.status() == "running"
        cluster.handlers.go_on.set()
        assert task.result(PATIENCE) == 3
        closing.join(PATIENCE)
        assert other.status() == "waiting"
        until(lambda: operator.get_children(f"{cluster.root}/assign") == [])


FORK = """
import os, sys
from rpcgen import runtime as rpc
from tests.support import services
from tests.support.tasks import TaskStub

queue = rpc.TaskQueue(sys.argv[1])
worker = rpc.Worker(sys.argv[1], services.ServerStub(services.Handlers()), contend=True)
worker.start()
stub = TaskStub(queue)
assert stub.divide(4, 2).result(30) == 2.0
child = os.fork()
if not child:
    assert stub.divide(9, 3).result(30) == 3.0
    try:
        worker.start()
    except RuntimeError:
        print("child", flush=True)
    queue.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert stub.divide(8, 2).result(30) == 4.0
print("parent", flush=True)
worker.close()
queue.close()
"""


def test_a_forked_child_queues_anew_and_leaves_its_parent_s_worker_alone(zk_url: str) -> None:
    with python(FORK, zk_url) as process:
        assert [line(process), line(process)] == ["child", "parent"]
        assert process.wait(PATIENCE) == 0


def test_workers_that_contend_need_no_master(zk_url: str) -> None:
    with (
        rpc.TaskQueue(zk_url) as queue,
        rpc.Worker(zk_url, services.ServerStub(Handlers()), contend=True),
        rpc.Worker(zk_url, services.ServerStub(Handlers()), contend=True, name="second") as second,
    ):
        assert second.name.startswith("second-")
        pids = {TaskStub(queue).run("pid").result(PATIENCE) for _ in range(4)}
        assert pids == {os.getpid()}


def test_options_are_checked(zk_url: str) -> None:
    stub = TaskStub(rpc.TaskQueue(zk_url))
    wrong: list[tuple[dict[str, typing.Any], str]] = [
        ({"priority": 2**40}, "priority is a number"),
        ({"attempts": -1}, "attempts 1 or more"),
        ({"timeout": 0}, "timeout is seconds above 0"),
        ({"delay": -1}, "delay and keep from 0 up"),
        ({"keep": float("nan")}, "delay and keep from 0 up"),
    ]
    for options, problem in wrong:
        with pytest.raises(ValueError, match=problem):
            rpc.with_task_options(stub, **options).divide(1)
    with pytest.raises(TypeError, match="no option prio"):
        rpc.with_task_options(stub, prio=1)  # type: ignore[call-arg]
    made: list[tuple[typing.Callable[[], object], str]] = [
        (lambda: rpc.TaskQueue("registry://h:1"), "a ZooKeeper registry is"),
        (lambda: rpc.Worker(zk_url, concurrency=0), "concurrency is 1 or more"),
        (lambda: rpc.Worker(zk_url, name="a/b"), "no worker's name"),
        (lambda: rpc.Master(zk_url, most_ended=-1), "neither is below 0"),
        (lambda: rpc.TaskQueue(zk_url, largest=2**30), "largest at most"),
    ]
    for make, problem in made:
        with pytest.raises(ValueError, match=problem):
            make()
