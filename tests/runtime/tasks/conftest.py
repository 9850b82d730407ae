"""Nothing is left behind by a test: no thread, no descriptor."""

from __future__ import annotations

import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.leaks import no_leaks
from tests.support.tasks import Handlers, TaskStub
from tests.support.waiting import PATIENCE

__all__ = ["no_leaks"]


class Cluster:
    """A master, a worker and a queue of the test's own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.hosts = url.split("/")[2]
        self.root = "/" + url.split("/")[3]
        self.handlers = Handlers()
        self.master = rpc.Master(url)
        self.worker = rpc.Worker(url, services.ServerStub(self.handlers))
        self.queue = rpc.TaskQueue(url)
        self.stub = TaskStub(self.queue)


@pytest.fixture
def cluster(zk_url: str) -> typing.Iterator[Cluster]:
    made = Cluster(zk_url)
    with made.master, made.worker, made.queue:
        assert made.master.wait(PATIENCE)
        yield made
        made.handlers.go_on.set()
