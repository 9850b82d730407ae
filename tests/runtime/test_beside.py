"""AsyncClientStub's methods as programs, frameworks and readers see them."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import pydoc
import typing
import unittest.mock

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

    class Fresh(service.AsyncClientStub):
        divide = rpc.awaited(service.ClientStub.divide)

    return Fresh


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
    assert "divide(self, num1: 'int', num2: 'int' = 1) -> 'float'" in pydoc.plain(
        pydoc.render_doc(service.AsyncClientStub)
    )


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
