"""Programs that know the plain layout alone, played by a bare client of ZooKeeper."""

from __future__ import annotations

import typing

import pytest

from rpcgen import runtime as rpc
from tests.runtime.tasks.conftest import Cluster
from tests.support import services
from tests.support.tasks import Handlers, TaskStub
from tests.support.waiting import PATIENCE, until
from tests.support.zookeeper import client

pytestmark = pytest.mark.xdist_group("zookeeper")


class PlainWorker:
    """Registers, lists its assignments, sets their status, deletes them."""

    def __init__(self, operator: typing.Any, root: str, host: str) -> None:
        self.operator = operator
        self.root = root
        self.host = host
        operator.ensure_path(f"{root}/workers")
        entry = b'{"host": "%s", "port": 8001}' % host.encode()
        self.node = operator.create(f"{root}/workers/worker", entry, ephemeral=True, sequence=True)

    @property
    def assigned(self) -> list[str]:
        path = f"{self.root}/assign/{self.host}"
        return sorted(self.operator.get_children(path)) if self.operator.exists(path) else []

    def finish(self, task: str) -> bytes:
        data: bytes = self.operator.get(f"{self.root}/tasks/{task}")[0]
        assert self.operator.get(f"{self.root}/tasks/{task}/status")[0] == b"schedule"
        self.operator.set(f"{self.root}/tasks/{task}/status", b"done")
        self.operator.delete(f"{self.root}/assign/{self.host}/{task}")
        return data


def submit(operator: typing.Any, root: str, data: bytes) -> str:
    operator.ensure_path(f"{root}/tasks")
    path: str = operator.create(f"{root}/tasks/task-", data, sequence=True)
    return path.rpartition("/")[2]


def test_a_plain_client_and_a_plain_worker_with_our_master(cluster: Cluster) -> None:
    with client(cluster.hosts) as operator:
        worker = PlainWorker(operator, cluster.root, "plain-host")
        ours = cluster.stub.divide(6, 3)
        first = submit(operator, cluster.root, b"any \xff bytes")
        until(lambda: worker.assigned == [first])
        second = submit(operator, cluster.root, b"more")
        assert operator.get(f"{cluster.root}/assign/plain-host/{first}")[0] == b""
        assert worker.finish(first) == b"any \xff bytes"
        until(lambda: worker.assigned == [second])  # one at a time, as it does not say how many
        assert worker.finish(second) == b"more"
        assert ours.result(PATIENCE) == 2.0
        assert cluster.queue.status(first) == "done"
        until(lambda: cluster.master.counts()["ended"] == 3)
        assert cluster.queue.purge() == 3


def test_a_plain_worker_that_dies_or_forgets(cluster: Cluster) -> None:
    cluster.worker.close()
    with client(cluster.hosts) as operator:
        with client(cluster.hosts, timeout=0.8) as mortal:
            doomed = PlainWorker(mortal, cluster.root, "doomed")
            task = submit(operator, cluster.root, b"x")
            until(lambda: doomed.assigned == [task])
        other = PlainWorker(operator, cluster.root, "other")
        until(lambda: other.assigned == [task])
        until(lambda: operator.get_children(f"{cluster.root}/assign/doomed") == [])
        operator.delete(f"{cluster.root}/assign/other/{task}")  # without a word
        until(lambda: operator.get(f"{cluster.root}/tasks/{task}/status")[1].version == 2)
        other.finish(task)
        until(lambda: cluster.queue.status(task) == "done")
        assert [attempt.worker for attempt in cluster.queue.show(task).history] == ["doomed"]


def test_a_plain_client_s_tasks_are_removed_in_their_time(zk_url: str) -> None:
    root = f"/{zk_url.split('/')[3]}"
    ran: list[bytes] = []
    with client(zk_url.split("/")[2]) as operator, rpc.Master(zk_url, keep_foreign=0.1) as master:
        assert master.wait(PATIENCE)
        with rpc.Worker(zk_url, raw=ran.append):
            submit(operator, root, b"raw")
            until(lambda: operator.get_children(f"{root}/tasks") == [])
    assert ran == [b"raw"]


