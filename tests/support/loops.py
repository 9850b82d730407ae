"""Event loops that tests run in: asyncio's own, and uvloop's, which programs use where it is installed."""

from __future__ import annotations

import asyncio
import collections.abc
import typing

import pytest

from rpcgen.runtime.aio.server.loops import quickest_loop

_Result = typing.TypeVar("_Result")
_Factory: typing.TypeAlias = "collections.abc.Callable[[], asyncio.AbstractEventLoop] | None"
_factory: _Factory = None
"""None: asyncio's own."""

_UVLOOP: _Factory = quickest_loop()
if _UVLOOP is not None:
    _UVLOOP().close()  # the first one opens what a process keeps


@pytest.fixture(params=["asyncio", "uvloop"], autouse=True)
def loop_kind(request: pytest.FixtureRequest) -> typing.Iterator[str]:
    """Runs each test in a loop of each kind; import it where that is wanted."""
    global _factory
    if request.param == "uvloop":
        if _UVLOOP is None:
            pytest.skip("uvloop is not installed: make setup")
        _factory = _UVLOOP
    yield request.param
    _factory = None


def run(coroutine: collections.abc.Coroutine[typing.Any, typing.Any, _Result]) -> _Result:
    """Does what ``asyncio.run`` does, in a loop of the test's kind."""
    with asyncio.Runner(loop_factory=_factory) as runner:
        return runner.run(coroutine)
