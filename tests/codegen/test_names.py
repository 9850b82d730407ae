"""What things are called in Python: tables of names, and what collides."""

from __future__ import annotations

import dataclasses

import pytest

from rpcgen.codegen.names import NameBook, Names, camel
from rpcgen.compiler import model
from tests.codegen import models as m


def names(*declarations: model.Declaration, includes: tuple[model.Module, ...] = ()) -> Names:
    return NameBook().of(m.module("some", *declarations, includes=includes))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("divide", "Divide"),
        ("get_url", "GetUrl"),
        ("getURL", "GetURL"),
        ("HTTPServer", "HTTPServer"),
        ("OUT_OF_STOCK", "OutOfStock"),
        ("URL", "URL"),
        ("v1_2", "V1_2"),
        ("a__b", "AB"),
        ("_private", "Private"),
        ("_1", "_1"),
        ("_", "_"),
        ("__", "_"),
    ],
)
def test_camel_case(name: str, expected: str) -> None:
    assert camel(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("id", "id"),
        ("type", "type"),
        ("match", "match"),
        ("case", "case"),
        ("_", "_"),
        ("_hidden", "_hidden"),
        ("name", "name"),
        ("mro", "mro"),
        ("class", "class_"),
        ("None", "None_"),
        ("async", "async_"),
        ("list", "list_"),
        ("str", "str_"),
        ("object", "object_"),
        ("staticmethod", "staticmethod_"),
        ("self", "self_"),
        ("super", "super_"),
        ("rpc", "rpc_"),
        ("typing", "typing_"),
        ("datetime", "datetime_"),
        ("uuid", "uuid_"),
        ("common", "common_"),
        ("Other", "Other_"),
        ("AnyShape", "AnyShape_"),
        ("__secret", "secret_"),
        ("__1", "x1_"),
    ],
)
def test_fields_and_parameters(name: str, expected: str) -> None:
    found = names(
        m.struct("Some", m.field(1, name)),
        m.struct("Other"),
        m.union("Shape", m.field(1, "x")),
        m.service("", m.method("run", m.field(1, name))),
        includes=(m.module("common"),),
    )
    assert found.members["Some", name] == expected
    assert found.methods["", "run"].params == (expected,)
    assert found.problems == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("divide", "divide"),
        ("close", "close"),
        ("list", "list_"),
        ("import", "import_"),
        ("_call", "_call_"),
        ("_x_", "_x_"),
        ("__call", "call_"),
        ("InvalidOperation", "InvalidOperation_"),
    ],
)
def test_methods(name: str, expected: str) -> None:
    found = names(m.exception("InvalidOperation"), m.service("", m.method(name)))
    assert found.methods["", name].attr == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("HOME", "HOME"),
        ("Some", "Some"),
        ("_x", "_x"),
        ("name", "name_"),
        ("value", "value_"),
        ("mro", "mro_"),
        ("from_wire", "from_wire_"),
        ("real", "real_"),
        ("to_bytes", "to_bytes_"),
        ("None", "None_"),
        ("_missing_", "missing_"),
        ("__secret", "secret_"),
        ("_Kind__x", "Kind__x_"),
    ],
)
def test_enum_members(name: str, expected: str) -> None:
    found = names(m.struct("Some"), m.enum("Kind", name))
    assert found.members["Kind", name] == expected


@pytest.mark.parametrize(
    ("name", "type", "expected"),
    [
        ("args", m.INT, "args_"),
        ("with_traceback", m.INT, "with_traceback_"),
        ("add_note", m.INT, "add_note_"),
        ("default_message", m.STRING, "default_message_"),
        ("message", m.STRING, "message"),
        ("message", m.INT, "message_"),
        ("message", model.OptionalOf(m.STRING), "message_"),
        ("sku", m.INT, "sku"),
    ],
)
def test_exception_fields(name: str, type: model.Type, expected: str) -> None:
    found = names(m.exception("Failed", (m.field(1, name, type),)))
    assert found.members["Failed", name] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("circle", "Circle"),
        ("foo_bar", "FooBar"),
        ("unknown", "Unknown_"),
        ("none", "None_"),
        ("true", "True_"),
        ("__x", "X"),
    ],
)
def test_union_cases(name: str, expected: str) -> None:
    assert names(m.union("Shape", m.field(1, name))).members["Shape", name] == expected


