"""What goes wrong with masters, workers, tasks and ZooKeeper, provoked: each task is done, and counted once."""

from __future__ import annotations

import contextlib
import pathlib
import time
import typing
import uuid

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.discovery.zookeeper.asked import Commit
from rpcgen.runtime.discovery.zookeeper.session import Away, Session
from tests.runtime.tasks.conftest import Cluster
from tests.support import services
from tests.support.proxy import Proxy
from tests.support.tasks import Handlers, TasksProcess, TaskStub
from tests.support.waiting import PATIENCE, until
from tests.support.zookeeper import Ensemble, ZooKeeper, client, expire

pytestmark = pytest.mark.xdist_group("zookeeper")

SESSION = 1.0


def stub_of(handlers: object) -> services.ServerStub:
    return services.ServerStub(handlers)


@contextlib.contextmanager
def at(url: str) -> typing.Iterator[tuple[rpc.TaskQueue, TaskStub, typing.Any]]:
    """A queue, its stub, and an operator's client."""
    with rpc.TaskQueue(url) as queue, client(url.split("/")[2]) as operator:
        yield queue, TaskStub(queue), operator


def epoch(operator: typing.Any, url: str) -> int:
    return int(operator.get(f"/{url.split('/')[3].partition('?')[0]}-tasks/epoch")[1].version)


def test_a_master_that_was_stopped_and_wakes_up_writes_nothing(zk_url: str) -> None:
    url = f"{zk_url}?timeout={SESSION}"
    root = f"/{zk_url.split('/')[3]}"
    with (
        at(zk_url) as (queue, stub, operator),
        TasksProcess("master", url) as first,
        rpc.Worker(zk_url, stub_of(Handlers())),
    ):
        until(lambda: operator.exists(f"{root}/master"))
        assert stub.divide(4, 2).result(PATIENCE) == 2.0
        first.pause()
        with rpc.Master(zk_url) as second:
            assert second.wait(PATIENCE)
            leader = operator.exists(f"{root}/master").owner_session_id
            tasks = [stub.divide(number) for number in range(20)]
            first.resume()
            assert [task.result(PATIENCE) for task in tasks] == list(range(20))
            time.sleep(2 * SESSION)  # what must not happen takes time
            assert operator.exists(f"{root}/master").owner_session_id == leader
            assert epoch(operator, zk_url) == 2
            assert second.is_leader
            assert all(info.attempts == 1 for info in queue.tasks())


def test_a_master_whose_epoch_was_taken_steps_down(cluster: Cluster) -> None:
    with client(cluster.hosts) as operator:
        operator.set(f"{cluster.root}-tasks/epoch", b"somebody else")
        operator.delete(f"{cluster.root}/master")
        operator.create(f"{cluster.root}/master", b"somebody else", ephemeral=True)
        cluster.stub.divide(1)
        until(lambda: not cluster.master.is_leader)
        assert operator.get_children(f"{cluster.root}/assign/{cluster.worker.name}") == []
        operator.delete(f"{cluster.root}/master")
        assert cluster.master.wait(PATIENCE)
        until(lambda: cluster.queue.counts().ended == 1)


def test_a_master_out_of_reach_leads_no_more_before_its_session_is_over(tmp_path: pathlib.Path) -> None:
    with ZooKeeper(tmp_path) as own, rpc.Master(f"zk://{own.hosts}/rpc?timeout=1.5") as master:
        assert master.wait(PATIENCE)
        own.pause()
        paused = time.monotonic()
        until(lambda: not master.is_leader)
        assert time.monotonic() - paused > 0.5  # not at the first sign
        own.resume()
        until(lambda: master.is_leader)


