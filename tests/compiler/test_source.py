"""Text, bytes and places."""

from __future__ import annotations

import pytest

from rpcgen.compiler.source import Source, Span, decode


def test_positions() -> None:
    """Lines and columns count characters from 1."""
    source = Source("a.idl", "ab\n\n名c\n")
    assert [source.position(offset) for offset in range(8)] == [
        *((1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (3, 3), (4, 1)),
    ]
    assert [source.line(number) for number in (1, 2, 3, 4)] == ["ab", "", "名c", ""]
    assert Span(source, 4, 6).text == "名c"
    assert Source("a.idl", "x").line(1) == "x"


@pytest.mark.parametrize(
    ("data", "text", "fault"),
    [
        (b"a\r\nb\rc\n", "a\nb\nc\n", None),
        (b"\xef\xbb\xbfint", "int", None),
        ("é名".encode(), "é名", None),
        (b"", "", None),
        (b"a\r\n\xffb", "a\n\ufffdb", (2, "byte 0xff at position 3")),
        (b"\xef\xbb\xbfa\xe9", "a\ufffd", (1, "byte 0xe9 at position 4")),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd", (0, "byte 0xed at position 0")),
        ("int".encode("utf-16"), "", (0, "it looks like UTF-16")),
    ],
)
def test_decode(data: bytes, text: str, fault: tuple[int, str] | None) -> None:
    """Bytes are UTF-8, with or without a mark, with any line ends; else the place is told."""
    assert decode(data) == (text, fault)