def test_union_cases_that_meet_in_camel_case() -> None:
    found = names(m.union("Shape", m.field(1, "foo_bar"), m.field(2, "fooBar")))
    assert found.members == {("Shape", "foo_bar"): "FooBar", ("Shape", "fooBar"): "FooBar_"}
    assert found.problems == []


@pytest.mark.parametrize(
    "name",
    [
        *("Handlers", "ClientStub", "ServerStub", "Server", "ThreadServer", "Channel", "MethodProtocol"),
        *("INTERFACE", "AsyncClientStub", "TaskStub", "AsyncHandlers", "AsyncServer", "ProcessServer"),
        *("AsyncChannel", "DistributedChannel", "AsyncDistributedChannel"),
        *("RunProtocol", "AnyShape", "DirectoryClientStub", "DirectoryFindProtocol", "DirectoryServer"),
        *("typing", "rpc", "object", "common", "name", "params", "value", "annotations"),
    ],
)
def test_it_is_always_the_user_s_type_that_gives_way(name: str) -> None:
    found = names(
        m.struct(name),
        m.union("Shape", m.field(1, "x")),
        m.service("", m.method("run")),
        m.service("Directory", m.method("find", service="Directory")),
        includes=(m.module("common"),),
    )
    assert found.declared[name] == name + "_"
    assert found.methods["", "run"].protocol == "RunProtocol"
    assert found.services["Directory"]["ClientStub"] == "DirectoryClientStub"
    assert found.imports == {"common": "common"}
    assert found.problems == []


def test_a_service_whose_classes_would_be_the_file_s() -> None:
    found = names(m.service("Thread", m.method("run", service="Thread")))
    assert found.services["Thread"]["Server"] == "ThreadServer_"
    assert found.services["Thread"]["ThreadServer"] == "ThreadThreadServer"


def test_an_include_of_a_name_that_is_taken() -> None:
    assert names(includes=(m.module("rpc"), m.module("typing"))).imports == {
        "rpc": "rpc_",
        "typing": "typing_",
    }


def test_methods_whose_protocols_meet() -> None:
    found = names(m.service("", m.method("get_url"), m.method("getUrl")))
    assert [found.methods["", name].protocol for name in ("get_url", "getUrl")] == [
        "GetUrlProtocol",
        "GetUrlProtocol_",
    ]


@pytest.mark.parametrize(
    "declared",
    [
        m.struct("Some", m.field(1, "class"), m.field(2, "class_")),
        m.struct("Some", m.field(1, "class_"), m.field(2, "class")),
        m.exception("Failed", (m.field(1, "args"), m.field(2, "args_"))),
        m.enum("Kind", "name_", "name"),
        m.service("", m.method("run", m.field(1, "self"), m.field(2, "self_"))),
        m.service("", m.method("list"), m.method("list_")),
        m.union("Shape", *(m.field(i, name) for i, name in enumerate(["a_b", "aB", "A_b"], 1))),
    ],
    ids=["struct", "other way round", "exception", "enum", "parameter", "method", "union"],
)
def test_two_that_would_still_collide(declared: model.Declaration) -> None:
    (problem,) = names(declared).problems
    assert problem.code == "E501"
    assert problem.span == m.SPAN


def test_two_types_that_would_still_collide() -> None:
    (problem,) = names(m.struct("Server"), m.struct("Server_")).problems
    assert problem.message == "Server and Server_ are both Server_ in Python"


def test_an_inherited_method_keeps_its_parent_s_name() -> None:
    listing = m.method("list", m.field(1, "class"), service="Base")
    base = m.module("common", m.service("Base", listing))
    parent = model.ServiceName("Base", "common")
    child = m.service(
        "Child", m.method("list_", service="Child"), extends=parent, inherited=((parent, listing),)
    )
    found = names(child, includes=(base,))
    inherited = found.methods["Child", "list"]
    assert (inherited.attr, inherited.params, inherited.protocol) == (
        "list_",
        ("class_",),
        "ChildListProtocol_",
    )
    assert [problem.code for problem in found.problems] == ["E501"]


def test_a_child_may_stand_before_its_parent() -> None:
    ping = m.method("ping", service="Base")
    parent = model.ServiceName("Base")
    child = m.service("Child", extends=parent, inherited=((parent, ping),))
    found = names(child, m.service("Base", ping))
    assert dataclasses.astuple(found.methods["Child", "ping"]) == ("ping", "ChildPingProtocol", ())
