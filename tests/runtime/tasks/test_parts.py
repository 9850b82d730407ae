"""The parts that need no ZooKeeper: bytes of nodes, names, lines, tags."""

from __future__ import annotations

import typing

import hypothesis
import pytest
from hypothesis import strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.schema import Field
from rpcgen.runtime.tasks import envelopes, layout
from rpcgen.runtime.tasks.envelopes import Assigned, Attempt, Ending, Entry, Header, pack, unpack
from rpcgen.runtime.tasks.lines import Lines, Shape
from rpcgen.runtime.tasks.queue import _tags
from rpcgen.runtime.wire.plain import MethodCodec
from tests.support import services

INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
HEADERS = st.one_of(
    st.builds(
        Header,
        submitted=INT64,
        not_before=INT64,
        priority=INT32,
        attempts=st.integers(0, 2**32 - 1),
        timeout=INT64,
        keep=INT64,
        tags=st.binary(max_size=5),
    ),
    st.builds(Ending, worker=st.text(st.characters(codec="utf-8"), max_size=5), began=INT64, ended=INT64),
    st.builds(Assigned, version=st.integers(0, 2**31)),
)


@hypothesis.given(HEADERS, st.binary(max_size=20))
def test_what_is_packed_is_unpacked(header: typing.Any, body: bytes) -> None:
    data = pack(header, body)
    assert unpack(type(header), data) == (header, body)
    for kind in (Header, Ending, Assigned):
        assert (unpack(kind, data) is None) == (kind is not type(header))


@hypothesis.given(HEADERS, st.binary(max_size=20), st.data())
def test_other_bytes_are_somebody_else_s_and_no_error(
    header: typing.Any, body: bytes, data: st.DataObject
) -> None:
    whole = pack(header, body)
    cut = data.draw(st.integers(0, len(whole)))
    broken = whole[:cut] + data.draw(st.binary(max_size=8)) + whole[data.draw(st.integers(cut, len(whole))) :]
    found = unpack(type(header), broken)
    assert found is None or isinstance(found[0], type(header))
    name = envelopes.method(broken)
    assert name is None or isinstance(envelopes.arguments(broken), bytes)
    envelopes.unpack_history(broken)


def test_newer_members_of_a_header_are_skipped() -> None:
    class Newer(Header):
        extra: str = ""
        __rpc_fields__ = (*Header.__rpc_fields__, Field(9, "extra", rpc.STRING, default=""))

    codec = MethodCodec("Newer", (), (), Newer, ())
    data = envelopes.TASK + codec.encode_reply(Newer(priority=7, extra="more"))[1:] + b"body"
    assert unpack(Header, data) == (Header(priority=7), b"body")


@pytest.mark.parametrize(
    ("data", "entry"),
    [
        (b"", Entry(host="node")),
        (b"anything", Entry(host="node")),
        (b'{"host": "h", "port": 1, "more": []}', Entry(host="h", port=1)),
        (b'{"host": "h", "methods": {"a": [1, 2]}}', Entry(host="h", methods={"a": (1, 2)})),
    ],
)
def test_entries_of_workers(data: bytes, entry: Entry) -> None:
    assert Entry.decode("node", data) == entry


@pytest.mark.parametrize(
    "data",
    [b"{", b"{}", b'{"host": "a/b"}', b'{"host": "h", "concurrency": 0}', b'{"host": "h", "weight": -1}'],
)
def test_entries_that_are_none(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # several kinds
        Entry.decode("node", data)


def test_who_takes_what() -> None:
    plain, raw = Entry(host="h"), Entry(host="h", methods={}, raw=True)
    able = Entry(host="h", methods={"a": (1, 2)})
    assert [entry.takes(None, b"") for entry in (plain, raw, able)] == [True, True, False]
    assert [able.takes("a", tags) for tags in (b"", b"\2", b"\1\2", b"\3")] == [True, True, True, False]
    assert not plain.takes("a", b"")
    assert not able.takes("b", b"")


def test_a_history_keeps_the_last_attempts() -> None:
    attempts = [Attempt(worker="w", number=number, at=1.5, error="e") for number in range(30)]
    assert envelopes.unpack_history(envelopes.pack_history(attempts)) == tuple(attempts[-20:])


def test_names() -> None:
    assert layout.new_task() != layout.new_task()
    assert layout.new_task("a/b") == "task-a%2Fb"
    assert layout.is_ours(layout.new_worker("host-1"))
    assert not layout.is_ours("host-1")
    assert layout.tasks(["task-1", "other", "task-"]) == ["task-1", "task-"]


def test_lines_let_the_right_one_go_first() -> None:
    lines = Lines()
    a, b = Shape("a"), Shape("b")
    for task, shape, rank, due in (
        ("old", a, (0, 1), 0.0),
        ("urgent", b, (-5, 9), 0.0),
        ("later", a, (-9, 2), 7.0),
        ("gone", a, (-8, 3), 0.0),
    ):
        lines.add(task, shape, rank, due)

    def take(*free: Shape) -> str | None:
        found = lines.take(lambda task: task != "gone", lambda shape: True if shape in free else None)
        return None if found is None else found[0]

    lines.advance(5.0)
    assert lines.due == 7.0
    assert take() is None
    assert [take(a, b), take(b), take(a, b)] == ["urgent", None, "old"]
    assert take(a, b) is None
    lines.advance(7.0)
    assert lines.due is None
    assert take(a, b) == "later"


class ManyProtocol(rpc.MessageProtocol[None]):
    """void many(3: int? third, 1: string first, 2: list<int> second = [], 9: double ninth = 0.0)"""

    name = "many"
    params = (
        rpc.Param(3, "third", rpc.OptionalOf(rpc.INT)),
        rpc.Param(1, "first", rpc.STRING),
        rpc.Param(2, "second", rpc.ListOf(rpc.INT), default=()),
        rpc.Param(9, "ninth", rpc.DOUBLE, default=0.0),
    )


@pytest.mark.parametrize(
    ("args", "tags"),
    [
        ((None, "", rpc.DEFAULT, 0.0), b"\1"),
        ((0, "x", [1], -0.0), b"\1\2\3\x09"),
        ((None, "x", rpc.DEFAULT, 1.0), b"\1\x09"),
    ],
)
def test_tags_are_those_of_the_arguments_that_are_sent(args: tuple[object, ...], tags: bytes) -> None:
    assert _tags(ManyProtocol, ManyProtocol.codec().encode_call(args)) == tags
    divide = services.DivideProtocol.codec().encode_call((6, 1))
    assert _tags(services.DivideProtocol, divide) == b"\1"