def test_another_master_takes_over_at_once_from_one_that_closes(cluster: Cluster) -> None:
    with rpc.Master(cluster.url) as second:
        until(lambda: cluster.master.is_leader != second.is_leader)
        cluster.master.close()
        assert second.wait(PATIENCE)
        assert not cluster.master.is_leader
        assert cluster.stub.divide(1).result(PATIENCE) == 1


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_master_dies_at_each_of_its_writes(
    zk_url: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elect, assign, sweep, give up, remove: the next one goes on from what stands there."""
    handlers = Handlers()
    gather = Session.gather
    doomed: set[Session] = set()
    left = [0]

    def deadly(session: Session, asks: typing.Any) -> list[typing.Any]:
        if session not in doomed:
            return gather(session, asks)
        answers = []
        for ask in asks:
            if isinstance(ask, Commit):
                if left[0] == 0 and order == "before":
                    raise Away
                answers += gather(session, [ask])
                left[0] -= 1
                if left[0] < 0:
                    raise Away
            else:
                answers += gather(session, [ask])
        return answers

    monkeypatch.setattr(Session, "gather", deadly)
    with (
        at(zk_url) as (queue, stub, operator),
        rpc.Worker(zk_url, stub_of(handlers), concurrency=3) as worker,
    ):
        for writes in range(9):
            left[0] = writes
            good = rpc.with_task_options(stub, keep=0.0).divide(writes)
            cancelled = rpc.with_task_options(stub, keep=0.0).divide(7)
            cancelled.cancel()
            master = rpc.Master(zk_url)
            master.start()
            session = master._thread.session  # type: ignore[union-attr]
            doomed.add(session)
            until(lambda: left[0] < 0 or (left[0] == 0 and order == "before") or good.done())  # noqa: B023
            identity = master.session
            if identity is not None:
                expire(zk_url.split("/")[2], identity)
            doomed.add(session)
            master._thread._is_closing = True  # type: ignore[union-attr]  # as if it were killed
            master.close()
            doomed.discard(session)
            with rpc.Master(zk_url) as next_one:
                assert next_one.wait(PATIENCE)
                assert good.result(PATIENCE) == writes
                root = f"/{zk_url.split('/')[3]}"
                until(lambda: operator.get_children(f"{root}/tasks") == [])  # noqa: B023
        assert worker.counts()["done"] == 9
        for path in (f"{root}-tasks/results", f"{root}-tasks/history", f"{root}-tasks/changed"):
            assert operator.get_children(path) == []
        assert queue.tasks() == []


def test_a_killed_worker_s_task_is_given_to_another_once(zk_url: str, tmp_path: pathlib.Path) -> None:
    note = tmp_path / "runs"
    url = f"{zk_url}?timeout={SESSION}"
    with (
        at(zk_url) as (queue, stub, _),
        rpc.Master(zk_url),
        TasksProcess("worker", url) as doomed,
    ):
        task = stub.run(f"once {note}")
        until(note.exists)
        assert queue.show(task.id).worker == doomed.name
        with TasksProcess("worker", zk_url) as other:
            doomed.kill()
            until(lambda: len(note.read_text().split()) == 2)
            note.with_suffix(".go").touch()
            assert task.result(PATIENCE) == other.pid
            info = queue.show(task.id)
            assert (info.attempts, info.status, info.worker) == (2, "done", other.name)
            (attempt,) = info.history
            assert (attempt.worker, attempt.number) == (doomed.name, 1)
            assert "was lost" in attempt.error
            assert len(note.read_text().split()) == 2
            until(lambda: {worker.entry.host for worker in queue.workers()} == {other.name})


def test_a_worker_that_was_stopped_and_wakes_up_is_refused(zk_url: str, tmp_path: pathlib.Path) -> None:
    note = tmp_path / "runs"
    with (
        at(zk_url) as (queue, stub, operator),
        rpc.Master(zk_url),
        TasksProcess("worker", f"{zk_url}?timeout={SESSION}") as first,
    ):
        task = stub.run(f"once {note}")
        until(note.exists)
        with TasksProcess("worker", zk_url) as second:
            first.pause()
            until(lambda: len(note.read_text().split()) == 2)
            note.with_suffix(".go").touch()
            assert task.result(PATIENCE) == second.pid
            version = operator.get(f"/{zk_url.split('/')[3]}/tasks/{task.id}/status")[1].version
            first.resume()
            until(lambda: len(queue.workers()) == 2)
            assert stub.divide(1).result(PATIENCE) == 1
            status = operator.get(f"/{zk_url.split('/')[3]}/tasks/{task.id}/status")
            assert (status[0], status[1].version) == (b"done", version)
            assert queue.show(task.id).worker == second.name


def test_a_worker_that_is_cut_off_goes_on_and_its_end_counts_if_nobody_else_has_it(
    tmp_path: pathlib.Path,
) -> None:
    handlers = Handlers()
    with (
        ZooKeeper(tmp_path) as own,
        Proxy(own.port) as proxy,
        at(f"zk://{own.hosts}/rpc") as (queue, stub, _),
    ):
        url = f"zk://127.0.0.1:{proxy.port}/rpc?timeout={SESSION}"
        with rpc.Master(f"zk://{own.hosts}/rpc"), rpc.Worker(url, stub_of(handlers)) as worker:
            task = stub.wait(5)
            assert handlers.entered.acquire(timeout=PATIENCE)
            proxy.swallows_replies = True
            until(lambda: queue.workers() == [])  # its session is over; there is no other worker
            assert task.status() == "running"
            handlers.go_on.set()
            assert task.status() == "running"
            proxy.swallows_replies = False
            proxy.cut()
            assert task.result(PATIENCE) == 5
            assert queue.show(task.id).attempts == 1
            until(lambda: worker.counts()["done"] == 1)


def test_the_end_of_a_task_whose_confirmation_was_lost_counts_once(tmp_path: pathlib.Path) -> None:
    handlers = Handlers()
    with (
        ZooKeeper(tmp_path) as own,
        Proxy(own.port) as proxy,
        at(f"zk://{own.hosts}/rpc") as (queue, stub, _),
    ):
        url = f"zk://127.0.0.1:{proxy.port}/rpc"
        with rpc.Master(f"zk://{own.hosts}/rpc"), rpc.Worker(url, stub_of(handlers)) as worker:
            task = stub.wait(5)
            assert handlers.entered.acquire(timeout=PATIENCE)
            proxy.loses_reply_to = b"RPCRES"
            handlers.go_on.set()
            assert task.result(PATIENCE) == 5
            assert proxy.lost.is_set()
            until(lambda: worker.counts() == {"running": 0, "done": 1, "failed": 0, "refused": 0})
            assert queue.show(task.id).attempts == 1


def test_a_call_whose_confirmation_was_lost_is_queued_once(tmp_path: pathlib.Path) -> None:
    with ZooKeeper(tmp_path) as own, Proxy(own.port) as proxy, rpc.Master(f"zk://{own.hosts}/rpc") as master:
        assert master.wait(PATIENCE)
        with rpc.TaskQueue(f"zk://127.0.0.1:{proxy.port}/rpc") as queue:
            stub = TaskStub(queue)
            stub.divide(1)
            proxy.loses_reply_to = b"RPCTSK"
            stub.divide(2)
            assert proxy.lost.is_set()
            proxy.lost.clear()
            proxy.loses_reply_to = b"RPCTSK"
            rpc.with_task_options(stub, key="once").divide(3)
            assert proxy.lost.is_set()
            assert len(queue.tasks()) == 3


def test_a_task_that_kills_each_worker_that_takes_it_fails_at_last(zk_url: str) -> None:
    url = f"{zk_url}?timeout={SESSION}"
    with at(zk_url) as (queue, stub, _), rpc.Master(zk_url), contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(TasksProcess("worker", url))
        until(lambda: len(queue.workers()) == 3)
        poison = rpc.with_task_options(stub, attempts=2).run("exit 1")
        with pytest.raises(
            rpc.RemoteFault, match=r"tried 2 times in vain; the last time: the worker .* was lost"
        ):
            poison.result(PATIENCE)
        info = queue.show(poison.id)
        assert (info.status, info.attempts, len(info.history)) == ("failed", 2, 2)
        assert TaskStub(queue).divide(1).result(PATIENCE) == 1
        assert len(queue.workers()) == 1


def test_without_workers_tasks_wait_and_without_masters_too(zk_url: str) -> None:
    with at(zk_url) as (_, stub, _):
        early = stub.divide(1)
        assert early.status() == "waiting"
        with rpc.Worker(zk_url, stub_of(Handlers())):
            with rpc.Master(zk_url):
                assert early.result(PATIENCE) == 1
            between = stub.divide(2)
            with pytest.raises(rpc.DeadlineExceeded):
                between.result(0.2)
            with rpc.Master(zk_url):
                assert between.result(PATIENCE) == 2
        with rpc.Master(zk_url) as master:
            late = stub.divide(3)
            until(lambda: master.counts() == {"waiting": 1, "running": 0, "ended": 2, "left": 0})
            assert late.status() == "waiting"


def test_sessions_expire(cluster: Cluster) -> None:
    task = cluster.stub.wait(4)
    assert cluster.handlers.entered.acquire(timeout=PATIENCE)
    for station in (cluster.master, cluster.worker, cluster.queue):
        session = station.session
        assert session is not None
        expire(cluster.hosts, session)
        until(lambda: station.session not in (None, session))  # noqa: B023
    cluster.handlers.go_on.set()
    assert task.result(PATIENCE) == 4
    until(lambda: cluster.master.is_leader)
    assert cluster.stub.divide(1).result(PATIENCE) == 1


def test_zookeeper_loses_a_node_and_restarts_as_a_whole(tmp_path: pathlib.Path) -> None:
    handlers = Handlers()
    with Ensemble(tmp_path) as ensemble:
        url = f"zk://{ensemble.hosts}/rpc?timeout=10"
        with rpc.TaskQueue(url, timeout=60) as queue, rpc.Master(url), rpc.Worker(url, stub_of(handlers)):
            stub = TaskStub(queue)
            running = stub.wait(1)
            assert handlers.entered.acquire(timeout=PATIENCE)
            leader = ensemble.leader
            leader.kill()
            assert stub.divide(4, 2).result(PATIENCE) == 2.0
            leader.start()
            ensemble.kill()
            handlers.go_on.set()  # it ends while there is no ZooKeeper
            with pytest.raises(rpc.DeadlineExceeded):
                running.result(0.1)
            ensemble.start()
            assert running.result(PATIENCE) == 1
            assert stub.divide(9, 3).result(PATIENCE) == 3.0
            assert all(info.attempts == 1 for info in queue.tasks())


def test_without_zookeeper_nothing_is_queued_and_the_caller_knows(tmp_path: pathlib.Path) -> None:
    with ZooKeeper(tmp_path) as own:
        url = f"zk://{own.hosts}/rpc"
        with rpc.TaskQueue(url) as patient, rpc.TaskQueue(url, timeout=0.3) as queue:
            kept = TaskStub(patient).divide(1)
            assert queue.counts(PATIENCE).waiting == 1
            own.kill()
            until(lambda: queue.session is None and patient.session is None)
            with pytest.raises(rpc.Unavailable, match=r"not queued in 0\.3 s"):
                TaskStub(queue).divide(2)
            with pytest.raises(rpc.Unavailable, match=r"no answer in 0\.2 s"):
                kept.status(0.2)
            own.start()
            assert kept.status(PATIENCE) == "waiting"
            assert len(queue.tasks(PATIENCE)) == 1


def test_an_operator_deletes_what_is_needed(cluster: Cluster) -> None:
    with client(cluster.hosts) as operator:
        operator.delete(f"{cluster.root}/workers/{cluster.worker.name}")
        until(lambda: operator.exists(f"{cluster.root}/workers/{cluster.worker.name}"))
        operator.delete(f"{cluster.root}/master")
        until(lambda: operator.exists(f"{cluster.root}/master"))
        assert cluster.stub.divide(1).result(PATIENCE) == 1
        task = cluster.stub.wait(1)
        assert cluster.handlers.entered.acquire(timeout=PATIENCE)
        operator.delete(f"{cluster.root}/assign/{cluster.worker.name}/{task.id}")
        until(lambda: cluster.queue.show(task.id).attempts == 2)  # it was given out once more
        cluster.handlers.go_on.set()
        assert task.result(PATIENCE) == 1
        gone = cluster.stub.divide(2)
        assert gone.result(PATIENCE) == 2
        operator.delete(f"{cluster.root}/tasks/{gone.id}", recursive=True)
        until(lambda: cluster.master.counts()["ended"] == 2)


def test_bytes_that_mean_nothing_harm_nobody(cluster: Cluster) -> None:
    with client(cluster.hosts) as operator:
        root = cluster.root
        operator.create(f"{root}/workers/nonsense", b'{"host": 3}', ephemeral=True)
        operator.create(f"{root}/workers/slash", b'{"host": "a/b"}', ephemeral=True)
        operator.create(f"{root}/tasks/other", b"no task")
        operator.create(f"{root}/tasks/task-{uuid.uuid4().hex}", b"\xc1RPCTSK\x01\xff\xff\xff\xff")
        operator.create(f"{root}-tasks/changed/task-none")
        assert cluster.stub.divide(1).result(PATIENCE) == 1
        until(lambda: operator.get_children(f"{root}-tasks/changed") == [])
        assert cluster.master.is_leader
