"""What goes wrong with masters, workers, tasks and ZooKeeper, provoked: each task is done, and counted once."""

from __future__ import annotations

import contextlib
import pathlib
import threading
import time
import typing
import uuid

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.discovery.zookeeper.asked import Commit
from rpcgen.runtime.discovery.zookeeper.session import Away, Session
from rpcgen.runtime.tasks.duty import Duty
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
        # At once, or the master is elected again in between.
        taking = operator.transaction()
        taking.set_data(f"{cluster.root}-tasks/epoch", b"somebody else")
        taking.delete(f"{cluster.root}/master")
        taking.create(f"{cluster.root}/master", b"somebody else", ephemeral=True)
        assert not [failure for failure in taking.commit() if isinstance(failure, Exception)]
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


class Mortal:
    """Lets a session die at one of its writes: nothing it asks after that is heard.

    Args:
        writes: That it survives.
        is_heard: The next one is carried out, too, but its answer does not come.
    """

    def __init__(self, writes: int, is_heard: bool) -> None:
        self.writes = writes
        self.is_heard = is_heard
        self.is_dead = threading.Event()
        self.session: Session | None = None

    def gather(self, whole: typing.Callable[..., list[typing.Any]], asks: typing.Any) -> list[typing.Any]:
        assert self.session is not None
        answers = []
        for ask in asks:
            is_last = isinstance(ask, Commit) and not self.writes
            if is_last and not self.is_dead.is_set() and self.is_heard:
                whole(self.session, [ask])
            if is_last or self.is_dead.is_set():
                self.is_dead.set()
                raise Away
            self.writes -= isinstance(ask, Commit)
            answers += whole(self.session, [ask])
        return answers


@pytest.fixture
def mortals(monkeypatch: pytest.MonkeyPatch) -> list[Mortal]:
    """Sessions that die; the test adds to it."""
    found: list[Mortal] = []
    whole = Session.gather

    def gather(session: Session, asks: typing.Any) -> list[typing.Any]:
        mortal = next((one for one in found if one.session is session), None)
        return whole(session, asks) if mortal is None else mortal.gather(whole, asks)

    monkeypatch.setattr(Session, "gather", gather)
    return found


def doom(station: rpc.Master | rpc.Worker, mortal: Mortal) -> None:
    """Starts it with a session that dies."""
    with station._lock:
        thread = station._working(Idle("waits until its session is known"))
    mortal.session = thread.session
    station._duty.thread = thread
    station.start()
    thread.keep(station._duty)
    station._duty.wake()


def bury(station: rpc.Master | rpc.Worker, hosts: str) -> None:
    """Ends its session, and it with it, as if its process had been killed."""
    until(lambda: station.session)
    session = station.session
    assert session is not None
    station._duty.is_over = True
    expire(hosts, session)
    station._end()
    station.close()


@pytest.mark.parametrize("is_heard", [False, True], ids=["before", "after"])
def test_a_master_dies_at_each_of_its_writes(zk_url: str, is_heard: bool, mortals: list[Mortal]) -> None:
    """Elect, assign, give up, heed a note, remove: the next one goes on from what stands there."""
    root, hosts = f"/{zk_url.split('/')[3]}", zk_url.split("/")[2]
    with (
        at(zk_url) as (_, stub, operator),
        rpc.Worker(zk_url, stub_of(Handlers()), concurrency=3) as worker,
    ):
        stub = rpc.with_task_options(stub, keep=0.3, attempts=1)
        for writes in range(9):
            good, bad, cancelled = tasks = (stub.divide(writes), stub.divide(1, 0), stub.divide(7))
            assert cancelled.cancel()
            assert not good.done() | bad.done()  # from now on their ends are waited for
            mortal = Mortal(writes, is_heard)
            mortals.append(mortal)
            doomed = rpc.Master(zk_url)
            doom(doomed, mortal)
            until(lambda: mortal.is_dead.is_set() or {task.status() for task in tasks} == {"gone"})  # noqa: B023
            bury(doomed, hosts)
            with rpc.Master(zk_url):
                assert good.result(PATIENCE) == writes
                with pytest.raises(services.InvalidOperation):
                    bad.result(PATIENCE)
                until(lambda: not operator.get_children(f"{root}/tasks"))
        assert sum(mortal.is_dead.is_set() for mortal in mortals) >= 4
        assert worker.counts() == {"running": 0, "done": 9, "failed": 9, "refused": 0}
        for path in ("results", "history", "changed"):
            assert operator.get_children(f"{root}-tasks/{path}") == []


@pytest.mark.parametrize("is_heard", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("writes", range(3))
def test_a_worker_dies_at_each_of_its_writes(
    zk_url: str, writes: int, is_heard: bool, mortals: list[Mortal]
) -> None:
    """Its entry, the end of a task, that of an attempt in vain: another goes on where it was."""
    hosts = zk_url.split("/")[2]
    ran: list[str] = []

    def run(what: str) -> int:
        ran.append(what)
        if what == "vain" and ran.count(what) == 1:
            raise OSError("the first time")
        return 1

    handlers = Handlers()
    handlers.run = run  # type: ignore[method-assign]
    with at(zk_url) as (queue, stub, _), rpc.Master(zk_url):
        doomed, mortal = rpc.Worker(zk_url, stub_of(handlers), concurrency=1), Mortal(writes, is_heard)
        mortals.append(mortal)
        good, vain = stub.run("good"), stub.run("vain")
        doom(doomed, mortal)
        assert mortal.is_dead.wait(PATIENCE)
        bury(doomed, hosts)
        with rpc.Worker(zk_url, stub_of(handlers)) as other:
            assert (good.result(PATIENCE), vain.result(PATIENCE)) == (1, 1)
            until(lambda: [worker.entry.host for worker in queue.workers()] == [other.name])
            infos = [queue.show(task.id) for task in (good, vain)]
            assert [info.status for info in infos] == ["done", "done"]
            for info, task in zip(infos, ("good", "vain"), strict=True):
                # What was not heard of is run again: no more often, and counted.
                assert ran.count(task) in (info.attempts, info.attempts - 1)
                assert len(info.history) == info.attempts - 1


class Idle(Duty):
    """Does nothing."""

    def turn(self, session: Session) -> float:
        return 60.0


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
        at_once = operator.transaction()  # one after the other, the master would give it out in between
        at_once.delete(f"{cluster.root}/tasks/{gone.id}/status")
        at_once.delete(f"{cluster.root}/tasks/{gone.id}")
        assert at_once.commit() == [True, True]
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
