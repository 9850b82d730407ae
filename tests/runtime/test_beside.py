"""AsyncClientStub's methods as programs, frameworks and readers see them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import os
import pickle
import pydoc
import subprocess
import sys
import threading
import typing
import unittest.mock
import warnings

import features
import pytest
import service

from rpcgen import runtime as rpc


class Channel:
    """Divides what it was asked with."""

    async def call(
        self, protocol: typing.Any, args: tuple[typing.Any, ...], timeout: float | None
    ) -> typing.Any:
        return args[0] / args[1] if args else protocol.name


def fresh_stub() -> type[service.AsyncClientStub]:
    """Gives a stub whose methods nobody has looked up yet."""

    class Fresh(rpc.AsyncClientStub, like=service.ClientStub):
        pass

    return typing.cast("type[service.AsyncClientStub]", Fresh)


def has_methods(stub: type) -> bool:
    return "divide" in vars(stub)


def test_it_has_no_methods_before_it_is_used() -> None:
    code = (
        "import service\n"
        "for stub in (service.AsyncClientStub, service.TaskStub):\n"
        "    print('divide' in vars(stub), hasattr(stub, 'divide'), 'divide' in vars(stub))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("False True True\n" * 2, "")


@pytest.mark.parametrize(
    "use",
    [
        lambda stub: stub(Channel()),
        lambda stub: stub.__new__(stub),
        lambda stub: stub.divide,
        lambda stub: dir(stub),
        lambda stub: typing.cast(typing.Any, type("Sub", (stub,), {})).divide,
        lambda stub: type("Sub", (stub,), {})(Channel()),
    ],
    ids=["made", "made bare", "looked up", "listed", "looked up in a subclass", "made of a subclass"],
)
def test_it_has_its_methods_when_it_is_used(use: typing.Callable[[typing.Any], object]) -> None:
    stub = fresh_stub()
    assert not has_methods(stub)
    use(stub)
    assert has_methods(stub)
    assert asyncio.run(stub(Channel()).divide(200, 100)) == 2.0


def test_a_name_that_it_does_not_have() -> None:
    for _ in range(2):
        with pytest.raises(AttributeError, match="type object 'Fresh' has no attribute 'multiply'"):
            fresh_stub().multiply  # type: ignore[attr-defined]  # noqa: B018
        with pytest.raises(AttributeError, match="'Fresh' object has no attribute 'multiply'"):
            fresh_stub()(Channel()).multiply  # type: ignore[attr-defined]  # noqa: B018


def test_what_stands_in_its_body_stays() -> None:
    class Own(rpc.AsyncClientStub, like=service.ClientStub):
        async def divide(self, num1: int, num2: int) -> float:
            return -1.0

    assert asyncio.run(Own(Channel()).divide(1, 2)) == -1.0


def test_a_patch_of_the_client_stub_is_not_taken_over() -> None:
    stub = fresh_stub()
    with unittest.mock.patch.object(service.ClientStub, "divide", autospec=True):
        assert asyncio.run(stub(Channel()).divide(4, 2)) == 2.0
    with unittest.mock.patch.object(stub, "divide", return_value=5.0):
        assert asyncio.run(stub(Channel()).divide(4, 2)) == 5.0
    assert asyncio.run(stub(Channel()).divide(4, 2)) == 2.0


def test_threads_that_use_it_first_at_the_same_time() -> None:
    for _ in range(50):
        stub = fresh_stub()
        barrier = threading.Barrier(4)

        def use(stub: type[service.AsyncClientStub] = stub, barrier: threading.Barrier = barrier) -> float:
            barrier.wait(10)
            return asyncio.run(stub(Channel()).divide(4, 2))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert [done.result() for done in [pool.submit(use) for _ in range(4)]] == [2.0] * 4


def test_an_inherited_one_is_like_the_stub_that_inherits() -> None:
    parent, child = features.DirectoryAsyncClientStub, features.ArchiveAsyncClientStub
    assert issubclass(child, parent)
    assert asyncio.run(typing.cast(typing.Any, child(Channel()).ping())) == "Archive.ping"
    assert asyncio.run(typing.cast(typing.Any, parent(Channel()).ping())) == "Directory.ping"


def test_a_method_is_awaited() -> None:
    stub = fresh_stub()(Channel())
    for _ in range(2):
        assert asyncio.run(stub.divide(200, num2=100)) == 2.0


def test_one_without_a_result_is_awaited_too() -> None:
    stub = features.DirectoryAsyncClientStub(Channel())
    assert asyncio.run(typing.cast(typing.Any, stub.ping())) == "Directory.ping"


@pytest.mark.parametrize("of", [lambda stub: stub, lambda stub: stub(Channel())], ids=["class", "instance"])
def test_it_is_a_coroutine_function(of: typing.Callable[[type], typing.Any]) -> None:
    method = of(fresh_stub()).divide
    assert inspect.iscoroutinefunction(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.14 on; libraries ask it still
        assert asyncio.iscoroutinefunction(method)
    assert not inspect.iscoroutinefunction(service.ClientStub.divide)


def test_a_mock_of_the_stub_is_awaited() -> None:
    stub = unittest.mock.create_autospec(fresh_stub(), instance=True)
    stub.divide.return_value = 2.0
    assert asyncio.run(stub.divide(4, 2)) == 2.0
    with pytest.raises(TypeError):
        stub.divide(1, 2, 3)


def test_it_has_its_own_name_and_the_words_of_the_idl() -> None:
    method = service.AsyncClientStub.divide
    assert method.__qualname__ == "AsyncClientStub.divide"
    assert pickle.loads(pickle.dumps(method)) is method
    assert method.__doc__ == service.ClientStub.divide.__doc__
    assert inspect.signature(method) == inspect.signature(service.ClientStub.divide)
    # Python quotes the types before 3.14.
    told = pydoc.plain(pydoc.render_doc(service.AsyncClientStub)).replace("'", "")
    assert "divide(self, num1: int, num2: int = 1) -> float" in told


def test_a_subclass_calls_what_it_overrides() -> None:
    class Halving(service.AsyncClientStub):
        async def divide(self, num1: int, num2: int = 2) -> float:
            return await super().divide(num1, num2)

    assert asyncio.run(Halving(Channel()).divide(9)) == 4.5


def test_a_method_may_be_called_like_the_stub(tmp_path: typing.Any) -> None:
    import rpcgen

    source = tmp_path / "odd.idl"
    source.write_text("void ClientStub()\nint next()\n", encoding="utf-8")
    stub = rpcgen.load(source).AsyncClientStub(Channel())
    assert asyncio.run(stub.ClientStub_()) == "ClientStub"
    assert asyncio.run(stub.next()) == "next"
