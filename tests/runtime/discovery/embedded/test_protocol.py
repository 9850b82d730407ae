"""Lines to requests and answers, and back."""

from __future__ import annotations

import json
import typing

import hypothesis
import hypothesis.strategies as st
import pytest

from rpcgen.runtime.discovery.embedded import protocol
from rpcgen.runtime.discovery.embedded.protocol import (
    MAX_LINE,
    BadRequest,
    Lines,
    Oversized,
    Request,
    item,
    read_answer,
    read_request,
)

REQUESTS: list[tuple[str, Request]] = [
    (
        '{"type":"register","key":"rpc","values":{"host":"h","port":1},"timeout":"30"}',
        Request("register", key="rpc", values=b'{"host":"h","port":1}', timeout=30.0),
    ),
    ('{"type":"register","key":"k","values":[]}', Request("register", key="k", values=b"[]")),
    (
        '{"type":"register","key":"k","values":1,"timeout":1.5}',
        Request("register", "k", None, None, b"1", 1.5),
    ),
    ('{"type":"register","key":"k","timeout":" 2. "}', Request("register", key="k", timeout=2.0)),
    ('{"type":"register","key":"k","timeout":"86400"}', Request("register", key="k", timeout=86400.0)),
    ('{"type":"register","key":"k","values":null}', Request("register", key="k")),
    (
        '{"type":"register","key":"k","id":"i","token":"t","auth":"a"}',
        Request("register", key="k", id="i", token="t", auth="a"),
    ),
    ('{"type":"query","key":"all"}', Request("query", key="all")),
    ('{"type":"query","prefix":""}', Request("query", prefix="")),
    ('{"type":"query","key":"k","id":"i"}', Request("query", key="k", id="i")),
    ('{"type":"destruction","key":"k"}', Request("destruction", key="k")),
    ('{"type":"watch","key":"k","since":7}', Request("watch", key="k")),
    (' { "key" : "ключ", "type" : "query" } \r', Request("query", key="ключ")),
]

MISTAKES: list[tuple[bytes, str]] = [
    (b"", "the line is empty"),
    (b"   ", "not JSON: Input data was truncated"),
    (b"hello", "not JSON: invalid character (byte 0)"),
    (b'{"type":"query"', "not JSON: Input data was truncated"),
    (b'{"type":"query","key":"a\x01b"}', "not JSON: invalid character (byte 24)"),
    (b'{"type":"query","key":"\xff"}', "not JSON: a text in it is not UTF-8"),
    (b"[" * 60000, "not JSON that can be read: it is nested too deep"),
    (b"[]", 'expected a JSON object, {"type":…}; got a list'),
    (b"7", 'expected a JSON object, {"type":…}; got 7'),
    (b"{}", "type: expected register, query, destruction, watch; it is missing"),
    (b'{"type":"qeury"}', 'type: expected register, query, destruction, watch; got "qeury"'),
    (b'{"type":["query"]}', "type: expected register, query, destruction, watch; got a list"),
    (b'{"type":"register","values":{}}', "register: its key is missing"),
    (b'{"type":"query"}', "query: give it a key or a prefix"),
    (b'{"type":"watch","key":"a","prefix":"b"}', "watch: give it a key or a prefix, not both"),
    (b'{"type":"query","key":7}', "key: expected a text; got 7"),
    (b'{"type":"query","key":""}', "key: expected a name; got an empty text"),
    (b'{"type":"query","key":"a\\u0000"}', "key: expected no control characters; got U+0000 at character 1"),
    (b'{"type":"query","key":"\\u2028"}', "key: expected no control characters; got U+2028 at character 0"),
    (b'{"type":"query","key":"' + b"k" * 513 + b'"}', "key: expected at most 512 characters; got 513"),
    (b'{"type":"destruction","key":"k","id":{}}', "id: expected a text; got an object"),
    (b'{"type":"register","key":"all","values":{}}', "key: 'all' stands for every key"),
    (b'{"type":"register","key":"k","values":{},"timeout":NaN}', "not JSON: invalid character (byte 51)"),
    (b'{"type":"register","key":"k","values":NaN}', "not JSON: invalid character (byte 38)"),
    (b'{"type":"register","key":"k","values":1e999}', "not JSON: Number out of range"),
    (b'{"type":"register","key":"k","values":"\\ud800"}', "not JSON: "),
]


@pytest.mark.parametrize(("line", "request_"), REQUESTS)
def test_a_line_is_read(line: str, request_: Request) -> None:
    assert read_request(line.encode()) == request_