def test_raw_tasks_that_fail_are_tried_again(cluster: Cluster) -> None:
    ran: list[bytes] = []

    def fail(data: bytes) -> None:
        ran.append(data)
        raise OSError("always")

    with client(cluster.hosts) as operator, rpc.Worker(cluster.url, raw=fail):
        task = submit(operator, cluster.root, b"raw")
        until(lambda: cluster.queue.status(task) == "failed")
    assert ran == [b"raw"] * 3


@pytest.mark.parametrize("order", ["status first", "assignment first"])
def test_our_worker_obeys_a_plain_master(zk_url: str, order: str) -> None:
    root, hosts = f"/{zk_url.split('/')[3]}", zk_url.split("/")[2]
    handlers = Handlers()
    with (
        client(hosts) as operator,
        rpc.TaskQueue(zk_url) as queue,
        rpc.Worker(zk_url, services.ServerStub(handlers), raw=lambda data: handlers.log(data.decode())),
    ):
        ours = TaskStub(queue).divide(8, 2)
        call = services.DivideProtocol().args_encode(9, 3)
        plain, raw = submit(operator, root, call), submit(operator, root, b"raw")
        until(lambda: operator.exists(f"{root}/workers") and operator.get_children(f"{root}/workers"))
        (name,) = operator.get_children(f"{root}/workers")
        for task in (ours.id, plain, raw):
            writes = [
                lambda task=task: operator.create(f"{root}/tasks/{task}/status", b"schedule"),
                lambda task=task: operator.create(f"{root}/assign/{name}/{task}"),
            ]
            for write in writes if order == "status first" else reversed(writes):
                write()
        for task in (ours.id, plain, raw):
            until(lambda: operator.get(f"{root}/tasks/{task}/status")[0] == b"done")  # noqa: B023
        assert ours.result(PATIENCE) == 4.0
        assert queue.task(plain, services.DivideProtocol).result(PATIENCE) == 3.0
        assert handlers.lines == ["raw"]
        until(lambda: operator.get_children(f"{root}/assign/{name}") == [])
        nowhere = submit(operator, root, services.EchoProtocol().args_encode(b"x") + b"too long")
        operator.create(f"{root}/assign/{name}/{nowhere}")  # and no status at all
        until(lambda: operator.exists(f"{root}/tasks/{nowhere}/status"))
        assert operator.get(f"{root}/tasks/{nowhere}/status")[0] == b"done"


def test_a_call_that_our_worker_does_not_know_fails(zk_url: str) -> None:
    root, hosts = f"/{zk_url.split('/')[3]}", zk_url.split("/")[2]
    with client(hosts) as operator, rpc.Worker(zk_url, services.ServerStub(Handlers())) as worker:
        task = submit(operator, root, b"\0\0\0\4none\0\0\0\0")
        junk = submit(operator, root, b"junk")
        until(lambda: operator.exists(f"{root}/assign/{worker.name}"))
        for one in (task, junk):
            operator.create(f"{root}/tasks/{one}/status", b"schedule")
            operator.create(f"{root}/assign/{worker.name}/{one}")
            until(lambda: operator.get(f"{root}/tasks/{one}/status")[0] == b"failed")  # noqa: B023


def test_our_master_stands_by_while_a_plain_one_is_there(zk_url: str) -> None:
    root, hosts = f"/{zk_url.split('/')[3]}", zk_url.split("/")[2]
    with client(hosts) as operator:
        operator.create(f"{root}/master", b"plain", ephemeral=True, makepath=True)
        with rpc.Master(zk_url) as master:
            until(lambda: operator.exists(f"{root}/tasks"))
            assert not master.wait(0.3)
            operator.delete(f"{root}/master")
            assert master.wait(PATIENCE)
