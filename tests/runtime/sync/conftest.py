"""A server and a channel to it, for every test that wants one; nothing is left afterwards."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import services


def descriptors() -> set[str]:
    """What this process has open, by number and target."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return found


@pytest.fixture(autouse=True)
def no_leaks() -> typing.Iterator[None]:
    """Holds every test here to leaving no descriptor and no thread behind."""
    threads, before = set(threading.enumerate()), descriptors()
    yield
    gc.collect()
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
    assert set(threading.enumerate()) - threads == set()
    assert descriptors() - before == set()


@pytest.fixture
def handlers() -> typing.Iterator[services.Handlers]:
    made = services.Handlers()
    yield made
    made.go_on.set()


@pytest.fixture(params=[services.Server, services.ThreadServer], ids=["Server", "ThreadServer"])
def kind(request: pytest.FixtureRequest) -> services.Kind:
    return typing.cast(services.Kind, request.param)


@pytest.fixture
def server(handlers: services.Handlers) -> typing.Iterator[services.ThreadServer]:
    with services.ThreadServer("127.0.0.1", 0, handlers) as serving:
        yield serving
        handlers.go_on.set()


@pytest.fixture
def channel(server: services.ThreadServer) -> typing.Iterator[rpc.Channel]:
    with rpc.Channel("127.0.0.1", server.port) as made:
        yield made


@pytest.fixture
def stub(channel: rpc.Channel) -> services.ClientStub:
    return services.ClientStub(channel)
