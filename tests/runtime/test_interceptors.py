from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import gc
import typing
import weakref

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.interceptors import through, through_async
from tests.support.services import DivideProtocol

Through: typing.TypeAlias = typing.Callable[
    [list[rpc.Interceptor], rpc.Call, typing.Callable[[], object]], typing.Any
]


def through_a_loop(
    interceptors: list[rpc.Interceptor], call: rpc.Call, proceed: typing.Callable[[], object]
) -> typing.Any:
    async def made() -> object:
        await asyncio.sleep(0)
        return proceed()

    return asyncio.run(through_async(interceptors, call, made))


@pytest.fixture(params=[through, through_a_loop], ids=["blocking", "asyncio"])
def run(request: pytest.FixtureRequest) -> Through:
    return typing.cast(Through, request.param)


def new_call(*args: object) -> rpc.Call:
    return rpc.Call(DivideProtocol, args, metadata={}, reply_metadata={}, peer="tcp://127.0.0.1:1")


def noting(name: str, notes: list[str]) -> rpc.Interceptor:
    @contextlib.contextmanager
    def noted(call: rpc.Call) -> collections.abc.Iterator[None]:
        notes.append(f"{name} before {call.method}")
        try:
            yield
        except Exception as error:
            notes.append(f"{name} failed {error!r}")
            raise
        notes.append(f"{name} after {call.result}")

    return noted


def test_the_first_is_the_outermost(run: Through) -> None:
    notes: list[str] = []
    call = new_call()

    def proceed() -> int:
        notes.append("the call")
        return 7

    assert run([noting("a", notes), noting("b", notes)], call, proceed) == 7
    assert notes == ["a before divide", "b before divide", "the call", "b after 7", "a after 7"]
    assert repr(call) == "<call of divide with tcp://127.0.0.1:1>"


def test_errors_pass_through_all(run: Through) -> None:
    notes: list[str] = []

    def proceed() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run([noting("a", notes), noting("b", notes)], new_call(), proceed)
    assert notes[2:] == ["b failed ValueError('no')", "a failed ValueError('no')"]


def test_one_may_change_arguments_and_result(run: Through) -> None:
    @contextlib.contextmanager
    def doubled(call: rpc.Call) -> collections.abc.Iterator[None]:
        call.args = (2,)
        yield
        call.result *= 2

    call = new_call(1)
    assert run([doubled], call, lambda: call.args[0]) == 4


def test_one_may_end_a_call_before_it_begins(run: Through) -> None:
    @contextlib.contextmanager
    def closed(call: rpc.Call) -> collections.abc.Iterator[None]:
        raise rpc.Refused(rpc.FaultCode.PERMISSION_DENIED, "closed on Sundays")
        yield

    reached: list[str] = []
    with pytest.raises(rpc.Refused, match="PERMISSION_DENIED: closed on Sundays"):
        run([noting("a", []), closed, noting("b", reached)], new_call(), lambda: reached.append("call"))
    assert reached == []


def test_an_error_is_swallowed_only_with_a_result_in_its_place(run: Through) -> None:
    @contextlib.contextmanager
    def calm(call: rpc.Call) -> collections.abc.Iterator[None]:
        with contextlib.suppress(ValueError):
            yield

    @contextlib.contextmanager
    def mending(call: rpc.Call) -> collections.abc.Iterator[None]:
        try:
            yield
        except ValueError:
            call.result = -1

    def proceed() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run([calm], new_call(), proceed)
    assert run([mending], new_call(), proceed) == -1

    @contextlib.contextmanager
    def failing(call: rpc.Call) -> collections.abc.Iterator[None]:
        raise ValueError("before the call")
        yield

    with pytest.raises(RuntimeError, match="swallowed another one's error"):
        run([calm, failing], new_call(), proceed)


def asynchronous(notes: list[str]) -> rpc.Interceptor:
    @contextlib.asynccontextmanager
    async def waiting(call: rpc.Call) -> collections.abc.AsyncIterator[None]:
        await asyncio.sleep(0)
        notes.append("waited before")
        yield
        await asyncio.sleep(0)
        notes.append("waited after")

    return waiting


def test_asyncio_takes_both_kinds() -> None:
    notes: list[str] = []
    assert through_a_loop([asynchronous(notes), noting("b", notes)], new_call(), lambda: 1) == 1
    assert notes == ["waited before", "b before divide", "b after 1", "waited after"]


def test_blocking_calls_refuse_asynchronous_ones_by_name() -> None:
    with pytest.raises(TypeError, match=r"waiting gives an asynchronous context manager: it is for asyncio"):
        through([asynchronous([])], new_call(), lambda: 1)


def test_what_is_no_interceptor_is_named(run: Through) -> None:
    def plain(call: rpc.Call) -> typing.Any:
        return None

    with pytest.raises(TypeError, match=r"plain gives None, not a context manager: is it written with @con"):
        run([plain], new_call(), lambda: 1)


def test_errors_are_freed_without_the_collector() -> None:
    failures: list[weakref.ref[Exception]] = []

    class Failure(Exception):
        def __init__(self) -> None:
            failures.append(weakref.ref(self))

    def proceed() -> None:
        raise Failure

    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with contextlib.suppress(Failure):
            through([noting("a", [])], new_call(), proceed)
        assert [failure() for failure in failures] == [None]
    finally:
        if was_enabled:
            gc.enable()