@pytest.mark.parametrize(("line", "said"), MISTAKES)
def test_a_mistake_is_named_with_its_place(line: bytes, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request(line)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "timeout",
    ['"NaN"', '"-1"', "-1", "0", "0.9", '"86401"', "1e300", "true", '""', '"1e3"', '"١٢"', "[]", "9" * 400],
)
def test_a_timeout_is_seconds_within_a_range(timeout: str) -> None:
    with pytest.raises(BadRequest, match=r"timeout: expected 1 to 86400 seconds|not JSON"):
        read_request(f'{{"type":"register","key":"k","values":{{}},"timeout":{timeout}}}'.encode())


ANSWERS: list[tuple[bytes, str]] = [
    (protocol.registered("k", "i", 30.0, "t"), '{"ok":true,"key":"k","id":"i","timeout":30,"token":"t"}'),
    (protocol.registered("k", "", 1.5, None), '{"ok":true,"key":"k","id":"","timeout":1.5,"token":null}'),
    (
        protocol.listing({"k": [item("i", b'{"a":1}', 2.00049)]}),
        '{"ok":true,"services":{"k":[{"id":"i","values":{"a":1},"expires":2}]}}',
    ),
    (protocol.watched({}, 0.0), '{"ok":true,"services":{}}'),
    (protocol.watched({}, 1.25), '{"ok":true,"services":{},"settling":1.25}'),
    (protocol.removed(3), '{"ok":true,"removed":3}'),
    (
        protocol.changed("k", [item("i", b"1", -5.0)], ["j"]),
        '{"ok":true,"changed":"k","put":[{"id":"i","values":1,"expires":0}],"removed":["j"]}',
    ),
    (protocol.refused('a "b"\n'), '{"ok":false,"error":"a \\"b\\"\\n"}'),
]


@pytest.mark.parametrize(("line", "text"), ANSWERS)
def test_an_answer_is_one_line_that_clients_read(line: bytes, text: str) -> None:
    assert line == text.encode() + b"\r\n"
    members = json.loads(text)
    answer = read_answer(line[:-2])
    assert {name: getattr(answer, name) for name in members if name in ("ok", "error", "removed")} == {
        name: value for name, value in members.items() if name in ("ok", "error", "removed")
    }
    listed = [entry for entries in (answer.services or {}).values() for entry in entries] + answer.put
    shown = [entry for entries in members.get("services", {}).values() for entry in entries]
    assert [(one.id, json.loads(bytes(one.values)), one.expires) for one in listed] == [
        (one["id"], one["values"], one["expires"]) for one in shown + members.get("put", [])
    ]


@pytest.mark.parametrize("line", [b"", b"hello", b"[]", b'{"ok":1}', b"\xff", b"[" * 100000])
def test_what_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="is no line of a registry's"):
        read_answer(line)


def test_a_request_that_no_server_takes_is_not_made() -> None:
    with pytest.raises(ValueError, match="it takes 70,0"):
        protocol.request(type="register", values="x" * 70000)


def all_lines(pieces: typing.Iterable[bytes], limit: int = MAX_LINE) -> list[bytes | None]:
    """What comes out of the pieces; None at last: too long."""
    lines, found = Lines(limit), list[bytes | None]()
    for piece in pieces:
        lines.feed(piece)
        try:
            found += iter(lines.next, None)
        except Oversized:
            return [*found, None]
    return found


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\r\n\n\r\nc", [b"a", b"b", b"", b""]),
        (b"a\rb\r\r\n", [b"a\rb\r"]),
        (b"12345\n", [b"12345"]),
        (b"12345\r\n", [b"12345"]),
        (b"12345\r", []),
        (b"123456", []),
        (b"1234567", [None]),
        (b"123456\n", [None]),
        (b"1\n12345\r\n123456\r\n1\n", [b"1", b"12345", None]),
    ],
)
def test_lines_end_in_lf_or_crlf(data: bytes, lines: list[bytes | None]) -> None:
    assert all_lines([data], limit=5) == lines
    assert all_lines([bytes([byte]) for byte in data], limit=5) == lines


@hypothesis.given(st.lists(st.binary(max_size=20) | st.sampled_from([b"\n", b"\r\n", b"\r", b"abcde"])))
def test_any_split_gives_the_same_lines(pieces: list[bytes]) -> None:
    assert all_lines(pieces, 30) == all_lines([b"".join(pieces)], 30)


@hypothesis.given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_mistake(line: bytes) -> None:
    said = mistake(line)
    assert "\n" not in said
    assert protocol.refused(said).count(b"\n") == 1


def mistake(line: bytes) -> str:
    """What is wrong with a line; nothing, if it is a request."""
    try:
        read_request(line)
    except BadRequest as error:
        return str(error)
    return ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@hypothesis.given(
    st.dictionaries(st.sampled_from(["key", "prefix", "id", "values", "timeout", "token", "auth"]), JSON),
    st.sampled_from(["register", "query", "destruction", "watch"]),
)
def test_any_members_are_a_request_or_a_mistake(members: dict[str, object], kind: str) -> None:
    assert "\n" not in mistake(json.dumps({"type": kind, **members}).encode())
