"""A server and a channel to it, for every test that wants one; nothing is left afterwards."""

from __future__ import annotations

import socket
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.sync.client.dial import set_timeout
from tests.support import services, speech as speeches
from tests.support.leaks import no_leaks

__all__ = ["no_leaks"]


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


@pytest.fixture(params=speeches.ALL, ids=repr)
def speech(request: pytest.FixtureRequest) -> speeches.Speech:
    return typing.cast(speeches.Speech, request.param)


@pytest.fixture
def channel(server: services.ThreadServer, speech: speeches.Speech) -> typing.Iterator[rpc.Channel]:
    with rpc.Channel("127.0.0.1", server.port, **speech.options) as made:
        yield made


@pytest.fixture
def stub(channel: rpc.Channel) -> services.ClientStub:
    return services.ClientStub(channel)


@pytest.fixture
def pair() -> typing.Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection, on which nothing waits for ever."""
    one, other = socket.socketpair()
    with one, other:
        for each in (one, other):
            set_timeout(each, socket.SO_RCVTIMEO, 20)
        yield one, other
