"""TaskStub's methods as programs, frameworks and readers see them; without a queue."""

from __future__ import annotations

import inspect
import pickle
import pydoc
import typing
import unittest.mock
import warnings

import common
import features
import pytest
import service

import rpcgen
from rpcgen import runtime as rpc


class Queue:
    """Gives what it was asked to queue."""

    def call(
        self,
        protocol: typing.Any,
        args: tuple[typing.Any, ...],
        timeout: float | None = None,
        **options: object,
    ) -> typing.Any:
        return protocol.name, args, {"timeout": timeout, **options}


QUEUE = typing.cast(rpc.TaskQueue, Queue())


def fresh_stub() -> type[service.TaskStub]:
    """Gives a stub whose methods nobody has looked up yet."""

    class Fresh(service.TaskStub):
        divide = rpc.queued(service.ClientStub.divide)

    return Fresh


def test_a_method_is_queued() -> None:
    stub = fresh_stub()(QUEUE)
    for _ in range(2):
        found = typing.cast(typing.Any, stub.divide(200, num2=100))
        assert found == ("divide", (200, 100), {"timeout": None})


def test_options_go_with_it() -> None:
    stub = rpc.with_task_options(service.TaskStub(QUEUE), priority=2, timeout=1.0)
    found = typing.cast(typing.Any, stub.divide(1))
    assert found == ("divide", (1, 1), {"timeout": 1.0, "priority": 2})


def test_one_without_a_result_is_queued_too() -> None:
    stub = features.DirectoryTaskStub(QUEUE)
    found = typing.cast(typing.Any, stub.log("x"))
    assert found[:2] == ("Directory.log", ("x",))


def test_annotations_are_data_of_the_protocol() -> None:
    assert (features.DirectoryLogProtocol.attempts, features.DirectoryLogProtocol.priority) == (5, -1)
    assert (features.ArchiveLogProtocol.attempts, features.ArchiveLogProtocol.priority) == (5, -1)
    assert (service.DivideProtocol.attempts, service.DivideProtocol.priority) == (None, 0)


def test_an_inherited_method_is_queued_by_the_child_s_name() -> None:
    found = typing.cast(typing.Any, features.DirectoryTaskStub(QUEUE).ping())
    assert found[0] == "Directory.ping"
    assert issubclass(features.DirectoryTaskStub, common.BaseTaskStub)


def test_it_is_no_coroutine_function_and_mocks_know_its_arguments() -> None:
    assert not inspect.iscoroutinefunction(fresh_stub().divide)
    stub = unittest.mock.create_autospec(fresh_stub(), instance=True)
    stub.divide.return_value = 2.0
    assert stub.divide(4, 2) == 2.0
    with pytest.raises(TypeError):
        stub.divide(1, 2, 3)


def test_it_has_its_own_name_and_says_that_it_gives_a_task() -> None:
    method = service.TaskStub.divide
    assert method.__qualname__ == "TaskStub.divide"
    assert pickle.loads(pickle.dumps(method)) is method
    assert method.__doc__ == service.ClientStub.divide.__doc__
    assert typing.get_type_hints(method)["return"] == rpc.Task[float]
    # Python quotes the types before 3.14.
    told = pydoc.plain(pydoc.render_doc(service.TaskStub)).replace("'", "")
    assert "divide(self, num1: int, num2: int = 1) -> rpc.Task[float]" in told
    assert service.ClientStub.divide.__annotations__["return"] == "float"


def test_a_loaded_interface_has_it_and_warns_where_a_deprecated_method_is_called(
    tmp_path: typing.Any,
) -> None:
    source = tmp_path / "odd.idl"
    source.write_text('@deprecated("use new")\nvoid old()\nvoid ClientStub()\n', encoding="utf-8")
    stub = rpcgen.load(source).TaskStub(QUEUE)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        stub.old()
    assert [warning.filename for warning in found] == [__file__]
    assert stub.ClientStub_()[0] == "ClientStub"
